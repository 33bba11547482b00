/** Entries and changes of a table as aligned rows: key, value, place, time. On a terminal each is one line. */
import type { Base64, GapJson, RecordJson } from '../record-json.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { cutTo, padTo, textWidth } from '../terminal/width.ts'

/** Columns are as wide as the first rows need, and not wider than this where they are not cut. */
const WIDTH_MAX = 60
const WIDTH_MIN = 5
const GAP = 2
/** 2026-03-01T12:00:00.000Z */
const TIME_WIDTH = 24

interface Row {
  readonly key: string
  /** null where the key was removed. */
  readonly value: string | null
  readonly place: string
  readonly time: string
  readonly isGap: boolean
}

interface Widths {
  readonly key: number
  readonly value: number
  readonly place: number
}

export class EntryRows {
  readonly #out: Output
  #widths: Widths | null = null

  constructor(out: Output) {
    this.#out = out
  }

  get isEmpty(): boolean {
    return this.#widths === null
  }

  /** @returns lines, the first time with a heading */
  texts(records: readonly (RecordJson | GapJson)[]): string[] {
    const rows = records.map(rowOf)
    const heading: string[] = []
    if (this.#widths === null) {
      this.#widths = this.#widthsOf(rows)
      const { key, value, place } = this.#widths
      const titles = `${padTo('KEY', key)}  ${padTo('VALUE', value)}  ${'OFFSET'.padStart(place)}  TIME`
      heading.push(this.#out.paint('dim', titles))
    }
    return [...heading, ...rows.map((row) => this.#text(row, this.#widths!))]
  }

  #text({ key, value, place, time, isGap }: Row, widths: Widths): string {
    const text = padTo(this.#cut(value ?? '(removed)', widths.value), widths.value)
    const shown = isGap ? this.#out.paint('red', text) : value === null ? this.#out.paint('dim', text) : text
    const name = padTo(this.#cut(key, widths.key), widths.key)
    return `${name}  ${shown}  ${place.padStart(widths.place)}  ${time}`.trimEnd()
  }

  #widthsOf(rows: readonly Row[]): Widths {
    const widest = (texts: string[]) => Math.min(Math.max(WIDTH_MIN, ...texts.map(textWidth)), WIDTH_MAX)
    let key = widest(rows.map((row) => row.key))
    let value = widest(rows.map((row) => row.value ?? ''))
    const place = Math.max('OFFSET'.length, ...rows.map((row) => row.place.length))
    if (this.#out.isTerminal) {
      const room = Math.max(this.#out.columns - place - TIME_WIDTH - 3 * GAP, 4 * WIDTH_MIN)
      key = Math.min(key, Math.max(Math.floor(room / 2), room - value))
      value = room - key
    }
    return { key, value, place }
  }

  /** In a pipe everything is there. */
  #cut(text: string, to: number): string {
    return this.#out.isTerminal ? cutTo(text, to) : text
  }
}

function rowOf(line: RecordJson | GapJson): Row {
  if ('gap' in line) {
    const { from, to, reason } = line.gap
    const value = `(lost: ${printable(reason)})`
    return { key: '', value, place: `${line.partition}/${from}-${to}`, time: '', isGap: true }
  }
  const { key, value, partition, offset, timestamp, clock } = line
  return {
    key: textOf(key),
    value: value === null ? null : textOf(value),
    place: `${partition}/${offset}`,
    // as well as it is known
    time: clock === undefined ? timestamp : (clock.correctedTimestamp ?? `${timestamp}?`),
    isGap: false,
  }
}

function textOf(bytes: string | Base64 | null): string {
  if (bytes === null) return ''
  return printable(typeof bytes === 'string' ? bytes : `base64:${bytes.base64}`)
}
