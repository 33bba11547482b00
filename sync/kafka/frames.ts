/**
 * Sends large requests on a connection of the library without copying them. The library puts a request together in one
 * new buffer; for a Produce of megabytes that costs as much as all the rest (measured: 0.8 of 1.0 µs a record, most of
 * it page faults and garbage). Here the pieces go to the socket as they are.
 *
 * The connection stays the library's: it has connected, encrypted and authenticated, and goes on to ask what it asks. Its
 * correlation ids count up from 1, ours from 2^30; an answer to one of ours is taken out of the stream, all others are
 * passed on to it, frame by frame.
 *
 *   frame    := bytes:int32 correlation:int32 rest
 *   request  := bytes:int32 apiKey:int16 apiVersion:int16 correlation:int32 clientIdBytes:int16 clientId tags=0 body
 *   response := bytes:int32 correlation:int32 tags=0 body
 */
import type { Socket } from 'node:net'

const FIRST_CORRELATION = 2 ** 30
const CORRELATION_MAX = 2 ** 31 - 1
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024
/** Pieces below this are joined: a system call for each would cost more than the copy. */
const JOIN_BYTES_MAX = 4096

interface Waiting {
  resolve(body: Buffer): void
  reject(error: Error): void
  readonly timer: NodeJS.Timeout
}

export class Frames {
  readonly #socket: Socket
  readonly #clientId: Buffer
  readonly #requestMs: number
  readonly #theirs: readonly ((chunk: Buffer) => void)[]
  readonly #waiting = new Map<number, Waiting>()
  /** The beginning of a frame, as it came: put together once the frame is whole, not with each piece. */
  #held: Buffer[] = []
  #heldBytes = 0
  /** Bytes of the frame that `#held` begins; 8 while that is not known. */
  #needed = 8
  #correlation = FIRST_CORRELATION

  /** @param socket connected and authenticated; its 'data' listeners get all frames that are not ours */
  constructor(socket: Socket, clientId: string, requestMs: number) {
    this.#socket = socket
    this.#clientId = Buffer.from(clientId, 'utf8')
    this.#requestMs = requestMs
    this.#theirs = socket.listeners('data') as ((chunk: Buffer) => void)[]
    for (const listener of this.#theirs) socket.removeListener('data', listener)
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('close', () => this.#fail(new Error('the connection closed')))
  }

  /** Requests that have no answer yet. */
  get inFlight(): number {
    return this.#waiting.size
  }

  /**
   * @param pieces the request's body; they must not change until it has been answered
   * @returns the answer's body
   */
  request(apiKey: number, apiVersion: number, pieces: readonly Buffer[]): Promise<Buffer> {
    const correlation = this.#correlation
    this.#correlation = correlation === CORRELATION_MAX ? FIRST_CORRELATION : correlation + 1
    const head = Buffer.alloc(4 + 2 + 2 + 4 + 2 + this.#clientId.length + 1)
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, head.length - 4)
    head.writeInt32BE(bytes, 0)
    head.writeInt16BE(apiKey, 4)
    head.writeInt16BE(apiVersion, 6)
    head.writeInt32BE(correlation, 8)
    head.writeInt16BE(this.#clientId.length, 12)
    this.#clientId.copy(head, 14)
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new Error('the connection closed'))
        return
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(correlation)
        reject(new Error('Request timed out'))
      }, this.#requestMs)
      this.#waiting.set(correlation, { resolve, reject, timer })
      this.#write([head, ...pieces])
    })
  }

  #write(pieces: readonly Buffer[]): void {
    this.#socket.cork()
    let small: Buffer[] = []
    for (const piece of pieces) {
      if (piece.length < JOIN_BYTES_MAX) {
        small.push(piece)
        continue
      }
      if (small.length > 0) this.#socket.write(Buffer.concat(small))
      small = []
      this.#socket.write(piece)
    }
    if (small.length > 0) this.#socket.write(Buffer.concat(small))
    this.#socket.uncork()
  }

  #onData(chunk: Buffer): void {
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    if (this.#heldBytes < this.#needed) return
    let bytes = this.#held.length === 1 ? chunk : Buffer.concat(this.#held)
    this.#needed = 8
    while (bytes.length >= 8) {
      const end = 4 + bytes.readInt32BE(0)
      if (end < 8 || end > RESPONSE_BYTES_MAX) {
        this.#socket.destroy(new Error(`an answer of ${end} bytes`))
        return
      }
      if (bytes.length < end) {
        this.#needed = end
        break
      }
      this.#onFrame(bytes.subarray(0, end))
      bytes = bytes.subarray(end)
    }
    this.#held = bytes.length === 0 ? [] : [bytes]
    this.#heldBytes = bytes.length
  }

  #onFrame(frame: Buffer): void {
    const correlation = frame.readInt32BE(4)
    const waiting = this.#waiting.get(correlation)
    if (waiting !== undefined) {
      this.#waiting.delete(correlation)
      clearTimeout(waiting.timer)
      waiting.resolve(frame.subarray(9))
    } else if (correlation < FIRST_CORRELATION) {
      for (const listener of this.#theirs) listener.call(this.#socket, frame)
    }
    // Else it answers a request that timed out.
  }

  #fail(error: Error): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      reject(error)
    }
    this.#waiting.clear()
  }
}
