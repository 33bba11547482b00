/**
 * What modbus-serial takes for a port, over the bridge's own serial line: it puts the bytes of an answer together and hands on whole ones
 * (Modbus over Serial Line 1.02, 2.5.1).
 *
 *   request := unit function address:u16be count:u16be crc:u16le
 *   answer  := unit function bytes:u8 byte{bytes} crc | unit (function + 0x80) code:u8 crc
 *
 * An answer is looked for at every offset: drivers of RS-485 put a byte of noise before it when they turn on, and some adapters hear what
 * they send. What comes while nothing is asked is thrown away: an answer that is late must not be taken for the next one's.
 */
import { EventEmitter } from 'node:events'

/** Of a request, the checksum included. */
export const REQUEST_BYTES = 8
const EXCEPTION_BYTES = 5
const ANSWER_BYTES_MAX = 512

export interface RtuLine {
  readonly isOpen: boolean
  write(bytes: Uint8Array): boolean
}

export class RtuPort extends EventEmitter {
  readonly #line: RtuLine
  readonly #buffer = Buffer.alloc(ANSWER_BYTES_MAX)
  #length = 0
  #unit = 0
  #function = 0
  /** Of the answer, the checksum included; 0 while nothing is asked. */
  #expected = 0
  /** Bytes that came since the last request. */
  received = 0
  /** Bytes that came while nothing was asked. */
  stray = 0

  constructor(line: RtuLine) {
    super()
    this.#line = line
  }

  get isOpen(): boolean {
    return this.#line.isOpen
  }

  open(callback: (error: Error | null) => void): void {
    callback(null)
  }

  close(callback: (error: Error | null) => void): void {
    callback(null)
  }

  /** A request of functions 1 to 4. */
  write(request: Uint8Array): void {
    const view = Buffer.from(request.buffer, request.byteOffset, request.length)
    this.#unit = view[0]!
    this.#function = view[1]!
    const count = view.readUInt16BE(4)
    this.#expected = 5 + (this.#function <= 2 ? Math.ceil(count / 8) : count * 2)
    this.#length = 0
    this.received = 0
    this.#line.write(request)
  }

  /** The answer came, or is not waited for any more. */
  rest(): void {
    this.#expected = 0
  }

  /** What the line reads. */
  receive(chunk: Uint8Array): void {
    this.received += chunk.length
    if (this.#expected === 0) {
      this.stray += chunk.length
      return
    }
    const taken = chunk.subarray(0, ANSWER_BYTES_MAX - this.#length)
    this.#buffer.set(taken, this.#length)
    this.#length += taken.length
    const answer = this.#find()
    if (answer === null) return
    this.#expected = 0
    this.emit('data', answer)
  }

  #find(): Buffer | null {
    for (let at = 0; at + EXCEPTION_BYTES <= this.#length; at++) {
      if (this.#buffer[at] !== this.#unit) continue
      const code = this.#buffer[at + 1]
      const isAnswer = code === this.#function && this.#buffer[at + 2] === this.#expected - 5
      if (!isAnswer && code !== (this.#function | 0x80)) continue
      const end = at + (isAnswer ? this.#expected : EXCEPTION_BYTES)
      if (end > this.#length || !hasCrc(this.#buffer, at, end)) continue
      return Buffer.from(this.#buffer.subarray(at, end))
    }
    return null
  }
}

/** CRC-16/MODBUS over an answer and its own checksum is 0. */
function hasCrc(bytes: Uint8Array, start: number, end: number): boolean {
  let crc = 0xffff
  for (let i = start; i < end; i++) {
    crc ^= bytes[i]!
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0xa001
  }
  return crc === 0
}
