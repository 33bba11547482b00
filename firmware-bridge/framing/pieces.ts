/**
 * Cuts a stream of bytes at a delimiter. What lies whole in a chunk is handed on where it lies; what is spread over several is put
 * together in one buffer that is made once. A piece longer than `pieceBytesMax` is told once and skipped up to its delimiter.
 */
export interface PieceSink {
  /** Without its delimiter; empty ones are left out. @param end exclusive; the bytes are valid during the call only */
  onPiece(bytes: Uint8Array, start: number, end: number): void
  /** A piece went over its maximum; what is left of it is skipped. */
  onOversize(): void
}

export class Pieces {
  readonly #sink: PieceSink
  readonly #delimiter: number
  readonly #carry: Buffer
  #carried = 0
  #isSkipping = false
  /** Bytes of pieces that were too long, since the start. */
  bytesSkipped = 0

  constructor(sink: PieceSink, delimiter: number, pieceBytesMax: number) {
    this.#sink = sink
    this.#delimiter = delimiter
    this.#carry = Buffer.allocUnsafeSlow(pieceBytesMax)
  }

  push(chunk: Uint8Array): void {
    let start = 0
    while (start < chunk.length) {
      const found = chunk.indexOf(this.#delimiter, start)
      if (found < 0) {
        this.#keep(chunk, start, chunk.length)
        return
      }
      this.#end(chunk, start, found)
      start = found + 1
    }
  }

  /** The stream ended, or another begins. @returns whether an unfinished piece was lost by it */
  reset(): boolean {
    const isUnfinished = this.#carried > 0
    this.#carried = 0
    this.#isSkipping = false
    return isUnfinished
  }

  #end(chunk: Uint8Array, start: number, end: number): void {
    if (this.#carried === 0 && !this.#isSkipping) {
      if (end - start > this.#carry.length) this.#skip(end - start)
      else if (end > start) this.#sink.onPiece(chunk, start, end)
    } else {
      this.#keep(chunk, start, end)
      const length = this.#carried
      this.#carried = 0
      if (length > 0) this.#sink.onPiece(this.#carry, 0, length)
    }
    this.#isSkipping = false
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (this.#isSkipping || this.#carried + length > this.#carry.length) {
      this.#skip(length)
      return
    }
    this.#carry.set(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end), this.#carried)
    this.#carried += length
  }

  #skip(length: number): void {
    this.bytesSkipped += this.#carried + length
    this.#carried = 0
    if (this.#isSkipping) return
    this.#isSkipping = true
    this.#sink.onOversize()
  }
}
