/** Which records a tail shows. */
import type { RecordJson } from '../api/types.ts'

export interface TailFilter {
  /** In the key or the topic; empty is any. */
  readonly key: string
  /** Anywhere in topic, key, value or headers, as far as they are text. */
  readonly text: string
}

/** Letter case does not matter. */
export function matcherOf({ key, text }: TailFilter): (record: RecordJson) => boolean {
  const keyPart = key.trim().toLowerCase()
  const textPart = text.trim().toLowerCase()
  return (record) =>
    (keyPart === '' || has([record.key, record.topic], keyPart)) &&
    (textPart === '' || has(textsOf(record), textPart))
}

function* textsOf({ topic, key, value, headers }: RecordJson): Generator<RecordJson['value']> {
  yield topic
  yield key
  yield value
  for (const header of headers) {
    yield header.key
    yield header.value
  }
}

function has(texts: Iterable<RecordJson['value']>, part: string): boolean {
  for (const text of texts) if (typeof text === 'string' && text.toLowerCase().includes(part)) return true
  return false
}
