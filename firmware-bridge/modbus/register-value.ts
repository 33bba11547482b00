/** From registers as they were read to a value: type, order of bytes, scale. */
import type { RegisterConfig } from './config.ts'
import { widthOf } from './read-plan.ts'

const DIGITS = 12
/** What a float of 4 bytes never needs more of. */
const FLOAT32_DIGITS_MAX = 9

/** What it is called in an object or a topic. */
export function nameOf({ name, kind, address }: RegisterConfig): string {
  return name ?? `${kind}-${address}`
}

/**
 * @param bytes of the whole answer, two a register
 * @param offset of the first register, in registers
 * @returns null for what is no number
 */
export function registerValue(register: RegisterConfig, bytes: Uint8Array, offset: number): number | null {
  const ordered = inOrder(bytes, offset * 2, widthOf(register) * 2, register.wordOrder)
  const value = typed(new DataView(ordered.buffer), register.type)
  if (!Number.isFinite(value)) return null
  if (register.scale !== undefined) return Number((value * register.scale).toPrecision(DIGITS))
  return register.type === 'float32' ? shortest(value) : value
}

function typed(view: DataView, type: RegisterConfig['type']): number {
  switch (type) {
    case 'uint16':
      return view.getUint16(0)
    case 'int16':
      return view.getInt16(0)
    case 'uint32':
      return view.getUint32(0)
    case 'int32':
      return view.getInt32(0)
    case 'float32':
      return view.getFloat32(0)
  }
}

/** A copy with the highest byte first. */
function inOrder(
  bytes: Uint8Array,
  start: number,
  length: number,
  order: RegisterConfig['wordOrder'],
): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(length)
  const isLowWordFirst = order === 'cdab' || order === 'dcba'
  const isLowByteFirst = order === 'badc' || order === 'dcba'
  for (let i = 0; i < length; i++) {
    const word = isLowWordFirst ? length / 2 - 1 - (i >> 1) : i >> 1
    const byte = isLowByteFirst ? 1 - (i & 1) : i & 1
    copy[i] = bytes[start + word * 2 + byte]!
  }
  return copy
}

/** 21.3, not 21.299999237060547: the fewest digits that are the same float of 4 bytes. */
function shortest(value: number): number {
  for (let digits = 6; digits < FLOAT32_DIGITS_MAX; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(FLOAT32_DIGITS_MAX))
}
