/**
 * RecordBatch v2, as Apache Kafka stores and sends it (kafka.apache.org/documentation, "Message format").
 * On disk: never change.
 *
 *   offset  bytes  field
 *        0      8  base offset             } outside the CRC: patched when the commit is sealed
 *        8      4  batch length (bytes after this field)
 *       12      4  partition leader epoch  } 0 on the device
 *       16      1  magic = 2
 *       17      4  CRC-32C of everything from byte 21 to the end
 *       21      2  attributes (bits 0-2 compression, 3 timestamp type, 4 transactional, 5 control)
 *       23      4  last offset delta
 *       27      8  base timestamp, ms since 1970
 *       35      8  max timestamp
 *       43      8  producer id (-1), 51: 2 producer epoch (-1), 53: 4 base sequence (-1)
 *       57      4  record count
 *       61         records
 *
 *   record  := length:varint attributes:int8=0 timestampDelta:varint offsetDelta:varint
 *              keyLength:varint key valueLength:varint value headers        (length -1 = null)
 *   headers := count:varint (keyLength:varint key valueLength:varint value)*
 *
 * All varints are zigzag (varint.ts). A worked example, one record {offset 7, timestamp 1000, key "a", value "b"}:
 *   0000000000000007 0000003a 00000000 02 <crc> 0000 00000000 00000000000003e8 00000000000003e8
 *   ffffffffffffffff ffff ffffffff 00000001 | 10 00 00 00 02 61 02 62 00
 */
import { assert } from '../assert.ts'
import { crc32c } from '../storage/crc32c.ts'
import { cursor, readVarint, varintSize, writeVarint } from './varint.ts'

export const BATCH_HEADER_BYTES = 61
const BATCH_MAGIC = 2
/** Length, attributes, two deltas, two lengths and a header count, a byte each. */
const RECORD_BYTES_MIN = 7
const CRC_FROM = 21
/** Compression, or a control batch: neither ever stands in the device's log. */
const ATTRIBUTES_UNREADABLE = 0x27

export interface RecordHeader {
  readonly key: string
  /** null is a header without a value, which Kafka tells from an empty one. */
  readonly value: Buffer | null
}

/** One record, decoded. Key and value are views into the batch. */
export interface LogRecord {
  readonly offset: number
  /** ms since 1970 */
  readonly timestamp: number
  readonly key: Buffer | null
  /** null is a tombstone */
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

/** The headers section of a record that has none. */
export const NO_HEADERS: Buffer = Buffer.from([0])

/** Encodes a headers section once, so that the append path copies bytes. */
export function encodeHeaders(headers: readonly RecordHeader[]): Buffer {
  if (headers.length === 0) return NO_HEADERS
  const keys = headers.map((header) => Buffer.from(header.key, 'utf8'))
  let size = varintSize(headers.length)
  for (const [i, header] of headers.entries()) {
    size += varintSize(keys[i]!.length) + keys[i]!.length
    size += header.value === null ? 1 : varintSize(header.value.length) + header.value.length
  }
  const section = Buffer.allocUnsafe(size)
  let at = writeVarint(section, 0, headers.length)
  for (const [i, header] of headers.entries()) {
    at = writeVarint(section, at, keys[i]!.length)
    at += keys[i]!.copy(section, at)
    at = writeVarint(section, at, header.value === null ? -1 : header.value.length)
    if (header.value !== null) at += header.value.copy(section, at)
  }
  return section
}

/** The headers of two sections in one. */
export function joinHeaders(first: Buffer, second: Buffer): Buffer {
  if (second === NO_HEADERS) return first
  const count = readVarint(first, 0)
  const firstAt = cursor.at
  const total = count + readVarint(second, 0)
  const secondAt = cursor.at
  const head = Buffer.allocUnsafe(varintSize(total))
  writeVarint(head, 0, total)
  return Buffer.concat([head, first.subarray(firstAt), second.subarray(secondAt)])
}

/** Bytes that a record's fields take with a generous bound on its deltas: for admission, before it is encoded. */
export function recordBytesBound(keyBytes: number, valueBytes: number, headersBytes: number): number {
  return 36 + keyBytes + valueBytes + headersBytes
}

/** The most records that a batch of so many bytes can hold, at least one. */
export function recordsMaxOf(bytes: number): number {
  return Math.max(1, Math.floor((bytes - BATCH_HEADER_BYTES) / RECORD_BYTES_MIN))
}

// -- reading a batch ------------------------------------------------------------------------------------------------

export function batchBytes(batch: Buffer): number {
  return 12 + batch.readInt32BE(8)
}
export function baseOffsetOf(batch: Buffer): number {
  return batch.readUInt32BE(0) * 2 ** 32 + batch.readUInt32BE(4)
}
/** The offset after the batch's last one. */
export function nextOffsetOf(batch: Buffer): number {
  return baseOffsetOf(batch) + batch.readInt32BE(23) + 1
}
export function attributesOf(batch: Buffer): number {
  return batch.readInt16BE(21)
}
/** Whether the records stand in the batch as they are: neither compressed nor control records. */
export function hasPlainRecords(batch: Buffer): boolean {
  return (attributesOf(batch) & ATTRIBUTES_UNREADABLE) === 0
}
export function recordCountOf(batch: Buffer): number {
  return batch.readInt32BE(57)
}
export function crcOf(batch: Buffer): number {
  return batch.readUInt32BE(17)
}
export function baseTimestampOf(batch: Buffer): number {
  return readInt64(batch, 27)
}
export function maxTimestampOf(batch: Buffer): number {
  return readInt64(batch, 35)
}

function readInt64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
}

