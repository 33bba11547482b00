/**
 * The Kafka protocol as far as the tests' own reader needs it: old versions without tagged fields, which every
 * Kafka 4 broker still serves. Written apart from the code under test, so that one mistake is not made on both sides.
 */
import { connect, type Socket } from 'node:net'

/** Writes big-endian fields one after the other. */
export class FieldWriter {
  readonly #parts: Buffer[] = []

  int8(value: number): this {
    return this.#add(1, (buffer) => buffer.writeInt8(value))
  }
  int16(value: number): this {
    return this.#add(2, (buffer) => buffer.writeInt16BE(value))
  }
  int32(value: number): this {
    return this.#add(4, (buffer) => buffer.writeInt32BE(value))
  }
  int64(value: bigint): this {
    return this.#add(8, (buffer) => buffer.writeBigInt64BE(value))
  }
  string(value: string): this {
    const bytes = Buffer.from(value)
    this.int16(bytes.length)
    this.#parts.push(bytes)
    return this
  }
  raw(value: Buffer): this {
    this.#parts.push(value)
    return this
  }
  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #add(length: number, write: (buffer: Buffer) => void): this {
    const buffer = Buffer.allocUnsafe(length)
    write(buffer)
    this.#parts.push(buffer)
    return this
  }
}

/** Reads what FieldWriter's counterpart wrote; past the end it throws a RangeError. */
export class FieldReader {
  readonly bytes: Buffer
  position = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  int8(): number {
    return this.bytes.readInt8(this.#advance(1))
  }
  int16(): number {
    return this.bytes.readInt16BE(this.#advance(2))
  }
  int32(): number {
    return this.bytes.readInt32BE(this.#advance(4))
  }
  int64(): bigint {
    return this.bytes.readBigInt64BE(this.#advance(8))
  }
  string(): string | null {
    const length = this.int16()
    return length < 0 ? null : this.take(length).toString()
  }
  /** A count of elements, then each of them; a null array reads as an empty one. */
  array<T>(element: () => T): T[] {
    const elements: T[] = []
    for (let count = this.int32(); count > 0; count--) elements.push(element())
    return elements
  }
  /** A view, not a copy. */
  take(length: number): Buffer {
    const start = this.#advance(length)
    if (this.position > this.bytes.length) throw new RangeError('field past the end of the answer')
    return this.bytes.subarray(start, this.position)
  }

  #advance(length: number): number {
    const start = this.position
    this.position += length
    return start
  }
}

/** The connection could not be made or went away; another one may work. */
export class ConnectionError extends Error {}

/** One connection to one broker, one request at a time. */
export class WireConnection {
  readonly #socket: Socket
  #chunks: Buffer[] = []
  #length = 0
  #correlationId = 0
  #waiting: { resolve: (answer: FieldReader) => void; reject: (error: Error) => void } | undefined
  #failure: Error | undefined

  constructor(address: string) {
    const colon = address.lastIndexOf(':')
    this.#socket = connect({
      host: address.slice(0, colon),
      port: Number(address.slice(colon + 1)),
      noDelay: true,
    })
    this.#socket.on('data', (chunk) => this.#receive(chunk))
    this.#socket.on('error', (error) => this.#fail(new ConnectionError(`${address}: ${error.message}`)))
    this.#socket.on('close', () => this.#fail(new ConnectionError(`${address} closed the connection`)))
  }

  /** Sends one request and resolves with its answer's body. */
  request(apiKey: number, version: number, body: Buffer): Promise<FieldReader> {
    if (this.#waiting) throw new Error('one request at a time')
    const header = new FieldWriter()
      .int16(apiKey)
      .int16(version)
      .int32(++this.#correlationId)
      .string('test-reader')
    const message = header.raw(body).finish()
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure)
        return
      }
      this.#waiting = { resolve, reject }
      this.#socket.write(new FieldWriter().int32(message.length).raw(message).finish())
    })
  }

  close(reason = 'closed'): void {
    this.#fail(new ConnectionError(reason))
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length < 4) return
    if (this.#chunks[0]!.length < 4) this.#chunks = [Buffer.concat(this.#chunks)]
    if (this.#length < 4 + this.#chunks[0]!.readInt32BE()) return
    const answer = new FieldReader(Buffer.concat(this.#chunks))
    this.#chunks = []
    this.#length = 0
    answer.int32()
    const waiting = this.#waiting
    this.#waiting = undefined
    if (answer.int32() === this.#correlationId) waiting?.resolve(answer)
    else this.#fail(new ConnectionError('the answer belongs to another request'))
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#waiting?.reject(this.#failure)
    this.#waiting = undefined
  }
}

const API_VERSIONS = 18

/** Whether a Kafka broker answers at this address. */
export async function answers(address: string, timeoutMs = 2_000): Promise<boolean> {
  const connection = new WireConnection(address)
  const timer = setTimeout(() => connection.close('no answer'), timeoutMs)
  try {
    const answer = await connection.request(API_VERSIONS, 0, Buffer.alloc(0))
    return answer.int16() === 0
  } catch {
    return false
  } finally {
    clearTimeout(timer)
    connection.close()
  }
}
