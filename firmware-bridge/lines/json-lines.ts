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
    const values = new Map<string, LineValue>()
    for (const [name, json] of Object.entries(found)) {
      values.set(name, { text: typeof json === 'string' ? json : JSON.stringify(json), json })
    }
    return { kind: 'values', values, json: line.trim() }
  }
}
