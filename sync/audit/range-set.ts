/** A set of offsets as ranges in order: a log of any length takes as much room as it has faults. */
import { assert } from '../../broker/index.ts'

export interface OffsetRange {
  readonly from: number
  /** The first offset after them. */
  readonly to: number
}

/** More than this is no list for anybody to read, and not worth its memory. */
const RANGES_MAX = 100_000

export class RangeSet {
  /** In order, apart from each other. */
  readonly #froms: number[] = []
  readonly #tos: number[] = []
  #size = 0
  /** Offsets that were not kept, because there were RANGES_MAX ranges. They count in `size`. */
  leftOut = 0

  /** Offsets in it. */
  get size(): number {
    return this.#size + this.leftOut
  }

  has(offset: number): boolean {
    const at = this.#find(offset)
    return at >= 0 && offset < this.#tos[at]!
  }

  /** Adds [from, to), of which none may be in it. */
  add(from: number, to = from + 1): void {
    assert(from < to, 'a range of offsets is not empty')
    const at = this.#find(from)
    const joinsBefore = at >= 0 && this.#tos[at] === from
    const joinsAfter = this.#froms[at + 1] === to
    if (joinsBefore && joinsAfter) {
      this.#tos[at] = this.#tos[at + 1]!
      this.#cut(at + 1)
    } else if (joinsBefore) this.#tos[at] = to
    else if (joinsAfter) this.#froms[at + 1] = from
    else if (this.#froms.length >= RANGES_MAX) {
      this.leftOut += to - from
      return
    } else {
      this.#froms.splice(at + 1, 0, from)
      this.#tos.splice(at + 1, 0, to)
    }
    this.#size += to - from
  }

  /** @returns whether it was in it */
  delete(offset: number): boolean {
    const at = this.#find(offset)
    if (at < 0 || offset >= this.#tos[at]!) return false
    const from = this.#froms[at]!
    const to = this.#tos[at]!
    this.#size--
    if (from === offset && to === offset + 1) this.#cut(at)
    else if (from === offset) this.#froms[at] = offset + 1
    else if (to === offset + 1) this.#tos[at] = offset
    else {
      this.#tos[at] = offset
      this.#froms.splice(at + 1, 0, offset + 1)
      this.#tos.splice(at + 1, 0, to)
    }
    return true
  }

  /** The first of them, in order. */
  ranges(max: number): OffsetRange[] {
    return this.#froms.slice(0, max).map((from, i) => ({ from, to: this.#tos[i]! }))
  }

  get rangeCount(): number {
    return this.#froms.length
  }

  /** The last range that begins at or below `offset`; -1 for none. */
  #find(offset: number): number {
    let low = 0
    let high = this.#froms.length
    // Nearly always at the end.
    if (high > 0 && this.#froms[high - 1]! <= offset) return high - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#froms[middle]! <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  #cut(at: number): void {
    this.#froms.splice(at, 1)
    this.#tos.splice(at, 1)
  }
}