export function writeInt64(bytes: Buffer, at: number, value: number): void {
  bytes.writeInt32BE(Math.floor(value / 2 ** 32), at)
  bytes.writeUInt32BE(value >>> 0, at + 4)
}

/** Checks length, magic and CRC. @returns what is wrong, or null when the batch is whole. */
export function batchFault(batch: Buffer): string | null {
  if (batch.length < BATCH_HEADER_BYTES) return `a batch of ${batch.length} bytes is shorter than its header`
  if (batchBytes(batch) !== batch.length) {
    return `the batch says ${batchBytes(batch)} bytes and has ${batch.length}`
  }
  if (batch[16] !== BATCH_MAGIC) return `the batch has magic ${batch[16]}, not ${BATCH_MAGIC}`
  const crc = crc32c(batch.subarray(CRC_FROM))
  if (crc !== crcOf(batch)) return `the batch's CRC is ${hex(crcOf(batch))}, its bytes give ${hex(crc)}`
  return null
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0')
}

/** Decodes a batch's records in order. */
export function* readRecords(batch: Buffer): Generator<LogRecord> {
  assert(hasPlainRecords(batch), 'a stored batch is neither compressed nor control')
  const baseOffset = baseOffsetOf(batch)
  const baseTimestamp = baseTimestampOf(batch)
  const count = recordCountOf(batch)
  let at = BATCH_HEADER_BYTES
  for (let i = 0; i < count; i++) {
    const length = readVarint(batch, at)
    const end = cursor.at + length
    if (length < 0 || end > batch.length) throw new RangeError('a record runs past its batch')
    const timestamp = baseTimestamp + readVarint(batch, cursor.at + 1)
    const offset = baseOffset + readVarint(batch, cursor.at)
    const key = readBytes(batch, cursor.at)
    const value = readBytes(batch, cursor.at)
    const headers: RecordHeader[] = []
    const headerCount = readVarint(batch, cursor.at)
    for (let h = 0; h < headerCount; h++) {
      const name = readBytes(batch, cursor.at)
      headers.push({ key: name === null ? '' : name.toString('utf8'), value: readBytes(batch, cursor.at) })
    }
    if (cursor.at !== end) throw new RangeError('a record is not as long as it says')
    at = end
    yield { offset, timestamp, key, value, headers }
  }
}

function readBytes(source: Buffer, at: number): Buffer | null {
  const length = readVarint(source, at)
  if (length < 0) return null
  const from = cursor.at
  if (from + length > source.length) throw new RangeError('a field runs past its batch')
  cursor.at = from + length
  return source.subarray(from, cursor.at)
}

// -- building a batch -----------------------------------------------------------------------------------------------

/** What a header says that its records do not show. */
export interface BatchHeader {
  readonly baseOffset: number
  readonly lastOffsetDelta: number
  /** ms since 1970, as the other one */
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly records: number
  readonly attributes: number
}

