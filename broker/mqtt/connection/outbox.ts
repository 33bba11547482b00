/**
 * What goes to a client: packets are collected in a chunk while a turn of the event loop lasts and leave as one write. Small ones are copied in, large
 * payloads go beside it uncopied. What the socket has not taken yet is counted against a limit.
 *
 * One write is under way at a time: what comes meanwhile fills chunks. A write a turn, each with a chunk of its own, would hold a hundred times the
 * bytes that are counted where a client does not read.
 *
 * A chunk is used again once its write has called back: the stream must be done with the bytes then, as sockets are.
 */
import type { Writable } from 'node:stream'

const CHUNK_BYTES = 16 * 1024
/** Chunks kept for the next writes: not each turn makes new ones. */
const FREE_CHUNKS_MAX = 64
/** What is written uncopied: a copy would cost more than a second piece in the same write. */
const UNCOPIED_BYTES_MIN = 4 * 1024

/** What one outbox may hold while all together hold their limit. */
export const CROWDED_BYTES_MAX = 64 * 1024

/** Chunks that are not in use, and the outboxes that have something to write: one for all connections. */
export class OutboxPool {
  readonly #bytesMax: number
  readonly #free: Buffer[] = []
  #dirty: Outbox[] = []
  /** Handed to sockets since the start, and the packets written to outboxes. */
  sentBytes = 0
  sentPackets = 0
  /** Bytes that wait in all of them, counted once a turn. */
  heldBytes = 0
  readonly #flushAll = () => this.flush()

  /** @param bytesMax of all outboxes together; at it each may hold only `CROWDED_BYTES_MAX` */
  constructor(bytesMax = Number.POSITIVE_INFINITY) {
    this.#bytesMax = bytesMax
  }

  get isCrowded(): boolean {
    return this.heldBytes >= this.#bytesMax
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
  }

  give(chunk: Buffer): void {
    if (this.#free.length < FREE_CHUNKS_MAX) this.#free.push(chunk)
  }

  /** It is flushed when this turn's work is done. */
  schedule(outbox: Outbox): void {
    if (this.#dirty.length === 0) process.nextTick(this.#flushAll)
    this.#dirty.push(outbox)
  }

  flush(): void {
    const dirty = this.#dirty
    this.#dirty = []
    for (let i = 0; i < dirty.length; i++) dirty[i]!.flush()
  }
}

export class Outbox {
  readonly #stream: Writable
  readonly #pool: OutboxPool
  readonly #bytesMax: number
  #chunk: Buffer | null = null
  #isScheduled = false
  #isEnded = false
  /** What the pool has been told of it. */
  #countedBytes = 0
  #isReleased = false
  /** Full chunks and large payloads before the chunk in use; beside each the chunk that is free once it is written, or null. */
  #waiting: Buffer[] = []
  #waitingChunks: (Buffer | null)[] = []
  #waitingBytes = 0
  /** Where the next byte goes in what `reserve` returned. */
  at = 0
  /** What is before it in the chunk is set aside already. */
  #from = 0
  /** Handed to the socket, and the PUBLISHes written here. */
  sentBytes = 0
  sentMessages = 0
  /** Called when it was full and no longer is. */
  onRoom: () => void = () => {}
  #wasFull = false

  constructor(stream: Writable, pool: OutboxPool, bytesMax: number) {
    this.#stream = stream
    this.#pool = pool
    this.#bytesMax = bytesMax
  }

  /** Bytes that are not with the kernel yet. */
  get bytes(): number {
    return this.#unsentBytes + this.#stream.writableLength
  }

  get #unsentBytes(): number {
    return this.at - this.#from + this.#waitingBytes
  }

  get #limit(): number {
    return this.#pool.isCrowded ? Math.min(CROWDED_BYTES_MAX, this.#bytesMax) : this.#bytesMax
  }

