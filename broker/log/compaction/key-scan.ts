/**
 * Walks the records of a stored batch by their positions: nothing is decoded to an object, nothing is allocated for a
 * record. `readRecords` takes more than twice as long and makes some objects of each, which is right where one looks at
 * records and wrong where one passes over ten million of them.
 */
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  batchFault,
  hasPlainRecords,
  nextOffsetOf,
  recordCountOf,
} from '../record-batch.ts'
import { cursor, readVarint } from '../varint.ts'

/** Where one record stands in its batch. The same object comes for each record: take what is to be kept. */
export interface ScannedRecord {
  readonly offset: number
  /** ms since 1970 */
  readonly timestamp: number
  /** The record's bytes, its own length first: from `start`, and up to `end`. */
  readonly start: number
  readonly end: number
  /** Where that begins which does not depend on the batch: key, value and headers, with their lengths. */
  readonly fieldsAt: number
  readonly keyAt: number
  /** -1 is a record without a key. */
  readonly keyBytes: number
  /** The value is null. */
  readonly isTombstone: boolean
}

/** Steps through one batch after another. */
export class RecordScan implements ScannedRecord {
  offset = 0
  timestamp = 0
  start = 0
  end = BATCH_HEADER_BYTES
  fieldsAt = 0
  keyAt = 0
  keyBytes = -1
  isTombstone = false
  #batch: Buffer = Buffer.alloc(0)
  #baseOffset = 0
  #nextOffset = 0
  #baseTimestamp = 0
  #left = 0

  /** Stands before the first record. */
  open(batch: Buffer): void {
    this.#batch = batch
    this.#baseOffset = baseOffsetOf(batch)
    this.#nextOffset = nextOffsetOf(batch)
    this.#baseTimestamp = baseTimestampOf(batch)
    this.#left = recordCountOf(batch)
    this.offset = this.#baseOffset - 1
    this.end = BATCH_HEADER_BYTES
  }

  /** Goes to the next record. @returns false when there is none. @throws RangeError where the batch is not what it says */
  next(): boolean {
    const batch = this.#batch
    const start = this.end
    if (this.#left <= 0) {
      if (start !== batch.length) throw new RangeError('the records do not fill their batch')
      return false
    }
    this.#left--
    const length = readVarint(batch, start)
    const bodyAt = cursor.at
    const end = bodyAt + length
    if (length < 0 || end > batch.length) throw new RangeError('a record runs past its batch')
    this.start = start
    this.end = end
    this.timestamp = this.#baseTimestamp + readVarint(batch, bodyAt + 1)
    const offset = this.#baseOffset + readVarint(batch, cursor.at)
    if (offset <= this.offset || offset >= this.#nextOffset) throw new RangeError('an offset is out of order')
    this.offset = offset
    this.fieldsAt = cursor.at
    const keyBytes = readVarint(batch, cursor.at)
    this.keyAt = cursor.at
    this.keyBytes = keyBytes < 0 ? -1 : keyBytes
    const valueAt = keyBytes > 0 ? cursor.at + keyBytes : cursor.at
    const valueBytes = valueAt < end ? readVarint(batch, valueAt) : 0
    // at least the count of headers follows
    if (valueAt >= end || cursor.at + valueBytes >= end) throw new RangeError('a field runs past its record')
    this.isTombstone = valueBytes < 0
    return true
  }
}

const checking = new RecordScan()

/** Whether a stored batch can be rewritten: `batchFault`, and what a right CRC does not show. @returns null when it can */
export function storedFault(batch: Buffer): string | null {
  const fault = batchFault(batch)
  if (fault !== null) return fault
  if (!hasPlainRecords(batch)) return 'the batch is compressed or a control batch'
  try {
    checking.open(batch)
    while (checking.next());
    return null
  } catch (error) {
    if (error instanceof RangeError) return error.message
    throw error
  }
}

/** Calls `visit` for each record of a batch that has no `storedFault`, in order. */
export function scanRecords(batch: Buffer, visit: (record: ScannedRecord) => void): void {
  const scan = new RecordScan()
  scan.open(batch)
  while (scan.next()) visit(scan)
}
