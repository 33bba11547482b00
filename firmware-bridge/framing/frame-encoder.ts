/** From a message to its frame with both delimiters (frame.ts), in one buffer that is made once. */
import { assert } from '../../broker/assert.ts'
import { cobsEncode } from './cobs.ts'
import { crc16 } from './crc16.ts'
import { CRC_BYTES, DELIMITER, frameBytesMax } from './frame.ts'

export class FrameEncoder {
  readonly #plain: Uint8Array
  readonly #wire: Buffer

  constructor(messageBytesMax: number) {
    this.#plain = new Uint8Array(messageBytesMax + CRC_BYTES)
    this.#wire = Buffer.alloc(frameBytesMax(messageBytesMax) + 2)
  }

  /** @param message at most messageBytesMax bytes @returns valid until the next call */
  encode(message: Uint8Array): Uint8Array {
    const { length } = message
    assert(length + CRC_BYTES <= this.#plain.length, `a message of ${length} bytes is too long for its frame`)
    const crc = crc16(message)
    this.#plain.set(message)
    this.#plain[length] = crc >>> 8
    this.#plain[length + 1] = crc & 0xff
    const end = cobsEncode(this.#plain, 0, length + CRC_BYTES, this.#wire, 1)
    this.#wire[0] = DELIMITER
    this.#wire[end] = DELIMITER
    return this.#wire.subarray(0, end + 1)
  }
}
