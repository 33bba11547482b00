/** What a line of text says. */

/** A value as it stands in the line, for a topic or a message of its own, and what it is in JSON. */
export interface LineValue {
  readonly text: string
  readonly json: unknown
}

/** Why a line is not used: counted by it, and told once with the line and the way out. */
export type LineFault =
  | 'not-json'
  | 'not-an-object'
  | 'no-header'
  | 'fields'
  | 'no-values'
  | 'not-a-number'
  | 'not-text'
  | 'no-topic'

export type ParsedLine =
  | { readonly kind: 'values'; readonly values: ReadonlyMap<string, LineValue>; readonly json: string }
  /** A line that is about others: the header of CSV. */
  | { readonly kind: 'header' }
  | { readonly kind: 'fault'; readonly fault: LineFault; readonly wayOut: string }

export interface LineParser {
  /** @param line not empty, without what ends it */
  parse(line: string): ParsedLine
}

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i
const NOT_A_NUMBER = /^[+-]?(nan|inf|infinity|ovf)$/i

export function isNumber(text: string): boolean {
  return NUMBER.test(text)
}

/** `21.50` is a number, `true` a truth, `nan` and nothing are null, all else is text; a whole number that JSON's readers would round is text. */
export function lineValue(text: string): LineValue {
  if (text === '' || NOT_A_NUMBER.test(text)) return { text, json: null }
  if (text === 'true' || text === 'false') return { text, json: text === 'true' }
  if (!isNumber(text)) return { text, json: text }
  const number = Number(text)
  const isRounded = Number.isInteger(number) && !Number.isSafeInteger(number)
  return { text, json: isRounded || !Number.isFinite(number) ? text : number }
}

export function valuesOf(entries: Iterable<readonly [string, LineValue]>): ParsedLine {
  const values = new Map(entries)
  const json = JSON.stringify(Object.fromEntries([...values].map(([name, value]) => [name, value.json])))
  return { kind: 'values', values, json }
}

export function fault(fault: LineFault, wayOut: string): ParsedLine {
  return { kind: 'fault', fault, wayOut }
}
