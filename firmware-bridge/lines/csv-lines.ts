/**
 * Comma-separated values whose names are in the configuration, or in a header line of the device.
 *
 *   line   := field (separator field)*        separator := "," | ";" | TAB, the first of them that is in the header
 *   field  := '"' (any but '"' | '""')* '"' | any but separator
 *
 * Without configured names a header is a line of different names of which none is a number; each replaces the one before, and a line of
 * values that has another number of fields ends it: then half of it was read.
 */
import { fault, isNumber, type LineParser, lineValue, type ParsedLine, valuesOf } from './parsed-line.ts'

const SEPARATORS = [',', ';', '\t']
const NAME = /^\p{L}[^"]{0,63}$/u
const HEADER_WAY_OUT =
  'reset the device so that it prints its header again, or set columns in the configuration'

export class CsvLines implements LineParser {
  readonly #configured: readonly string[] | null
  #columns: readonly string[] | null
  #separator = ','

  /** @param columns null: from a header line */
  constructor(columns: readonly string[] | null) {
    this.#configured = columns
    this.#columns = columns
  }

  parse(line: string): ParsedLine {
    if (this.#configured !== null || this.#columns === null) this.#separator = separatorOf(line)
    const fields = fieldsOf(line, this.#separator)
    if (this.#configured === null && isHeader(fieldsOf(line, separatorOf(line)))) {
      this.#separator = separatorOf(line)
      this.#columns = fieldsOf(line, this.#separator)
      return { kind: 'header' }
    }
    const columns = this.#columns
    if (columns === null) return fault('no-header', HEADER_WAY_OUT)
    if (fields.length !== columns.length) return this.#otherFields(fields.length, columns)
    if (fields.every((field, i) => field === columns[i])) return { kind: 'header' }
    return valuesOf(fields.map((field, i) => [columns[i]!, lineValue(field)]))
  }

  #otherFields(count: number, columns: readonly string[]): ParsedLine {
    if (this.#configured === null) this.#columns = null
    const wayOut = this.#configured === null ? HEADER_WAY_OUT : 'set columns to what the device prints'
    return fault('fields', `${count} fields for ${columns.length} columns: ${wayOut}`)
  }
}

function isHeader(fields: readonly string[]): boolean {
  return (
    fields.every((field) => NAME.test(field) && !isNumber(field) && lineValue(field).json === field) &&
    new Set(fields).size === fields.length
  )
}

function separatorOf(line: string): string {
  return SEPARATORS.find((separator) => line.includes(separator)) ?? ','
}

function fieldsOf(line: string, separator: string): string[] {
  const fields: string[] = []
  let field = ''
  let isBlank = true
  let isQuoted = false
  for (let i = 0; i < line.length; i++) {
    const character = line[i]!
    if (isQuoted && character === '"' && line[i + 1] === '"') {
      field += line[i++]
      isBlank = false
    } else if (character === '"' && (isQuoted || isBlank)) {
      isQuoted = !isQuoted
    } else if (character === separator && !isQuoted) {
      fields.push(field.trim())
      field = ''
      isBlank = true
    } else {
      field += character
      isBlank &&= character.trim() === ''
    }
  }
  return [...fields, field.trim()]
}
