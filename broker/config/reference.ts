/** The reference of a configuration's keys as a page of Markdown, from the schema: it cannot fall behind. */
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import { environmentKeys } from './environment.ts'

interface Row {
  readonly key: string
  readonly schema: TSchema
  /** Variants of an entry have the same keys more than once. */
  readonly variant: string | null
}

/** @param prefix of the variables of the environment */
export function referenceTable(schema: TObject, prefix: string): string {
  const variables = new Map(
    environmentKeys(schema, prefix).map(({ path, variable }) => [path.join('.'), variable] as const),
  )
  return Object.entries(schema.properties)
    .flatMap(([name, property]) => {
      const rows = rowsOf(name, property as TSchema, null)
      return [`## ${name}`, '', ...text(property as TSchema), ...tables(rows, variables), '']
    })
    .join('\n')
}

function text(schema: TSchema): string[] {
  return schema.description === undefined || !hasKeys(schema) ? [] : [schema.description, '']
}

function hasKeys(schema: TSchema): boolean {
  return objectsOf(schema).length > 0
}

/** One table, and one more for each variant of an entry. */
function tables(rows: readonly Row[], variables: ReadonlyMap<string, string>): string[] {
  const variants = [...new Set(rows.map(({ variant }) => variant))]
  return variants.flatMap((variant) => {
    const own = rows.filter((row) => row.variant === variant)
    const title = variant === null ? [] : [`### ${variant}`, '']
    const head = ['| key | what it is | value | default |', '|---|---|---|---|']
    return [...title, ...head, ...own.map((row) => lineOf(row, variables)), '']
  })
}

function lineOf({ key, schema }: Row, variables: ReadonlyMap<string, string>): string {
  const variable = variables.get(key)
  const named = variable === undefined ? '' : `<br>\`${variable}\``
  const fallback = schema.default === undefined ? '' : code(schema.default)
  return `| \`${key}\`${named} | ${cell(schema.description ?? '')} | ${cell(valueText(schema))} | ${fallback} |`
}

function code(value: unknown): string {
  return `\`${JSON.stringify(value).replaceAll('|', '\\|')}\``
}

function cell(value: string): string {
  return value.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ')
}

function valueText(schema: TSchema): string {
  if (typeof schema.shape === 'string') return schema.shape
  const { minimum, maximum } = schema
  const range =
    minimum !== undefined && maximum !== undefined
      ? ` from ${minimum} to ${maximum}`
      : minimum !== undefined
        ? ` of at least ${minimum}`
        : ''
  switch (schema[Kind]) {
    case 'Integer':
      return `a whole number${range}`
    case 'Number':
      return `a number${range}`
    case 'Boolean':
      return 'true or false'
    case 'Literal':
      return String(schema.const)
    case 'Array':
      return 'a list'
    case 'Union':
      return (schema.anyOf as TSchema[]).map(valueText).join(', ')
    case 'Record':
    case 'Object':
      return 'a group of keys'
    default:
      return schema.secret === true ? 'text, a secret' : 'text'
  }
}

/** A key is one row; a group or a list of groups is the rows of its keys. */
function rowsOf(key: string, schema: TSchema, variant: string | null): Row[] {
  const objects = objectsOf(schema)
  const isList = schema[Kind] === 'Array'
  const at = isList ? `${key}[]` : key
  if (objects.length === 0) return [{ key, schema, variant }]
  // a key that is a word or a group, such as a stream's key, is explained as one
  if (schema[Kind] === 'Union' && objects.length < (schema.anyOf as TSchema[]).length)
    return [{ key, schema, variant }]
  return objects.flatMap((object) => {
    const kind = objects.length > 1 && variant === null ? (object.description ?? null) : variant
    return Object.entries(object.properties).flatMap(([name, property]) =>
      rowsOf(`${at}.${name}`, property as TSchema, kind),
    )
  })
}

function objectsOf(schema: TSchema): TObject[] {
  const item = schema[Kind] === 'Array' ? (schema.items as TSchema) : schema
  const branches = item[Kind] === 'Union' ? (item.anyOf as TSchema[]) : [item]
  return branches.filter((branch): branch is TObject => branch[Kind] === 'Object')
}
