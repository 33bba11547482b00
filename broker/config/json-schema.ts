/**
 * The JSON Schema (draft 7, which editors know best) of a configuration file, from the schema that checks it. It describes the file, not what
 * counts in the end: keys with a default need not be there, and a group without keys is nothing.
 */
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import { shortKey } from './short-entries.ts'

type JsonSchema = Record<string, unknown>

/** Keywords of this project: an editor would not know them. */
const OWN = new Set(['path', 'environment', 'shape', 'secret'])

export function fileSchema(schema: TObject, title: string): JsonSchema {
  const plain = converted(schema)
  return { $schema: 'http://json-schema.org/draft-07/schema#', title, ...plain, type: ['object', 'null'] }
}

function converted(schema: TSchema): JsonSchema {
  const { properties, patternProperties, items, anyOf, required, ...rest } = schema
  const plain: JsonSchema = Object.fromEntries(Object.entries(rest).filter(([key]) => !OWN.has(key)))
  const text = [schema.description, schema.shape === undefined ? undefined : `It is ${schema.shape}.`]
  const description = text.filter((part) => part !== undefined).join(' ')
  if (description !== '') plain.description = description
  if (schema.secret === true) plain.writeOnly = true
  if (items !== undefined) plain.items = entries(schema)
  if (anyOf !== undefined) Object.assign(plain, union(anyOf as TSchema[]))
  if (patternProperties !== undefined) {
    const named = Object.entries(patternProperties as Record<string, TSchema>)
    plain.patternProperties = Object.fromEntries(named.map(([pattern, value]) => [pattern, converted(value)]))
  }
  if (properties === undefined) return plain
  const named = Object.entries(properties as Record<string, TSchema>)
  plain.properties = Object.fromEntries(named.map(([key, property]) => [key, member(property)]))
  const needed = ((required ?? []) as string[]).filter((key) => properties[key].default === undefined)
  if (needed.length > 0) plain.required = needed
  return plain
}

/** Of a list; short ones are text. */
function entries(list: TSchema): JsonSchema {
  const whole = converted(list.items as TSchema)
  const key = shortKey(list)
  return key === null ? whole : { anyOf: [converted((list.items as TObject).properties[key]!), whole] }
}

/** A group or a list whose keys are all commented out has no value, which is as if it were not there. */
function member(schema: TSchema): JsonSchema {
  const plain = converted(schema)
  const isEmptyList = schema[Kind] === 'Array' && schema.default?.length === 0
  const isGroup = schema[Kind] === 'Object' && schema.default !== undefined
  return isGroup || isEmptyList ? { ...plain, type: [plain.type, 'null'] } : plain
}

/** Words to choose from are a list, which editors complete. */
function union(branches: readonly TSchema[]): JsonSchema {
  if (branches.every((branch) => branch[Kind] === 'Literal')) {
    return { enum: branches.map((branch) => branch.const) }
  }
  return { anyOf: branches.map(converted) }
}
