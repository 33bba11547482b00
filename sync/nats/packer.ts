/**
 * Puts the stored batches of one part together into messages of a bounded size. Batches from `JOIN_BYTES_MAX` on go as
 * they are stored, untouched. Smaller ones become one: its 61 bytes of header would be a third of a single reading.
 * Records keep offset, time and bytes; only the varints in front of them are written anew. Where all records of a part are left
 * out, or a person moves the position, a message without any says where it is then.
 *
 *   stored   length attributes timestampDelta offsetDelta | keyLength key valueLength value headers |
 *   joined   length 0          timestampDelta offsetDelta | the same                               |
 */
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  cursor,
  nextOffsetOf,
  readVarint,
  recordCountOf,
  varintSize,
  writeHeader,
  writeVarint,
} from '../../broker/index.ts'
import { partProof, recordProof } from '../proof.ts'
import type { RoundPart } from '../upstream.ts'

/** Of a batch of this size the header is 1.5%. */
const JOIN_BYTES_MAX = 4096
/** Length, timestamp delta and offset delta. */
const FRONT_BYTES_MAX = 30
const BUFFER_BYTES_MIN = 4096
/** There are decoders that are wrong above 2^30, where the zigzag needs the 32nd bit. */
const OFFSET_DELTA_MAX = 2 ** 30 - 1

export interface Packed {
  /** RecordBatch v2, one behind the other, or none; valid until the next message is asked for. */
  readonly payload: Buffer
  readonly records: number
  readonly from: number
  readonly next: number
  /** `recordProof` of the record at `next - 1`; null when compaction removed it. */
  readonly proof: number | null
}

/** The batch that small ones are put into. */
interface Joined {
  at: number
  records: number
  readonly attributes: number
  readonly baseOffset: number
  readonly baseTimestamp: number
  lastOffset: number
  maxTimestamp: number
}

export class Packer {
  readonly #part: RoundPart
  readonly #bytesMax: number
  /** The stored batch in hand, and how far into it the last message came. */
  #batchIndex = 0
  #recordIndex = 0
  #recordAt = BATCH_HEADER_BYTES
  /** The offset after what was packed. */
  #offset: number
  /** A person moved the position to where this part begins and ends: one message says so. */
  #isMove: boolean
  #buffer: Buffer = Buffer.alloc(0)
  #joined: Joined | null = null
  #pieces: Buffer[] = []
  #pieceBytes = 0
  #records = 0
  #full = false

  /** @param bytesMax of one payload; a record that is larger comes alone */
  constructor(part: RoundPart, bytesMax: number) {
    this.#part = part
    this.#bytesMax = bytesMax
    this.#offset = part.fromOffset
    this.#isMove = part.batches.length === 0 && part.fromOffset === part.nextOffset
  }

