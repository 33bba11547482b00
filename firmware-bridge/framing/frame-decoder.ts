/**
 * From bytes of a serial line, in chunks of any size, to messages that passed every check (frame.ts has the grammar). Nothing of a frame
 * that fails one is used. Once it has seen a message of each length it allocates nothing, neither for a byte nor for a frame.
 */
import { assert } from '../../broker/assert.ts'
import { cobsDecode } from './cobs.ts'
import { crc16 } from './crc16.ts'
import { CRC_BYTES, DELIMITER, frameBytesMax, MESSAGE_BYTES_LIMIT, MESSAGE_BYTES_MIN } from './frame.ts'
import { declaredLength } from './message-length.ts'
import { Pieces } from './pieces.ts'

/**
 * `cobs`: a block reaches beyond the frame's end. `crc`: the checksum is another one. `length`: the message says another length than it
 * has. `oversize`: longer than messageBytesMax. `truncated`: too short for a message, or the port went away within it.
 */
export type DropReason = 'cobs' | 'crc' | 'length' | 'oversize' | 'truncated'

export interface FrameSink {
  /** @param message valid during the call only */
  onMessage(message: Uint8Array): void
  onDropped(reason: DropReason): void
}

export class FrameDecoder {
  readonly #sink: FrameSink
  readonly #pieces: Pieces
  readonly #messageBytesMax: number
  readonly #decoded: Uint8Array
  /** A view of the decoded bytes by its length: a frame needs no new one. */
  readonly #views: (Uint8Array | undefined)[]

  constructor(messageBytesMax: number, sink: FrameSink) {
    assert(
      messageBytesMax >= MESSAGE_BYTES_MIN && messageBytesMax <= MESSAGE_BYTES_LIMIT,
      `messageBytesMax is ${messageBytesMax}`,
    )
    const pieceBytesMax = frameBytesMax(messageBytesMax)
    this.#sink = sink
    this.#messageBytesMax = messageBytesMax
    this.#decoded = new Uint8Array(pieceBytesMax)
    this.#views = new Array(messageBytesMax + 1).fill(undefined)
    this.#pieces = new Pieces(
      {
        onPiece: (bytes, start, end) => this.#onFrame(bytes, start, end),
        onOversize: () => sink.onDropped('oversize'),
      },
      DELIMITER,
      pieceBytesMax,
    )
  }

  /** Bytes of frames that were too long, since the start. */
  get bytesSkipped(): number {
    return this.#pieces.bytesSkipped
  }

  push(chunk: Uint8Array): void {
    this.#pieces.push(chunk)
  }

  /** The port went away, or came back: what was begun is not finished any more. */
  reset(): void {
    if (this.#pieces.reset()) this.#sink.onDropped('truncated')
  }

  #onFrame(bytes: Uint8Array, start: number, end: number): void {
    const decodedEnd = cobsDecode(bytes, start, end, this.#decoded, 0)
    const length = decodedEnd - CRC_BYTES
    const fault = decodedEnd < 0 ? 'cobs' : this.#faultOf(length)
    if (fault === null) this.#sink.onMessage(this.#viewOf(length))
    else this.#sink.onDropped(fault)
  }

  #faultOf(length: number): DropReason | null {
    if (length < MESSAGE_BYTES_MIN) return 'truncated'
    if (length > this.#messageBytesMax) return 'oversize'
    const sent = (this.#decoded[length]! << 8) | this.#decoded[length + 1]!
    if (crc16(this.#decoded, 0, length) !== sent) return 'crc'
    return declaredLength(this.#decoded, 0, length) === length ? null : 'length'
  }

  #viewOf(length: number): Uint8Array {
    let view = this.#views[length]
    if (view === undefined) {
      view = this.#decoded.subarray(0, length)
      this.#views[length] = view
    }
    return view
  }
}
