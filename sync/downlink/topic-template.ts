/**
 * From a record to an MQTT topic.
 *
 *   template := (text | "{" name "}")*        name := "key" | "rest" | "edge" | "partition" | "header:" NAME
 *
 * A topic is legal when MQTT 3.1.1 allows it to be published to (section 4.7: no wildcard, no U+0000, 1 to 65,535 bytes), when it does
 * not begin with "$" (the broker's own), and when it has at most 100 levels (what the broker matches).
 */
import type { SourceRecord } from './source.ts'

export interface TemplateContext {
  readonly edge: string
  readonly partition: number
  /** The key behind the prefix that matched. */
  readonly rest: string | null
}

type Part = { readonly text: string } | { readonly name: string }

const TOPIC_BYTES_MAX = 65_535
const LEVELS_MAX = 100
const NAMES = ['key', 'rest', 'edge', 'partition']
const HEADER = 'header:'
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @returns null for bytes that are no UTF-8 */
export function decodeText(bytes: Uint8Array | null | undefined): string | null {
  if (bytes === null || bytes === undefined) return null
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}

/** @returns what is wrong with it, or null when it can be published to */
export function topicFault(topic: string): string | null {
  if (topic === '') return 'it is empty'
  if (/[+#]/.test(topic)) return 'it has a wildcard'
  if (topic.includes('\0')) return 'it has a U+0000'
  if (topic.startsWith('$')) return 'topics that begin with "$" are the broker\'s own'
  if (Buffer.byteLength(topic) > TOPIC_BYTES_MAX) return `it is longer than ${TOPIC_BYTES_MAX} bytes`
  if (topic.split('/').length > LEVELS_MAX) return `it has more than ${LEVELS_MAX} levels`
  return null
}

/** @returns what is wrong with the template, or null */
export function templateFault(template: string, hasPrefixes: boolean): string | null {
  const parts = parse(template)
  if (typeof parts === 'string') return parts
  for (const part of parts) {
    if ('text' in part) continue
    const { name } = part
    const isHeader = name.startsWith(HEADER) && name.length > HEADER.length
    if (!isHeader && !NAMES.includes(name)) return `{${name}} stands for nothing`
    if (name === 'rest' && !hasPrefixes)
      return '{rest} is the key behind a prefix, and filter.keyPrefixes has none'
  }
  const fixed = parts.map((part) => ('text' in part ? part.text : 'x')).join('')
  const fault = topicFault(fixed)
  return fault === null ? null : `it gives no topic: ${fault}`
}

export class TopicTemplate {
  readonly #parts: readonly Part[]

  /** @param template without a fault */
  constructor(template: string) {
    const parts = parse(template)
    if (typeof parts === 'string') throw new TypeError(parts)
    this.#parts = parts
  }

  /** @returns a legal topic, or why there is none */
  fill(record: SourceRecord, context: TemplateContext): { topic: string } | { fault: string } {
    let topic = ''
    for (const part of this.#parts) {
      if ('text' in part) topic += part.text
      else {
        const value = fieldOf(part.name, record, context)
        if (value === null) return { fault: `the record has no ${part.name} that is text` }
        topic += value
      }
    }
    const fault = topicFault(topic)
    return fault === null ? { topic } : { fault }
  }
}

function fieldOf(name: string, record: SourceRecord, context: TemplateContext): string | null {
  switch (name) {
    case 'key':
      return decodeText(record.key)
    case 'rest':
      return context.rest
    case 'edge':
      return context.edge
    case 'partition':
      return String(context.partition)
    default: {
      const key = name.slice(HEADER.length)
      return decodeText(record.headers.findLast((header) => header.key === key)?.value)
    }
  }
}

/** @returns the parts, or what is wrong */
function parse(template: string): Part[] | string {
  const parts: Part[] = []
  for (const [index, piece] of template.split('{').entries()) {
    if (index === 0) {
      if (piece.includes('}')) return 'a "}" has no "{" before it'
      parts.push({ text: piece })
      continue
    }
    const end = piece.indexOf('}')
    if (end < 0) return 'a "{" has no "}" behind it'
    if (piece.includes('}', end + 1)) return 'a "}" has no "{" before it'
    parts.push({ name: piece.slice(0, end) }, { text: piece.slice(end + 1) })
  }
  return parts.filter((part) => !('text' in part) || part.text !== '')
}
