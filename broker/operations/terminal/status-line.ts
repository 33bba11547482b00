/** One line at the bottom of a terminal that is written again and again; log lines go above it. */
import type { Output } from './output.ts'
import { cutTo } from './width.ts'

const CLEAR_LINE = '\r\u001b[2K'

export class StatusLine {
  readonly #out: Output
  #text = ''

  /** @param out a terminal */
  constructor(out: Output) {
    this.#out = out
  }

  show(text: string): void {
    // A line that wraps could not be taken back.
    this.#text = cutTo(text, Math.max(10, this.#out.columns - 1))
    this.#out.raw(CLEAR_LINE + this.#out.paint('dim', this.#text))
  }

  /** Writes something else without leaving a torn status line behind. */
  around(write: () => void): void {
    if (this.#text === '') {
      write()
      return
    }
    this.#out.raw(CLEAR_LINE)
    write()
    this.#out.raw(this.#out.paint('dim', this.#text))
  }

  end(): void {
    if (this.#text !== '') this.#out.raw(CLEAR_LINE)
    this.#text = ''
  }
}
