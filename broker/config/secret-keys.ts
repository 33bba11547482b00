/** Keys whose values no output shows: those that a schema marks with `secret: true`. */
import type { TSchema } from '@sinclair/typebox'

const SHOWN = '(not shown)'

/** A copy of a configuration to be printed. */
export function withoutSecrets(schema: TSchema, config: unknown): unknown {
  const keys = secretKeys(schema)
  const replaced = (key: string, value: unknown) =>
    keys.has(key) && typeof value === 'string' ? SHOWN : value
  return JSON.parse(JSON.stringify(config, replaced))
}

export function secretKeys(schema: TSchema, found = new Set<string>()): Set<string> {
  for (const [key, property] of Object.entries((schema.properties ?? {}) as Record<string, TSchema>)) {
    if (property.secret === true) found.add(key)
    secretKeys(property, found)
  }
  for (const branch of (schema.anyOf ?? []) as TSchema[]) secretKeys(branch, found)
  if (schema.items !== undefined) secretKeys(schema.items as TSchema, found)
  return found
}
