/**
 * A list whose entries most often have one key takes plain text for them: `listeners: ["127.0.0.1:1883"]` is `listeners: [{ address: "127.0.0.1:1883" }]`.
 * They are the lists that one environment variable can give (`environment`, environment.ts), by the same key.
 */
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import type { Path } from './document.ts'

/** The key that stands for all of an entry of a list; null where its entries have to be written whole. */
export function shortKey(schema: TSchema): string | null {
  return schema[Kind] === 'Array' && typeof schema.environment === 'string' ? schema.environment : null
}

/** Writes them whole, in place. @returns the paths of those that were not */
export function expandShortEntries(schema: TObject, value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  const group = value as Record<string, unknown>
  return Object.entries(schema.properties).flatMap(([name, property]) => {
    const path = [...at, name]
    if (property[Kind] === 'Object') return expandShortEntries(property as TObject, group[name], path)
    const key = shortKey(property)
    const list = group[name]
    if (key === null || !Array.isArray(list)) return []
    return list.flatMap((entry: unknown, index) => {
      if (typeof entry !== 'string') return []
      list[index] = { [key]: entry }
      return [[...path, index]]
    })
  })
}