  get isFull(): boolean {
    if (this.bytes < this.#limit) return false
    // a turn can bring more than the limit, and the kernel may take it
    this.#sendNext()
    if (this.bytes < this.#limit) return false
    this.#wasFull = true
    return true
  }

  /** @param bytes at most CHUNK_BYTES @returns a buffer with room for them at `at`; move `at`, then call `wrote` */
  reserve(bytes: number): Buffer {
    let chunk = this.#chunk
    if (chunk !== null && this.at + bytes <= CHUNK_BYTES) return chunk
    if (chunk !== null) this.#setAsideLast()
    chunk = this.#pool.take()
    this.#chunk = chunk
    return chunk
  }

  /** @param packets that came to an end with it */
  wrote(packets = 1): void {
    this.#pool.sentPackets += packets
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#pool.schedule(this)
  }

  /** @param bytes not changed any more @param packets that come to an end with it */
  write(bytes: Buffer, packets = 1): void {
    if (bytes.length < UNCOPIED_BYTES_MIN) {
      const chunk = this.reserve(bytes.length)
      chunk.set(bytes, this.at)
      this.at += bytes.length
    } else {
      if (this.at > this.#from) this.#setAside(null)
      this.#wait(bytes, null)
    }
    this.wrote(packets)
  }

  /** The largest that `reserve` takes. */
  static readonly reservedBytesMax = UNCOPIED_BYTES_MIN

  /** Hands over what has collected, unless a write is under way: it goes once that is done. */
  flush(): void {
    this.#isScheduled = false
    this.#sendNext()
    this.#count()
  }

  /** The connection has ended: what it held is gone. */
  release(): void {
    this.#pool.heldBytes -= this.#countedBytes
    this.#countedBytes = 0
    this.#isReleased = true
  }

  #count(): void {
    if (this.#isReleased) return
    const { bytes } = this
    this.#pool.heldBytes += bytes - this.#countedBytes
    this.#countedBytes = bytes
  }

  #sendNext(): void {
    if (this.#unsentBytes > 0 && this.#stream.writableLength === 0) this.#send()
  }

  #send(): void {
    const stream = this.#stream
    if (this.#isEnded || !stream.writable) {
      this.#drop()
      return
    }
    if (this.#waiting.length === 0) {
      this.#sendChunk()
      return
    }
    if (this.#chunk !== null) this.#setAsideLast()
    const waiting = this.#waiting
    const chunks = this.#waitingChunks
    this.#waiting = []
    this.#waitingChunks = []
    this.#waitingBytes = 0
    stream.cork()
    for (let i = 0; i < waiting.length; i++) this.#hand(waiting[i]!, chunks[i]!)
    stream.uncork()
  }

  /** Writes what is left, then ends the stream. */
  end(): void {
    if (this.#isEnded) return
    this.#send()
    this.#isEnded = true
    this.#stream.end()
  }

  /** Nothing is set aside: all of the chunk. */
  #sendChunk(): void {
    const chunk = this.#chunk
    if (chunk === null) return
    const used = this.at
    this.#chunk = null
    this.at = 0
    if (used === 0) this.#pool.give(chunk)
    else this.#hand(used === chunk.length ? chunk : chunk.subarray(0, used), chunk)
  }

  #hand(bytes: Buffer, chunk: Buffer | null): void {
    this.#pool.sentBytes += bytes.length
    this.sentBytes += bytes.length
    this.#stream.write(bytes, (error) => {
      if (chunk !== null && !error) this.#pool.give(chunk)
      this.#sendNext()
      this.#count()
      if (this.#wasFull && this.bytes < this.#limit / 2) {
        this.#wasFull = false
        this.onRoom()
      }
    })
  }

  #wait(bytes: Buffer, chunk: Buffer | null): void {
    this.#waiting.push(bytes)
    this.#waitingChunks.push(chunk)
    this.#waitingBytes += bytes.length
  }

  /** @param done the chunk where nothing more goes into it */
  #setAside(done: Buffer | null): void {
    this.#wait(this.#chunk!.subarray(this.#from, this.at), done)
    this.#from = this.at
  }

  /** The chunk is free once the last of what came before is written, in it or beside it. */
  #setAsideLast(): void {
    const chunk = this.#chunk!
    if (this.at > this.#from) this.#setAside(chunk)
    else if (this.#from > 0) this.#waitingChunks[this.#waitingChunks.length - 1] = chunk
    else this.#pool.give(chunk)
    this.#chunk = null
    this.#from = 0
    this.at = 0
  }

  #drop(): void {
    if (this.#chunk !== null) this.#pool.give(this.#chunk)
    this.#chunk = null
    this.#from = 0
    this.at = 0
    for (const chunk of this.#waitingChunks) if (chunk !== null) this.#pool.give(chunk)
    this.#waiting.length = 0
    this.#waitingChunks.length = 0
    this.#waitingBytes = 0
  }
}
