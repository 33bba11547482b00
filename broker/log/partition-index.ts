/**
 * The index of one partition within one segment: for each stored batch its first offset, the commit that holds it, and
 * the greatest timestamp so far. 16 bytes a batch in memory, in arrays that double.
 */

export class PartitionIndex {
  /** The catalog's id of the partition. */
  readonly id: number
  readonly firstOffset: number
  nextOffset: number
  records = 0
  /** Bytes of the stored batches. */
  bytes = 0
  count = 0
  #offsets = new Uint32Array(8)
  #commits = new Uint32Array(8)
  #timestamps = new Float64Array(8)
  readonly #firstCommit: number

  /** @param firstCommit the segment's first commit: commits and offsets are kept relative, in 32 bits each. */
  constructor(id: number, firstOffset: number, firstCommit: number) {
    this.id = id
    this.firstOffset = firstOffset
    this.nextOffset = firstOffset
    this.#firstCommit = firstCommit
  }

  get maxTimestamp(): number {
    return this.count === 0 ? Number.NEGATIVE_INFINITY : this.#timestamps[this.count - 1]!
  }

  add(
    commit: number,
    batch: { baseOffset: number; nextOffset: number; records: number; bytes: number; maxTimestamp: number },
  ): void {
    if (this.count === this.#offsets.length) this.#grow()
    this.#offsets[this.count] = batch.baseOffset - this.firstOffset
    this.#commits[this.count] = commit - this.#firstCommit
    this.#timestamps[this.count] = Math.max(batch.maxTimestamp, this.maxTimestamp)
    this.count++
    this.nextOffset = batch.nextOffset
    this.records += batch.records
    this.bytes += batch.bytes
  }

  offsetAt(i: number): number {
    return this.firstOffset + this.#offsets[i]!
  }
  commitAt(i: number): number {
    return this.#firstCommit + this.#commits[i]!
  }
  /** The greatest timestamp of batches 0 to i. */
  timestampAt(i: number): number {
    return this.#timestamps[i]!
  }

  /** The batch that holds `offset`, or the first after it; `count` when there is none. */
  find(offset: number): number {
    if (this.count === 0 || offset >= this.nextOffset) return this.count
    // the last batch that begins at or below the offset
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.offsetAt(middle) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The first batch whose greatest timestamp so far is at least `timestamp`; `count` when there is none. */
  findTime(timestamp: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.timestampAt(middle) >= timestamp) high = middle
      else low = middle + 1
    }
    return low
  }

  #grow(): void {
    const size = this.#offsets.length * 2
    this.#offsets = grown(this.#offsets, new Uint32Array(size))
    this.#commits = grown(this.#commits, new Uint32Array(size))
    this.#timestamps = grown(this.#timestamps, new Float64Array(size))
  }
}

function grown<T extends Uint32Array | Float64Array>(from: T, into: T): T {
  into.set(from as never)
  return into
}