/** Writes the header before records that stand in their place already, and the CRC. The producer fields say: none. */
export function writeHeader(batch: Buffer, header: BatchHeader): void {
  writeInt64(batch, 0, header.baseOffset)
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(0, 12)
  batch[16] = BATCH_MAGIC
  batch.writeInt16BE(header.attributes, 21)
  batch.writeInt32BE(header.lastOffsetDelta, 23)
  writeInt64(batch, 27, header.baseTimestamp)
  writeInt64(batch, 35, header.maxTimestamp)
  batch.fill(0xff, 43, 57)
  batch.writeInt32BE(header.records, 57)
  batch.writeUInt32BE(crc32c(batch.subarray(CRC_FROM)), 17)
}

/** Fills one batch, record by record, into a buffer that is used again for the next batch. */
export class BatchBuilder {
  #bytes: Buffer
  #at = BATCH_HEADER_BYTES
  #count = 0
  #baseTimestamp = 0
  #maxTimestamp = 0
  readonly #keepBytesMax: number

  /** @param keepBytesMax a buffer grown past this is let go on reset, so that one burst does not hold memory. */
  constructor(initialBytes = 1024, keepBytesMax = 2 * 1024 * 1024) {
    this.#bytes = Buffer.allocUnsafeSlow(initialBytes)
    this.#keepBytesMax = keepBytesMax
  }

  get count(): number {
    return this.#count
  }
  /** Bytes the batch would have if it were sealed now. */
  get bytes(): number {
    return this.#at
  }
  get maxTimestamp(): number {
    return this.#maxTimestamp
  }
  /** Of memory, used or not. */
  get heldBytes(): number {
    return this.#bytes.length
  }

  /**
   * Copies one record in.
   * @param timestamp ms since 1970
   * @param headers a headers section from `encodeHeaders`
   * @returns the record's offset delta in this batch
   */
  append(timestamp: number, key: Uint8Array | null, value: Uint8Array | null, headers: Uint8Array): number {
    const delta = this.#count
    if (delta === 0) {
      this.#baseTimestamp = timestamp
      this.#maxTimestamp = timestamp
    } else if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    const timestampDelta = timestamp - this.#baseTimestamp
    const keyBytes = key === null ? 0 : key.length
    const valueBytes = value === null ? 0 : value.length
    const length =
      1 +
      varintSize(timestampDelta) +
      varintSize(delta) +
      (key === null ? 1 : varintSize(keyBytes)) +
      keyBytes +
      (value === null ? 1 : varintSize(valueBytes)) +
      valueBytes +
      headers.length
    this.#reserve(length + 5)
    const bytes = this.#bytes
    let at = writeVarint(bytes, this.#at, length)
    bytes[at++] = 0
    at = writeVarint(bytes, at, timestampDelta)
    at = writeVarint(bytes, at, delta)
    at = writeVarint(bytes, at, key === null ? -1 : keyBytes)
    if (key !== null) at = copyInto(bytes, at, key)
    at = writeVarint(bytes, at, value === null ? -1 : valueBytes)
    if (value !== null) at = copyInto(bytes, at, value)
    this.#at = copyInto(bytes, at, headers)
    this.#count = delta + 1
    return delta
  }

  /** Writes the header and the CRC. The bytes are valid until the next `reset`. */
  seal(baseOffset: number): Buffer {
    assert(this.#count > 0, 'an empty batch is not sealed')
    const batch = this.#bytes.subarray(0, this.#at)
    writeHeader(batch, {
      baseOffset,
      lastOffsetDelta: this.#count - 1,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: this.#maxTimestamp,
      records: this.#count,
      attributes: 0,
    })
    return batch
  }

  reset(): void {
    this.#at = BATCH_HEADER_BYTES
    this.#count = 0
    if (this.#bytes.length > this.#keepBytesMax) this.#bytes = Buffer.allocUnsafeSlow(this.#keepBytesMax)
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(grown, 0, 0, this.#at)
    this.#bytes = grown
  }
}

/** Short fields are copied by a loop: a call into native code costs more than 24 bytes do. */
function copyInto(target: Buffer, at: number, source: Uint8Array): number {
  const length = source.length
  if (length > 24) {
    target.set(source, at)
    return at + length
  }
  for (let i = 0; i < length; i++) target[at + i] = source[i]!
  return at + length
}
