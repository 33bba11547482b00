/** Where a command writes: text for people on a terminal, plain text in a pipe. */
import { once } from 'node:events'
import { styleText } from 'node:util'
import { printableJson } from './printable.ts'

export interface OutputStream {
  write(text: string | Uint8Array): boolean
  once(event: 'drain', listener: () => void): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
}

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green'

export class Output {
  readonly #stream: OutputStream
  readonly isTerminal: boolean
  /** What stands there can be written over; not so on a terminal that takes no escape sequences, such as a shell in Emacs. */
  readonly canRedraw: boolean
  readonly hasColours: boolean

  constructor(stream: OutputStream, env: NodeJS.ProcessEnv) {
    this.#stream = stream
    this.isTerminal = stream.isTTY === true
    this.canRedraw = this.isTerminal && env.TERM !== 'dumb'
    this.hasColours = wantsColours(env) ?? this.canRedraw
  }

  get columns(): number {
    // a terminal that does not know its size says 0
    return this.#stream.columns || 80
  }

  get rows(): number {
    return this.#stream.rows || 24
  }

  line(text = ''): void {
    this.#stream.write(`${text}\n`)
  }

  raw(text: string): void {
    this.#stream.write(text)
  }

  json(value: unknown): void {
    if (this.isTerminal) this.line(printableJson(JSON.stringify(value, null, 2)))
    else this.line(JSON.stringify(value))
  }

  /** For long output: waits while the reader of the pipe is behind. */
  async piece(bytes: string | Uint8Array): Promise<void> {
    if (!this.#stream.write(bytes)) await once(this.#stream as unknown as NodeJS.WritableStream, 'drain')
  }

  paint(style: Style, text: string): string {
    // validateStream looks at process.stdout, whatever this one is; the choice was made above.
    return this.hasColours ? styleText(style, text, { validateStream: false }) : text
  }
}

/** What the person said, https://force-color.org and https://no-color.org, in Node's own order; null for nothing. */
function wantsColours({ FORCE_COLOR: force, NO_COLOR: none }: NodeJS.ProcessEnv): boolean | null {
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false'
  return none ? false : null
}
