/** Decoding of RecordBatch v2 (magic 2), written for the tests alone; see wire.ts for why. */
import { crc32c } from '@node-rs/crc32'
import { compressionsAlgorithmsByBitmask } from '@platformatic/kafka'
import { FieldReader } from './wire.ts'

export interface TopicRecord {
  partition: number
  offset: bigint
  /** Milliseconds since 1970. */
  timestamp: bigint
  key: Buffer | null
  value: Buffer | null
  headers: { key: string; value: Buffer | null }[]
}

export interface Batch {
  lastOffset: bigint
  producerId: bigint
  isTransactional: boolean
  isControl: boolean
  records(): TopicRecord[]
}

const COMPRESSION_MASK = 0x07
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
// Up to and with the batch length; the length counts what follows it.
const LENGTH_END = 12
const CRC_COVERS_FROM = 21

/** Splits a Fetch answer's records into batches. The last one may be cut off; the next fetch brings it whole. */
export function* batches(partition: number, bytes: Buffer): Generator<Batch> {
  let start = 0
  while (start + LENGTH_END <= bytes.length) {
    const end = start + LENGTH_END + bytes.readInt32BE(start + 8)
    if (end > bytes.length) return
    yield batch(partition, bytes.subarray(start, end))
    start = end
  }
}

function batch(partition: number, bytes: Buffer): Batch {
  const fields = new FieldReader(bytes)
  const baseOffset = fields.int64()
  fields.int32() // length
  fields.int32() // leader epoch
  const magic = fields.int8()
  if (magic !== 2) throw new Error(`partition ${partition}, offset ${baseOffset}: magic ${magic}`)
  const crc = fields.int32() >>> 0
  if (crc !== crc32c(bytes.subarray(CRC_COVERS_FROM))) {
    throw new Error(`partition ${partition}, offset ${baseOffset}: wrong CRC`)
  }
  const attributes = fields.int16()
  const lastOffset = baseOffset + BigInt(fields.int32())
  const baseTimestamp = fields.int64()
  const maxTimestamp = fields.int64()
  const producerId = fields.int64()
  fields.int16() // producer epoch
  fields.int32() // base sequence
  const count = fields.int32()
  const body = bytes.subarray(fields.position)
  const isLogAppendTime = (attributes & 0x08) !== 0
  return {
    lastOffset,
    producerId,
    isTransactional: (attributes & TRANSACTIONAL) !== 0,
    isControl: (attributes & CONTROL) !== 0,
    records: () => {
      const reader = new RecordReader(decompress(attributes & COMPRESSION_MASK, body))
      const records: TopicRecord[] = []
      for (let index = 0; index < count; index++) {
        const record = reader.record(partition, baseOffset, baseTimestamp)
        if (isLogAppendTime) record.timestamp = maxTimestamp
        records.push(record)
      }
      return records
    },
  }
}

function decompress(codec: number, body: Buffer): Buffer {
  if (codec === 0) return body
  const algorithm = compressionsAlgorithmsByBitmask[codec]
  if (algorithm === undefined) throw new Error(`compression ${codec} is unknown`)
  return algorithm.decompressSync(body)
}

class RecordReader {
  readonly #bytes: Buffer
  #position = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  record(partition: number, baseOffset: bigint, baseTimestamp: bigint): TopicRecord {
    const length = this.#varint()
    const end = this.#position + length
    this.#position += 1 // attributes, unused
    const timestamp = baseTimestamp + this.#varlong()
    const offset = baseOffset + BigInt(this.#varint())
    const key = this.#nullable()
    const value = this.#nullable()
    const headers: TopicRecord['headers'] = []
    for (let count = this.#varint(); count > 0; count--) {
      headers.push({ key: (this.#nullable() ?? Buffer.alloc(0)).toString(), value: this.#nullable() })
    }
    if (this.#position !== end)
      throw new Error(`partition ${partition}, offset ${offset}: wrong record length`)
    return { partition, offset, timestamp, key, value, headers }
  }

  #nullable(): Buffer | null {
    const length = this.#varint()
    if (length < 0) return null
    const start = this.#position
    this.#position += length
    if (this.#position > this.#bytes.length) throw new RangeError('record past the end of its batch')
    return this.#bytes.subarray(start, this.#position)
  }

  /** Zigzag, 32 bits. */
  #varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#position++)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
  }

  /** Zigzag, 64 bits; in numbers as long as they are exact, because almost all are small. */
  #varlong(): bigint {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#bytes.readUInt8(this.#position++)
      if (shift === 0n && byte < 0x80) return BigInt((byte >>> 1) ^ -(byte & 1))
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
    }
  }
}
