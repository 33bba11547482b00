/**
 * The index of one partition within one segment: for each stored batch its first offset, the commit that holds it, and
 * the greatest timestamp so far. 16 bytes a batch in memory, in pieces: a small one that doubles, then more of the same size. Pieces are
 * used again: an index lives for as long as its segment is active or open, and what has lived that long the collector finds late.
 */

/** Rows of a piece that is full grown: 64 kB. */
const PIECE_ROWS = 4096
const PIECE_BITS = 12
const ROWS_MIN = 8

interface Piece {
  readonly offsets: Uint32Array
  readonly commits: Uint32Array
  readonly timestamps: Float64Array
}

/** Pieces that are in no index, by their rows. */
const spare = new Map<number, Piece[]>()
/** Of each size: 2 MB of the largest, 4 MB of all. */
const SPARE_MAX = 32

function giveBack(piece: Piece): void {
  const rows = piece.offsets.length
  const others = spare.get(rows)
  if (others === undefined) spare.set(rows, [piece])
  else if (others.length < SPARE_MAX) others.push(piece)
}

/** What stands in it is nothing. */
function pieceOf(rows: number): Piece {
  const again = spare.get(rows)?.pop()
  if (again !== undefined) return again
  return {
    offsets: new Uint32Array(rows),
    commits: new Uint32Array(rows),
    timestamps: new Float64Array(rows),
  }
}

export class PartitionIndex {
  /** The catalog's id of the partition. */
  readonly id: number
  readonly firstOffset: number
  nextOffset: number
  records = 0
  /** Bytes of the stored batches. */
  bytes = 0
  count = 0
  readonly #pieces: Piece[] = [pieceOf(ROWS_MIN)]
  readonly #firstCommit: number

  /** @param firstCommit the segment's first commit: commits and offsets are kept relative, in 32 bits each. */
  constructor(id: number, firstOffset: number, firstCommit: number) {
    this.id = id
    this.firstOffset = firstOffset
    this.nextOffset = firstOffset
    this.#firstCommit = firstCommit
  }

  get maxTimestamp(): number {
    return this.count === 0 ? Number.NEGATIVE_INFINITY : this.timestampAt(this.count - 1)
  }

  add(
    commit: number,
    batch: { baseOffset: number; nextOffset: number; records: number; bytes: number; maxTimestamp: number },
  ): void {
    const { offsets, commits, timestamps } = this.#pieceFor(this.count)
    const row = this.count % PIECE_ROWS
    timestamps[row] = Math.max(batch.maxTimestamp, this.maxTimestamp)
    offsets[row] = batch.baseOffset - this.firstOffset
    commits[row] = commit - this.#firstCommit
    this.count++
    this.nextOffset = batch.nextOffset
    this.records += batch.records
    this.bytes += batch.bytes
  }

  offsetAt(i: number): number {
    return this.firstOffset + this.#pieces[i >>> PIECE_BITS]!.offsets[i % PIECE_ROWS]!
  }
  commitAt(i: number): number {
    return this.#firstCommit + this.#pieces[i >>> PIECE_BITS]!.commits[i % PIECE_ROWS]!
  }
  /** The greatest timestamp of batches 0 to i. */
  timestampAt(i: number): number {
    return this.#pieces[i >>> PIECE_BITS]!.timestamps[i % PIECE_ROWS]!
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

  /** Its memory is another index's from now on: nobody reads this one any more. */
  release(): void {
    this.count = 0
    for (const piece of this.#pieces.splice(0)) giveBack(piece)
  }

  /** With room for the row. */
  #pieceFor(row: number): Piece {
    const at = row >>> PIECE_BITS
    const last = this.#pieces[at]
    if (last === undefined) {
      this.#pieces.push(pieceOf(PIECE_ROWS))
      return this.#pieces[at]!
    }
    const rows = last.offsets.length
    if (row % PIECE_ROWS < rows) return last
    const grown = pieceOf(rows * 2)
    grown.offsets.set(last.offsets)
    grown.commits.set(last.commits)
    grown.timestamps.set(last.timestamps)
    this.#pieces[at] = grown
    giveBack(last)
    return grown
  }
}
