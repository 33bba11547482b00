/** Which requests read a device's registers: neighbours of one kind together, nothing that was not named, since devices refuse addresses that they do not have. */
import type { RegisterConfig } from './config.ts'

export interface PlannedRead {
  readonly kind: RegisterConfig['kind']
  readonly address: number
  /** Registers, or bits. */
  readonly count: number
  readonly registers: readonly RegisterConfig[]
}

/** Modbus Application Protocol 1.1b3, 6.1 to 6.4. */
const COUNT_MAX: Readonly<Record<RegisterConfig['kind'], number>> = {
  holding: 125,
  input: 125,
  coil: 2000,
  discrete: 2000,
}

export function isBit(kind: RegisterConfig['kind']): boolean {
  return kind === 'coil' || kind === 'discrete'
}

export function widthOf({ kind, type }: RegisterConfig): number {
  return !isBit(kind) && type.endsWith('32') ? 2 : 1
}

export function planReads(registers: readonly RegisterConfig[]): PlannedRead[] {
  const reads: PlannedRead[] = []
  for (const kind of ['holding', 'input', 'coil', 'discrete'] as const) {
    const ofKind = registers.filter((register) => register.kind === kind)
    reads.push(
      ...plan(
        kind,
        ofKind.toSorted((a, b) => a.address - b.address),
      ),
    )
  }
  return reads
}

function plan(kind: RegisterConfig['kind'], sorted: readonly RegisterConfig[]): PlannedRead[] {
  const reads: PlannedRead[] = []
  let from = 0
  let end = 0
  let together: RegisterConfig[] = []
  const finish = () => {
    if (together.length > 0) reads.push({ kind, address: from, count: end - from, registers: together })
  }
  for (const register of sorted) {
    const last = register.address + widthOf(register)
    if (together.length === 0 || register.address > end || Math.max(end, last) - from > COUNT_MAX[kind]) {
      finish()
      together = []
      from = register.address
      end = last
    }
    together.push(register)
    end = Math.max(end, last)
  }
  finish()
  return reads
}