  /** The next message, or null when the part is through. */
  next(): Packed | null {
    const { batches, nextOffset } = this.#part
    const from = this.#offset
    this.#pieces = []
    this.#pieceBytes = 0
    this.#records = 0
    this.#full = false
    while (this.#batchIndex < batches.length && !this.#full) {
      const stored = batches[this.#batchIndex]!.bytes
      if (nextOffsetOf(stored) > this.#offset) this.#add(stored)
      if (this.#full) break
      this.#offset = Math.max(this.#offset, nextOffsetOf(stored))
      this.#batchIndex++
      this.#recordIndex = 0
      this.#recordAt = BATCH_HEADER_BYTES
    }
    this.#seal()
    const isLast = this.#batchIndex === batches.length
    if (isLast) this.#offset = nextOffset
    if (this.#offset === from && !this.#isMove) return null
    this.#isMove = false
    const [first, ...more] = this.#pieces
    const payload = first === undefined || more.length > 0 ? Buffer.concat(this.#pieces) : first
    // What was left out behind the last record has its proof in the part.
    const proof = isLast ? partProof(this.#part) : recordProof(this.#pieces.at(-1)!, this.#offset - 1)
    return { payload, records: this.#records, from, next: this.#offset, proof }
  }

  #add(stored: Buffer): void {
    const isWhole = this.#recordIndex === 0 && baseOffsetOf(stored) >= this.#offset
    if (isWhole && stored.length <= this.#bytesMax && stored.length >= JOIN_BYTES_MAX) this.#take(stored)
    else this.#join(stored)
  }

  #take(stored: Buffer): void {
    if (this.#bytes > 0 && this.#bytes + stored.length > this.#bytesMax) {
      this.#full = true
      return
    }
    this.#seal()
    this.#push(stored, recordCountOf(stored))
  }

  /** Moves the records of one stored batch, from where the last message came to, into the joined one. */
  #join(stored: Buffer): void {
    const count = recordCountOf(stored)
    const baseOffset = baseOffsetOf(stored)
    const baseTimestamp = baseTimestampOf(stored)
    if (this.#joined !== null && this.#joined.attributes !== attributesOf(stored)) this.#seal()
    for (; this.#recordIndex < count; this.#recordIndex++) {
      const length = readVarint(stored, this.#recordAt)
      const end = cursor.at + length
      if (length < 0 || end > stored.length) throw new RangeError('a record runs past its batch')
      const timestamp = baseTimestamp + readVarint(stored, cursor.at + 1)
      const offset = baseOffset + readVarint(stored, cursor.at)
      const restAt = cursor.at
      if (offset >= this.#offset) {
        const bytes = end - restAt + FRONT_BYTES_MAX
        const header = this.#joined === null ? BATCH_HEADER_BYTES : 0
        if (this.#bytes > 0 && this.#bytes + bytes + header > this.#bytesMax) {
          this.#full = true
          return
        }
        if (this.#joined !== null && offset - this.#joined.baseOffset > OFFSET_DELTA_MAX) this.#seal()
        this.#joined ??= this.#begin(attributesOf(stored), offset, timestamp)
        this.#append(this.#joined, stored.subarray(restAt, end), offset, timestamp)
        this.#offset = offset + 1
      }
      this.#recordAt = end
    }
  }

  #begin(attributes: number, baseOffset: number, baseTimestamp: number): Joined {
    const lastOffset = baseOffset
    const maxTimestamp = baseTimestamp
    // A piece is a view of its buffer, so each joined batch has one of its own.
    this.#buffer = Buffer.allocUnsafe(BUFFER_BYTES_MIN)
    return {
      at: BATCH_HEADER_BYTES,
      records: 0,
      attributes,
      baseOffset,
      baseTimestamp,
      lastOffset,
      maxTimestamp,
    }
  }

  /** @param rest the record from its key's length on */
  #append(joined: Joined, rest: Buffer, offset: number, timestamp: number): void {
    const timestampDelta = timestamp - joined.baseTimestamp
    const offsetDelta = offset - joined.baseOffset
    const bytes = this.#room(joined.at, rest.length + FRONT_BYTES_MAX)
    const length = 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + rest.length
    let at = writeVarint(bytes, joined.at, length)
    bytes[at++] = 0
    at = writeVarint(bytes, at, timestampDelta)
    at = writeVarint(bytes, at, offsetDelta)
    joined.at = at + rest.copy(bytes, at)
    joined.records++
    joined.lastOffset = offset
    joined.maxTimestamp = Math.max(joined.maxTimestamp, timestamp)
  }

  #room(at: number, bytes: number): Buffer {
    if (at + bytes > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(
        Math.max(at + bytes, Math.min(this.#buffer.length * 2, this.#bytesMax)),
      )
      this.#buffer.copy(grown, 0, 0, at)
      this.#buffer = grown
    }
    return this.#buffer
  }

  #seal(): void {
    const joined = this.#joined
    if (joined === null) return
    this.#joined = null
    const batch = this.#buffer.subarray(0, joined.at)
    const { attributes, baseOffset, baseTimestamp, maxTimestamp, records } = joined
    const lastOffsetDelta = joined.lastOffset - baseOffset
    writeHeader(batch, { baseOffset, lastOffsetDelta, baseTimestamp, maxTimestamp, records, attributes })
    this.#push(batch, records)
  }

  #push(piece: Buffer, records: number): void {
    this.#pieces.push(piece)
    this.#pieceBytes += piece.length
    this.#records += records
  }

  get #bytes(): number {
    return this.#pieceBytes + (this.#joined?.at ?? 0)
  }
}
