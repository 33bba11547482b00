/**
 * Fetch, version 13: topics go by id, so that a topic that was deleted and created again is another one. The library's
 * own Fetch decodes each record to an object with big integers and does not get past tagged fields; here the answer's
 * batches stay bytes.
 *
 *   request   := replica:int32=-1 waitMs:int32 bytesMin:int32 bytesMax:int32 isolation:int8 session:int32=0 epoch:int32=-1
 *                [topicId:uuid [partition:int32 leaderEpoch:int32 offset:int64 lastEpoch:int32=-1 logStart:int64=-1
 *                bytesMax:int32 tags] tags] [forgotten]=none rack="" tags
 *   response  := throttleMs:int32 error:int16 session:int32 [topicId:uuid [partition] tags] tags
 *   partition := partition:int32 error:int16 highWatermark:int64 lastStable:int64 logStart:int64
 *                [producerId:int64 firstOffset:int64 tags] preferredReplica:int32 records tags
 *
 * [x] is an array: its length and one more as an unsigned varint (0 is null), then its items; `records` is so, of bytes.
 * tags := count:uvarint (tag:uvarint bytes:uvarint byte*)*. All numbers are big-endian.
 */

export const FETCH_API = 1
export const FETCH_VERSION = 13

export type Isolation = 'read_committed' | 'read_uncommitted'

export interface FetchAsk {
  readonly topicId: string
  readonly partition: number
  /** As metadata told it; -1: not checked. */
  readonly leaderEpoch: number
  readonly offset: number
}

export interface FetchRequest {
  readonly isolation: Isolation
  /** How long the leader may wait for the first byte. */
  readonly waitMs: number
  /** Of the whole answer. One batch comes whole even if it is larger. */
  readonly bytesMax: number
  readonly partitionBytesMax: number
  /** The first is served first. */
  readonly asks: readonly FetchAsk[]
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: number
}

export interface FetchedPartition {
  readonly topicId: string
  readonly partition: number
  /** Kafka's error code; 0 is none. */
  readonly errorCode: number
  readonly lastStableOffset: number
  readonly logStartOffset: number
  /** Those that overlap `records`, under read_committed. */
  readonly aborted: readonly AbortedTransaction[]
  /** Batches, the last of which may be cut off. A view into the answer. */
  readonly records: Buffer
}

export interface FetchAnswer {
  readonly errorCode: number
  readonly partitions: readonly FetchedPartition[]
}

/** Bytes of an ask with its topic, generously. */
const ASK_BYTES = 80
const HEAD_BYTES = 64
const READ_UNCOMMITTED = 0
const READ_COMMITTED = 1

export function encodeFetch(request: FetchRequest): Buffer {
  const { isolation, waitMs, bytesMax, partitionBytesMax, asks } = request
  const out = new Out(HEAD_BYTES + asks.length * ASK_BYTES)
  out.int32(-1).int32(waitMs).int32(1).int32(bytesMax)
  out.int8(isolation === 'read_committed' ? READ_COMMITTED : READ_UNCOMMITTED)
  out.int32(0).int32(-1)
  // A topic an ask, in the order of the asks: grouped, it would be served in another.
  out.uvarint(asks.length + 1)
  for (const { topicId, partition, leaderEpoch, offset } of asks) {
    out.uuid(topicId).uvarint(2).int32(partition).int32(leaderEpoch).int64(offset)
    out.int32(-1).int64(-1).int32(partitionBytesMax).uvarint(0).uvarint(0)
  }
  return out.uvarint(1).uvarint(1).uvarint(0).finish()
}

/** @throws RangeError when it ends too early */
export function decodeFetch(body: Buffer): FetchAnswer {
  const read = new In(body)
  read.int32()
  const errorCode = read.int16()
  read.int32()
  const partitions: FetchedPartition[] = []
  for (let topics = read.count(); topics > 0; topics--) {
    const topicId = read.uuid()
    for (let left = read.count(); left > 0; left--) partitions.push(decodePartition(read, topicId))
    read.tags()
  }
  return { errorCode, partitions }
}

function decodePartition(read: In, topicId: string): FetchedPartition {
  const partition = read.int32()
  const errorCode = read.int16()
  read.int64()
  const lastStableOffset = Number(read.int64())
  const logStartOffset = Number(read.int64())
  const aborted: AbortedTransaction[] = []
  for (let left = read.count(); left > 0; left--) {
    aborted.push({ producerId: read.int64(), firstOffset: Number(read.int64()) })
    read.tags()
  }
  read.int32()
  const records = read.bytes(read.count())
  read.tags()
  return { topicId, partition, errorCode, lastStableOffset, logStartOffset, aborted, records }
}

class Out {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytesMax: number) {
    this.#bytes = Buffer.alloc(bytesMax)
  }
  int8(value: number): this {
    this.#at = this.#bytes.writeInt8(value, this.#at)
    return this
  }
  int32(value: number): this {
    this.#at = this.#bytes.writeInt32BE(value, this.#at)
    return this
  }
  int64(value: number): this {
    this.#at = this.#bytes.writeBigInt64BE(BigInt(value), this.#at)
    return this
  }
  uvarint(value: number): this {
    let left = value
    for (; left >= 128; left >>>= 7) this.#bytes[this.#at++] = (left & 127) | 128
    this.#bytes[this.#at++] = left
    return this
  }
  uuid(text: string): this {
    this.#at += this.#bytes.write(text.replaceAll('-', ''), this.#at, 'hex')
    return this
  }
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }
}

class In {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  int16(): number {
    return this.bytes(2).readInt16BE(0)
  }
  int32(): number {
    return this.bytes(4).readInt32BE(0)
  }
  int64(): bigint {
    return this.bytes(8).readBigInt64BE(0)
  }
  uvarint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes(1)[0]!
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  /** Of an array: null counts as none. */
  count(): number {
    return Math.max(0, this.uvarint() - 1)
  }
  uuid(): string {
    const hex = this.bytes(16).toString('hex')
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }
  bytes(length: number): Buffer {
    const from = this.#at
    if (from + length > this.#bytes.length) throw new RangeError('a Fetch answer ends too early')
    this.#at = from + length
    return this.#bytes.subarray(from, this.#at)
  }
  tags(): void {
    for (let left = this.uvarint(); left > 0; left--) {
      this.uvarint()
      this.bytes(this.uvarint())
    }
  }
}
