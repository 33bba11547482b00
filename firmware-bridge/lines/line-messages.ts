/** From bytes of a port, in chunks of any size, to messages: cut into lines, parsed, given topics. Knows no port and no broker. */
import { isUtf8 } from 'node:buffer'
import { Pieces } from '../framing/pieces.ts'
import { TopicPattern } from '../outlet/topic-pattern.ts'
import type { LineLinkConfig } from './config.ts'
import { CsvLines } from './csv-lines.ts'
import { JsonLines } from './json-lines.ts'
import { KeyValueLines, PlotterLines } from './pair-lines.ts'
import type { LineFault, LineParser, LineValue } from './parsed-line.ts'

export type LineDrop = LineFault | 'oversize' | 'truncated'

export interface LineSink {
  onMessage(topic: string, payload: Buffer): void
  /** @param line null where it was not kept */
  onDropped(reason: LineDrop, line: string | null, wayOut: string): void
}

export type LineMessagesConfig = Pick<
  LineLinkConfig,
  'format' | 'topic' | 'columns' | 'encoding' | 'lineBytesMax'
>

const NEWLINE = 0x0a
const NONE: ReadonlyMap<string, LineValue> = new Map()

export class LineMessages {
  readonly #sink: LineSink
  readonly #pieces: Pieces
  /** null: any line is a message. */
  readonly #parser: LineParser | null
  readonly #topic: TopicPattern
  readonly #letters: Readonly<Record<string, string>>
  readonly #encoding: 'utf8' | 'latin1'
  /** Half of a line is none. */
  readonly #tellsHalf: boolean
  #isFirst = true
  linesReceived = 0

  /** @param port its name, for %p */
  constructor(config: LineMessagesConfig, port: string, sink: LineSink) {
    this.#sink = sink
    this.#parser = parserOf(config)
    this.#tellsHalf = config.format === 'json'
    this.#topic = new TopicPattern(config.topic)
    this.#letters = { p: port }
    this.#encoding = config.encoding
    this.#pieces = new Pieces(
      {
        onPiece: (bytes, start, end) => this.#onLine(bytes, start, end),
        onOversize: () => {
          const wayOut = `let the device print shorter lines, or raise lineBytesMax (${config.lineBytesMax})`
          sink.onDropped('oversize', null, wayOut)
        },
      },
      NEWLINE,
      config.lineBytesMax,
    )
  }

  push(chunk: Uint8Array): void {
    this.#pieces.push(chunk)
  }

  /** The port was opened anew: what comes first can be the end of a line, and is left out. */
  reset(): void {
    if (this.#pieces.reset()) this.#sink.onDropped('truncated', null, '')
    this.#isFirst = true
  }

  #onLine(bytes: Uint8Array, start: number, end: number): void {
    const line = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    const text = withoutReturns(line.toString(this.#encoding))
    if (text.trim() === '') return
    this.linesReceived++
    const isFirst = this.#isFirst
    this.#isFirst = false
    if (this.#encoding === 'utf8' && !isUtf8(line)) {
      if (isFirst) this.#sink.onDropped('truncated', null, '')
      else
        this.#sink.onDropped(
          'not-text',
          line.toString('latin1'),
          'set baudRate or encoding to what the device uses',
        )
      return
    }
    const parsed = this.#parser?.parse(text) ?? { kind: 'values', values: NONE, json: text }
    if (parsed.kind === 'header') return
    // half of a number is a number; half of an object is none
    if (isFirst && (parsed.kind === 'fault' || !this.#tellsHalf)) this.#sink.onDropped('truncated', null, '')
    else if (parsed.kind === 'fault') this.#sink.onDropped(parsed.fault, text, parsed.wayOut)
    else this.#publish(text, parsed.values, parsed.json)
  }

  #publish(text: string, values: ReadonlyMap<string, LineValue>, whole: string): void {
    const field = (name: string) => values.get(name)?.text
    const messages = this.#topic.has('k')
      ? [...values].map(([name, value]) => ({ letters: { ...this.#letters, k: name }, payload: value.text }))
      : [{ letters: this.#letters, payload: whole }]
    for (const { letters, payload } of messages) {
      const topic = this.#topic.fill({ letters, field })
      if (topic !== null) this.#sink.onMessage(topic, Buffer.from(payload))
      else this.#sink.onDropped('no-topic', text, 'let the line have what the topic of this link is made of')
    }
  }
}

/** By hand: an expression looks from each "\r" of a line to its end. */
function withoutReturns(line: string): string {
  let end = line.length
  while (end > 0 && line[end - 1] === '\r') end--
  return line.slice(0, end)
}

function parserOf({ format, columns }: LineMessagesConfig): LineParser | null {
  switch (format) {
    case 'json':
      return new JsonLines()
    case 'csv':
      return new CsvLines(columns ?? null)
    case 'key-value':
      return new KeyValueLines()
    case 'plotter':
      return new PlotterLines()
    case 'text':
      return null
  }
}
