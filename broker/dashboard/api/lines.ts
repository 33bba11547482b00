/** Newline-delimited JSON out of pieces that are cut anywhere, also inside a character. */

/** Longer lines than the largest record as JSON can be are no records: what sends them is not our broker. */
const LINE_CHARS_MAX = 64 * 1024 * 1024

export class LineSplitter {
  readonly #decoder = new TextDecoder()
  #rest = ''

  /** @returns the lines that are whole now */
  push(piece: Uint8Array): string[] {
    const text = this.#rest + this.#decoder.decode(piece, { stream: true })
    const lines = text.split('\n')
    this.#rest = lines.pop() ?? ''
    if (this.#rest.length > LINE_CHARS_MAX) throw new Error('a line of the answer has no end')
    return lines.filter((line) => line !== '')
  }
}
