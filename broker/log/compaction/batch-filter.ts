/**
 * Which records of a stored batch stay, and their bytes as they stand in another batch.
 *
 * Of each record only the varints in front change (length, timestamp delta, offset delta); key, value and headers move as
 * one block. All of it happens in one buffer, the stored batch staged at its far end: `copyWithin` moves 200 bytes in
 * 20 ns, a copy between two buffers needs a view and takes 50 to 60 ns. A copy of the result costs less than that.
 */
import { assert } from '../../assert.ts'
import { recordCountOf } from '../record-batch.ts'
import { varintSize, writeVarint } from '../varint.ts'
import { RecordScan, type ScannedRecord } from './key-scan.ts'

/** The length, the attributes and the two deltas take no more: 5 + 1 + 8 + 5. */
const FRONT_BYTES_MAX = 19
/** They take no less: a byte each. */
const FRONT_BYTES_MIN = 4
/** Space grown past this by one large batch is let go with the next small one. */
const KEPT_BYTES_MAX = 1024 * 1024
const KEPT_RECORDS_MAX = 16 * 1024

/** Whether a record stays. It is asked once for each record, in order. */
export type Keep = (record: ScannedRecord, batch: Buffer) => boolean

/** Space to work in, for one batch at a time: `filter`, then `encode` as often as need be. One serves many partitions. */
export class BatchFilter {
  /** Records of the last batch that stay. */
  kept = 0
  /** Bytes that they take at least, wherever they stand. */
  bytesMin = 0
  /** The newest timestamp among them, ms since 1970. */
  maxTimestamp = 0
  #batch: Buffer = Buffer.alloc(0)
  #work: Buffer = Buffer.alloc(0)
  #encoded = 0
  readonly #scan = new RecordScan()
  #offsets = new Float64Array(0)
  #timestamps = new Float64Array(0)
  /** From where to where a record's block stands in the batch. */
  #from = new Int32Array(0)
  #to = new Int32Array(0)

  get firstOffset(): number {
    return this.#offsets[0]!
  }
  get lastOffset(): number {
    return this.#offsets[this.kept - 1]!
  }
  get firstTimestamp(): number {
    return this.#timestamps[0]!
  }

  /** @param batch one that has no `storedFault`. It is not modified, and must not be before the last `encode`. */
  filter(batch: Buffer, keep: Keep): void {
    this.#batch = batch
    this.#reserveRecords(recordCountOf(batch))
    const scan = this.#scan
    let kept = 0
    let bytes = 0
    scan.open(batch)
    while (scan.next()) {
      if (!keep(scan, batch)) continue
      const { offset, timestamp, fieldsAt, end } = scan
      this.#offsets[kept] = offset
      this.#timestamps[kept] = timestamp
      this.#from[kept] = fieldsAt
      this.#to[kept] = end
      bytes += end - fieldsAt
      if (kept === 0 || timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
      kept++
    }
    this.kept = kept
    this.bytesMin = bytes + kept * FRONT_BYTES_MIN
  }

  /** The records that stay, as a batch of these bases has them, for `copyTo`. @returns how many bytes they are */
  encode(baseOffset: number, baseTimestamp: number): number {
    const { kept } = this
    assert(kept > 0, 'no record stays')
    const from = this.#from
    const to = this.#to
    const shift = this.#stage()
    const work = this.#work
    let out = 0
    for (let i = 0; i < kept; i++) {
      const timestampDelta = this.#timestamps[i]! - baseTimestamp
      const offsetDelta = this.#offsets[i]! - baseOffset
      const blockAt = from[i]! + shift
      const blockEnd = to[i]! + shift
      const length = 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + blockEnd - blockAt
      out = writeVarint(work, out, length)
      work[out++] = 0
      out = writeVarint(work, out, timestampDelta)
      out = writeVarint(work, out, offsetDelta)
      work.copyWithin(out, blockAt, blockEnd)
      out += blockEnd - blockAt
    }
    this.#encoded = out
    return out
  }

  /** Copies what was encoded last. */
  copyTo(target: Buffer, at: number): void {
    this.#work.copy(target, at, 0, this.#encoded)
  }

  /** Copies what stays, and what lies between, behind all that it can become. @returns how far positions moved */
  #stage(): number {
    const first = this.#from[0]!
    const staged = this.#to[this.kept - 1]! - first
    const needed = this.bytesMin + this.kept * (FRONT_BYTES_MAX - FRONT_BYTES_MIN) + staged
    if (this.#work.length < needed || (this.#work.length > KEPT_BYTES_MAX && needed <= KEPT_BYTES_MAX)) {
      this.#work = Buffer.allocUnsafeSlow(roomFor(needed, KEPT_BYTES_MAX))
    }
    const stagedAt = this.#work.length - staged
    this.#batch.copy(this.#work, stagedAt, first, first + staged)
    return stagedAt - first
  }

  #reserveRecords(records: number): void {
    const length = this.#offsets.length
    if (length >= records && (length <= KEPT_RECORDS_MAX || records > KEPT_RECORDS_MAX)) return
    const grown = roomFor(records, KEPT_RECORDS_MAX)
    this.#offsets = new Float64Array(grown)
    this.#timestamps = new Float64Array(grown)
    this.#from = new Int32Array(grown)
    this.#to = new Int32Array(grown)
  }
}

/** Twice what is needed, up to what is kept. */
function roomFor(needed: number, keptMax: number): number {
  return Math.max(needed, Math.min(needed * 2, keptMax))
}
