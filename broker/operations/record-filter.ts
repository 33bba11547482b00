/** Which records a person wants to see: those with a key, or with a text in them. */
import type { Base64, RecordJson } from './record-json.ts'

export interface RecordWish {
  /** Exactly this key. */
  readonly key: string | null
  /** A text in topic, key, value or headers, whatever its capitals. Bytes that are no text have none. */
  readonly grep: string | null
}

export type RecordFilter = (record: RecordJson) => boolean

/** @returns null where all are wanted */
export function recordFilter({ key, grep }: RecordWish): RecordFilter | null {
  if (key === null && (grep === null || grep === '')) return null
  const wanted = (grep ?? '').toLowerCase()
  return (record) => (key === null || record.key === key) && (wanted === '' || has(record, wanted))
}

function has({ topic, key, value, headers }: RecordJson, wanted: string): boolean {
  return (
    isIn(topic, wanted) ||
    isIn(key, wanted) ||
    isIn(value, wanted) ||
    headers.some((header) => isIn(header.key, wanted) || isIn(header.value, wanted))
  )
}

function isIn(text: string | Base64 | null, wanted: string): boolean {
  return typeof text === 'string' && text.toLowerCase().includes(wanted)
}
