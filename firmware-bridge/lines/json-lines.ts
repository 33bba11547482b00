/** One JSON object a line. The message is the line as it came. */
import { fault, type LineParser, type LineValue, type ParsedLine } from './parsed-line.ts'

export class JsonLines implements LineParser {
  parse(line: string): ParsedLine {
    let found: unknown
    try {
      found = JSON.parse(line)
    } catch {
      return fault('not-json', 'let the device print one JSON object a line, or set another format')
    }
    if (typeof found !== 'object' || found === null || Array.isArray(found)) {
      return fault('not-an-object', 'let the device print an object, such as {"temperature": 21.5}')
    }
    const json = line.trim()
    return { kind: 'values', values: valuesIn(json), json }
  }
}

/**
 * Values as they stand in the line: written anew, a whole number above 2^53 would be another one, and what nests deeply overflows the stack.
 * @param object that JSON.parse takes
 */
function valuesIn(object: string): Map<string, LineValue> {
  const values = new Map<string, LineValue>()
  let nameFrom = object.indexOf('"')
  while (nameFrom >= 0) {
    const nameEnd = endOfString(object, nameFrom)
    const valueFrom = object.indexOf(':', nameEnd) + 1
    const valueEnd = endOfValue(object, valueFrom)
    const written = object.slice(valueFrom, valueEnd).trim()
    const text: string = written.startsWith('"') ? JSON.parse(written) : written
    values.set(JSON.parse(object.slice(nameFrom, nameEnd)), { text, json: text })
    nameFrom = object.indexOf('"', valueEnd)
  }
  return values
}

/** @param from of its first quotation mark @returns behind its last one */
function endOfString(text: string, from: number): number {
  let at = from + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

/** @returns where the "," or "}" behind it is */
function endOfValue(text: string, from: number): number {
  let depth = 0
  let at = from
  for (;;) {
    const character = text[at]!
    if (depth === 0 && (character === ',' || character === '}')) return at
    if (character === '{' || character === '[') depth++
    if (character === '}' || character === ']') depth--
    at = character === '"' ? endOfString(text, at) : at + 1
  }
}
