/**
 * How far a table is to be brought now. A pass goes to what was durable when it began, the partition that has come least far
 * first, so that a table that is built goes through the log from its oldest segment to its newest. Between two passes records collect
 * for a moment: applied together they cost less.
 */
import type { TablePartition } from './table-log.ts'

export class TablePass {
  readonly #partitions: readonly TablePartition[]
  /** By partition: the first offset that is not applied. */
  readonly #next: readonly number[]
  readonly #restMs: number
  #target: number[] = []
  /** performance.now() until which records collect. */
  restUntil = 0
  /** True once a pass has come to its end. */
  hasCaughtUp = false

  constructor(partitions: readonly TablePartition[], next: readonly number[], restMs: number) {
    this.#partitions = partitions
    this.#next = next
    this.#restMs = restMs
  }

  /** @returns the partition to go on with; null when there is nothing to do before `restUntil` or the next commit */
  nextPartition(now: number, isAwaited: boolean): number | null {
    const found = this.#leastApplied()
    if (found !== null) return found
    if (this.#target.length > 0) {
      this.#target = []
      this.restUntil = now + this.#restMs
      this.hasCaughtUp = true
    }
    if (!isAwaited && now < this.restUntil) return null
    this.#target = this.#partitions.map(({ durableOffset }) => durableOffset)
    const next = this.#leastApplied()
    if (next === null) {
      this.#target = []
      this.hasCaughtUp = true
    }
    return next
  }

  #leastApplied(): number | null {
    let found: number | null = null
    let least = 1
    for (const [i, target] of this.#target.entries()) {
      const start = this.#partitions[i]!.logStartOffset
      const next = Math.max(this.#next[i]!, start)
      if (next >= target) continue
      const share = (next - start) / (target - start)
      if (found !== null && share >= least) continue
      least = share
      found = i
    }
    return found
  }
}

/** What there is in the log, and what of it is applied, in records. */
export function appliedOf(partitions: readonly TablePartition[], next: readonly number[]) {
  let whole = 0
  let lag = 0
  for (const [i, { logStartOffset, durableOffset }] of partitions.entries()) {
    whole += durableOffset - logStartOffset
    lag += Math.max(0, durableOffset - Math.max(next[i]!, logStartOffset))
  }
  return { lag, percent: whole === 0 ? 100 : Math.floor(((whole - lag) / whole) * 100) }
}
