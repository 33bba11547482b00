/**
 * Walks the records of a stored batch and says where their parts stand, without an object a record: a table looks at each record
 * that was ever written. The layout is record-batch.ts's.
 */
import { assert } from '../assert.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  type RecordHeader,
  recordCountOf,
} from '../log/record-batch.ts'
import { cursor, readVarint } from '../log/varint.ts'

export class RecordScan {
  readonly batch: Buffer
  /** Of the record that `next` came to. */
  offset = 0
  /** ms since 1970 */
  timestamp = 0
  /** Where the key stands; `keyFrom` is -1 when there is none. */
  keyFrom = -1
  keyTo = -1
  /** Where the value stands; `valueFrom` is -1 in a tombstone. */
  valueFrom = -1
  valueTo = -1
  /** The headers section, its count included. */
  headersFrom = 0
  headersTo = 0
  readonly #baseOffset: number
  readonly #baseTimestamp: number
  #left: number
  #at = BATCH_HEADER_BYTES

  constructor(batch: Buffer) {
    assert((batch.readInt16BE(21) & 0x27) === 0, 'a stored batch is neither compressed nor control')
    this.batch = batch
    this.#baseOffset = baseOffsetOf(batch)
    this.#baseTimestamp = baseTimestampOf(batch)
    this.#left = recordCountOf(batch)
  }

  /** @returns false at the end. @throws RangeError where the bytes are no records. */
  next(): boolean {
    if (this.#left <= 0) return false
    this.#left--
    const { batch } = this
    const length = readVarint(batch, this.#at)
    const end = cursor.at + length
    if (length < 0 || end > batch.length) throw new RangeError('a record runs past its batch')
    this.timestamp = this.#baseTimestamp + readVarint(batch, cursor.at + 1)
    this.offset = this.#baseOffset + readVarint(batch, cursor.at)
    const keyBytes = readVarint(batch, cursor.at)
    this.keyFrom = keyBytes < 0 ? -1 : cursor.at
    this.keyTo = cursor.at + Math.max(keyBytes, 0)
    const valueBytes = readVarint(batch, this.keyTo)
    this.valueFrom = valueBytes < 0 ? -1 : cursor.at
    this.valueTo = cursor.at + Math.max(valueBytes, 0)
    this.headersFrom = this.valueTo
    this.headersTo = end
    if (this.headersFrom >= end) throw new RangeError('a record is not as long as it says')
    this.#at = end
    return true
  }

  get key(): Buffer | null {
    return this.keyFrom < 0 ? null : this.batch.subarray(this.keyFrom, this.keyTo)
  }
  /** The key as latin1 text, for maps: a character a byte. */
  get keyText(): string {
    return this.batch.toString('latin1', this.keyFrom, this.keyTo)
  }
  get value(): Buffer | null {
    return this.valueFrom < 0 ? null : this.batch.subarray(this.valueFrom, this.valueTo)
  }
  get headers(): RecordHeader[] {
    return readHeaders(this.batch, this.headersFrom)
  }
}

/** Decodes a headers section; the end position is in `cursor.at`. */
export function readHeaders(source: Buffer, at: number): RecordHeader[] {
  const headers: RecordHeader[] = []
  const count = readVarint(source, at)
  for (let i = 0; i < count; i++) {
    const key = readBytes(source, cursor.at)
    headers.push({ key: key === null ? '' : key.toString('utf8'), value: readBytes(source, cursor.at) })
  }
  return headers
}

function readBytes(source: Buffer, at: number): Buffer | null {
  const length = readVarint(source, at)
  if (length < 0) return null
  const from = cursor.at
  if (from + length > source.length) throw new RangeError('a field runs past its end')
  cursor.at = from + length
  return source.subarray(from, cursor.at)
}
