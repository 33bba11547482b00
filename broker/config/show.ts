/** A configuration as it counts, value by value, each with where it comes from. */
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Path } from './document.ts'
import type { Loaded } from './load-file.ts'
import { nearest, suggestion } from './nearest.ts'
import { pathName } from './schema-check.ts'
import { secretKeys, withoutSecrets } from './secret-keys.ts'

export interface ShownValue {
  /** As people write it: `streams[0].retention.seconds`. */
  readonly key: string
  readonly value: unknown
  /** `FILE:LINE:COLUMN`, an environment variable, an option; null is the default. */
  readonly source: string | null
}

/** Every value in the order of the schema; secrets are not shown. */
export function shownValues(
  schema: TObject,
  { config, source }: Pick<Loaded<object>, 'config' | 'source'>,
): ShownValue[] {
  const secrets = secretKeys(schema)
  const leaves = leavesOf(schema, config, [])
  return leaves.map(({ path, value }) => ({
    key: pathName(path),
    value: secrets.has(String(path.at(-1))) && typeof value === 'string' ? SECRET : value,
    source: source(path),
  }))
}

/** The same as one value with groups in it. */
export function shownConfig(schema: TObject, config: object): unknown {
  return withoutSecrets(schema, config)
}

const SECRET = '(not shown)'

/** Those at or below a key. @returns what is wrong with the key where there are none */
export function valuesBelow(values: readonly ShownValue[], key: string): readonly ShownValue[] | string {
  const below = values.filter((value) => isBelow(value.key, key))
  if (below.length > 0) return below
  const known = [...new Set(values.flatMap((value) => aboveOf(value.key)))]
  const near = nearest(key, known)
  // all of them would fill the screen
  return suggestion(key, near === null ? known.filter((name) => !/[.[]/.test(name)) : known)
}

function isBelow(name: string, key: string): boolean {
  return name === key || name.startsWith(`${key}.`) || name.startsWith(`${key}[`)
}

/** The key and the groups that it stands in. */
function aboveOf(name: string): string[] {
  const parts = name.split(/(?=[.[])/)
  return parts.map((_, index) => parts.slice(0, index + 1).join(''))
}

/** Groups and lists of groups are gone into; a list of plain values is one value. */
function leavesOf(schema: TSchema, value: unknown, path: Path): { path: Path; value: unknown }[] {
  const shape = shapeOf(schema, value)
  if (shape?.[Kind] === 'Object' && isGroup(value)) {
    const { properties } = shape as TObject
    const known = Object.keys(properties).filter((key) => value[key] !== undefined)
    const others = Object.keys(value).filter((key) => !(key in properties))
    return [...known, ...others].flatMap((key) =>
      leavesOf(properties[key] ?? ({} as TSchema), value[key], [...path, key]),
    )
  }
  if (shape?.[Kind] === 'Array' && Array.isArray(value) && value.some(isGroup)) {
    return value.flatMap((item, index) => leavesOf(shape.items as TSchema, item, [...path, index]))
  }
  return [{ path, value }]
}

function shapeOf(schema: TSchema, value: unknown): TSchema | undefined {
  if (schema[Kind] !== 'Union') return schema
  return (schema.anyOf as TSchema[]).find((branch) => Value.Check(branch, value))
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
