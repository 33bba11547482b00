/** The records that a tail shows: the newest ones, of a number and a size that the page can hold for days. */
import type { GapJson, RecordJson } from '../api/types.ts'

export const ROWS_MAX = 500
/** Of keys, values and headers together; a record larger than this is shown alone. */
export const CHARS_MAX = 8_000_000

export type TailRow =
  | { readonly id: number; readonly kind: 'record'; readonly record: RecordJson; readonly chars: number }
  | { readonly id: number; readonly kind: 'note'; readonly text: string; readonly chars: number }

export class TailRows {
  #rows: TailRow[] = []
  #chars = 0
  #id = 0
  /** Rows that had to go. */
  dropped = 0

  get rows(): readonly TailRow[] {
    return this.#rows
  }

  add(record: RecordJson): void {
    this.#push({ id: this.#id++, kind: 'record', record, chars: charsOf(record) })
  }

  note(text: string): void {
    this.#push({ id: this.#id++, kind: 'note', text, chars: text.length })
  }

  clear(): void {
    this.#rows = []
    this.#chars = 0
    this.dropped = 0
  }

  /** Makes room at once for many rows, not at each of them. */
  #push(row: TailRow): void {
    this.#rows.push(row)
    this.#chars += row.chars
    let first = 0
    while (
      this.#rows.length - first > 1 &&
      (this.#rows.length - first > ROWS_MAX || this.#chars > CHARS_MAX)
    ) {
      this.#chars -= this.#rows[first]!.chars
      first++
    }
    if (first === 0) return
    this.#rows = this.#rows.slice(first)
    this.dropped += first
  }
}

export function gapText({ partition, gap }: GapJson): string {
  return `partition ${partition}: offsets ${gap.from} to ${gap.to} are lost: ${gap.reason}`
}

type Text = RecordJson['value']

export function sizeOf(text: Text): number {
  if (text === null) return 0
  return typeof text === 'string' ? text.length : text.base64.length
}

function charsOf({ key, value, headers }: RecordJson): number {
  const ofHeaders = headers.reduce((sum, header) => sum + header.key.length + sizeOf(header.value), 0)
  // What a row costs besides.
  return 200 + sizeOf(key) + sizeOf(value) + ofHeaders
}
