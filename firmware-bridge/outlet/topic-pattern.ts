/**
 * From what was read to an MQTT topic.
 *
 *   pattern := (text | "%%" | "%" letter | "%{" name "}")*
 *
 * Letters: p the port's name, k the name of one value, u a Modbus unit; which of them stand for something is up to who uses it. %{name} is
 * the value of that name in the same message. What is put in becomes part of one level: "/", "+", "#" and what no name has become "_".
 */
import { NOT_IN_NAMES } from '../names.ts'

type Part = { readonly text: string } | { readonly letter: string } | { readonly field: string }

/** Of one value that is put in; devices send what they like. */
const VALUE_CHARACTERS_MAX = 200
const NOT_IN_A_LEVEL = new RegExp(`[/+#]|${NOT_IN_NAMES.source}`, 'gu')
/** As long as a pattern may be, and as brokers take without being told otherwise. */
const TOPIC_BYTES_MAX = 1024

export interface TopicValues {
  /** By letter. */
  readonly letters: Readonly<Record<string, string>>
  field(name: string): string | undefined
}

export class TopicPattern {
  readonly #parts: readonly Part[]

  /** @param pattern without a fault */
  constructor(pattern: string) {
    const parts = parse(pattern)
    if (typeof parts === 'string') throw new TypeError(`topic "${pattern}": ${parts}`)
    this.#parts = parts
  }

  /** @returns what is wrong with the pattern, or null. @param letters those that stand for something */
  static fault(pattern: string, letters: string): string | null {
    const parts = parse(pattern)
    if (typeof parts === 'string') return parts
    const unknown = parts.find((part) => 'letter' in part && !letters.includes(part.letter))
    if (unknown !== undefined && 'letter' in unknown) return `%${unknown.letter} stands for nothing here`
    return topicFault(parts.map((part) => ('text' in part ? part.text : 'x')).join(''))
  }

  has(letter: string): boolean {
    return this.#parts.some((part) => 'letter' in part && part.letter === letter)
  }

  get hasFields(): boolean {
    return this.#parts.some((part) => 'field' in part)
  }

  /** It is made of what a message says. */
  get needsValues(): boolean {
    return this.hasFields || this.has('k')
  }

  /** @returns null when a field is missing, or what comes out is no topic */
  fill(values: TopicValues): string | null {
    let topic = ''
    for (const part of this.#parts) {
      if ('text' in part) topic += part.text
      else {
        const value = 'letter' in part ? values.letters[part.letter] : values.field(part.field)
        if (value === undefined || value === '') return null
        topic += levelOf(value)
      }
    }
    return topicFault(topic) === null ? topic : null
  }
}

function levelOf(value: string): string {
  return value.slice(0, VALUE_CHARACTERS_MAX).replace(NOT_IN_A_LEVEL, '_')
}

function topicFault(topic: string): string | null {
  if (topic === '') return 'it is empty'
  if (/[+#]/.test(topic) || NOT_IN_NAMES.test(topic)) return 'it has a wildcard or a control character'
  if (topic.startsWith('$')) return 'topics that begin with "$" are the broker\'s own'
  return Buffer.byteLength(topic) > TOPIC_BYTES_MAX ? `it is longer than ${TOPIC_BYTES_MAX} bytes` : null
}

function parse(pattern: string): Part[] | string {
  const parts: Part[] = []
  const form = /%%|%\{([^{}]*)\}|%([a-z])|%|[^%]+/g
  for (const [piece, field, letter] of pattern.matchAll(form)) {
    if (field === '') return '%{} names nothing'
    if (field !== undefined) parts.push({ field })
    else if (letter !== undefined) parts.push({ letter })
    else if (piece === '%') return 'a "%" stands alone; write "%%" for one'
    else parts.push({ text: piece === '%%' ? '%' : piece })
  }
  return parts
}
