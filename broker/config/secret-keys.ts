/** Keys whose values no output shows: those that a schema marks with `secret: true`. */
import type { TSchema } from '@sinclair/typebox'
import type { Path } from './document.ts'

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

/** Secrets that stand in the file itself although they could stand elsewhere. @param given what file and environment say */
export function secretWarnings(
  schema: TSchema,
  given: unknown,
  place: (path: Path, part: 'key') => string,
): string[] {
  const keys = secretKeys(schema)
  const others = allKeys(schema)
  return found(given, [], keys).map((path) => {
    const key = String(path.at(-1))
    const ways = [`${key}File`, `${key}Env`].filter((name) => others.has(name))
    const hint = ways.length === 0 ? 'let nobody else read the file' : `better ${ways.join(' or ')}`
    return `${place(path, 'key')}: ${key} stands in the configuration itself, where backups and people come by it - ${hint}`
  })
}

function found(value: unknown, path: Path, keys: ReadonlySet<string>): Path[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => {
    const at = [...path, Array.isArray(value) ? Number(key) : key]
    return keys.has(key) && typeof item === 'string' ? [at] : found(item, at, keys)
  })
}

function allKeys(schema: TSchema, keys = new Set<string>()): Set<string> {
  for (const [key, property] of Object.entries((schema.properties ?? {}) as Record<string, TSchema>)) {
    keys.add(key)
    allKeys(property, keys)
  }
  for (const branch of (schema.anyOf ?? []) as TSchema[]) allKeys(branch, keys)
  if (schema.items !== undefined) allKeys(schema.items as TSchema, keys)
  return keys
}
