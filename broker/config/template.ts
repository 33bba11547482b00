/** Writes the commented configuration of `headwater init`, all of it from the schema: it cannot fall behind. */
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import { stringify } from 'yaml'
import { BROKER_NAMES, environmentKeys } from './environment.ts'
import { CONFIG_FILES } from './load.ts'
import { CONFIG_VERSION, CONFIG_VERSION_KEY } from './migrations.ts'
import { configSchema } from './schema.ts'

/** Two columns are left for a group that is commented out. */
const WIDTH = 98

/**
 * @param upstreamSchema the schema of one upstream entry, whose kinds are shown as examples.
 * @param downlinkSchema the schema of one downlink entry, shown as an example.
 */
export function configTemplate(upstreamSchema?: TSchema, downlinkSchema?: TSchema): string {
  return brokerTemplate(configSchema(upstreamSchema, downlinkSchema))
}

/** @param schema of the whole configuration */
export function brokerTemplate(schema: TObject): string {
  return schemaTemplate(schema, (example) => head(example('recordBytesMax')))
}

/**
 * Any program's template.
 * @param intro the text above it; it gets a way to show a key and the variable of the environment that gives it
 */
export function schemaTemplate(
  schema: TObject,
  intro: (example: (key: string) => { path: string; variable: string }) => string,
  prefix: string = BROKER_NAMES.prefix,
  version: number = CONFIG_VERSION,
): string {
  const example = (key: string) => {
    const { path, variable } = environmentKeys(schema, prefix).find((one) => one.path.at(-1) === key)!
    return { path: path.join('.'), variable }
  }
  const lines = comment(intro(example), '')
  for (const [name, property] of Object.entries(schema.properties)) {
    // a new file says which version it is of
    const shown = name === CONFIG_VERSION_KEY ? { ...property, default: version } : property
    lines.push('', ...section(name, shown as TSchema, ''))
  }
  return `${lines.join('\n')}\n`
}

function head({ path, variable }: { path: string; variable: string }): string {
  return (
    'Headwater. Every key is optional; the values below are the defaults. ' +
    `Read from --config FILE, else ${CONFIG_FILES.join(', else ')}. Relative paths start at this file. ` +
    'A single value can also come from the environment, which wins: ' +
    `${path} is ${variable}. ` +
    'Check an edited file with `headwater check FILE`.'
  )
}

/** @param isExample it is shown in a comment: what it cannot do without has a value */
function section(name: string, schema: TSchema, indent: string, isExample = false): string[] {
  const lines = comment(describe(schema), indent)
  if (schema[Kind] === 'Object') {
    lines.push(`${indent}${name}:`)
    const { properties, required = [] } = schema as TObject
    for (const [key, property] of Object.entries(properties)) {
      const isNeeded = isExample && required.includes(key) && property.default === undefined
      const shown = isNeeded ? { ...property, default: property.examples?.[0] } : property
      lines.push(...section(key, shown, `${indent}  `, isExample))
    }
    return lines
  }
  const isList = schema[Kind] === 'Array' && objectBranches(schema.items as TSchema).length > 0
  // below the top a list without entries of its own is one line, as any value is
  if (isList && (schema.default?.length > 0 || indent === '')) {
    return [...lines, ...list(name, schema, indent)]
  }
  const shown = isList ? sample(name, schema, indent) : []
  return [...lines, ...(shown.length > 0 ? shown : [line(name, schema, schema.default, indent)])]
}

/** A list that is empty by default, with the entries of its example or else one made of theirs, in a comment. */
function sample(name: string, schema: TSchema, indent: string): string[] {
  const [branch] = objectBranches(schema.items as TSchema)
  const example = exampleEntry(branch!)
  if (example === null) return []
  const entries: readonly Record<string, unknown>[] = schema.examples?.[0] ?? [example]
  const lines = entries.flatMap((entry) => plainEntry(branch!, entry, indent))
  return [`${indent}# ${name}:`, ...commentedOut(lines, indent)]
}

/** A key without a value to show is commented out, so that the file stays valid. */
function line(name: string, schema: TSchema, value: unknown, indent: string): string {
  if (value !== undefined) return `${indent}${name}: ${inline(value)}`
  return `${indent}# ${name}: ${inline(schema.examples?.[0] ?? plainest(schema))}`
}

/** A value of a key that has neither a default nor an example. */
function plainest(schema: TSchema): unknown {
  if (schema[Kind] === 'Array') {
    const [branch] = objectBranches(schema.items as TSchema)
    return schema.minItems > 0 && branch !== undefined ? [neededEntry(branch, {})] : []
  }
  if (schema[Kind] === 'Integer' || schema[Kind] === 'Number') return schema.minimum ?? 0
  return schema[Kind] === 'Union' ? (schema.anyOf[0].const ?? '') : ''
}

/**
 * A list of groups: its default entries with every key explained, and other possible entries, commented out. Another
 * entry of the same kind stands above the default one, because the first stream that matches takes a message.
 */
function list(name: string, schema: TSchema, indent: string): string[] {
  const lines = [`${indent}${name}:`]
  const inner = `${indent}  `
  const branches = objectBranches(schema.items as TSchema)
  const shown = new Set<TObject>()
  for (const entry of schema.default as Record<string, unknown>[]) {
    const branch = branches.find((candidate) => fits(candidate, entry)) ?? branches[0]!
    const example = exampleEntry(branch)
    if (branches.length === 1 && example !== null) {
      lines.push(...commentedOut(plainEntry(branch, { ...entry, ...example }, inner), inner))
    }
    shown.add(branch)
    lines.push(...entryLines(branch, entry, inner))
  }
  for (const branch of branches) {
    if (shown.has(branch)) continue
    lines.push(...commentedOut(entryLines(branch, exampleEntry(branch) ?? {}, inner), inner))
  }
  return lines
}

function objectBranches(schema: TSchema): TObject[] {
  const branches = schema[Kind] === 'Union' ? (schema.anyOf as TSchema[]) : [schema]
  return branches.filter((branch): branch is TObject => branch[Kind] === 'Object')
}

function fits(branch: TObject, entry: Record<string, unknown>): boolean {
  return Object.entries(branch.properties).every(
    ([key, property]) => property[Kind] !== 'Literal' || property.const === entry[key],
  )
}

/** An entry made of the schema's examples and constants; null when the schema gives no example. */
function exampleEntry(branch: TObject): Record<string, unknown> | null {
  const entry: Record<string, unknown> = {}
  for (const [key, { examples }] of Object.entries(branch.properties)) {
    if (Array.isArray(examples)) entry[key] = examples[0]
  }
  return Object.keys(entry).length === 0 ? null : neededEntry(branch, entry)
}

/** The entry with what it cannot do without. */
function neededEntry(branch: TObject, entry: Record<string, unknown>): Record<string, unknown> {
  for (const [key, property] of Object.entries(branch.properties)) {
    const isNeeded = branch.required?.includes(key) === true && property.default === undefined
    if (property[Kind] === 'Literal') entry[key] = property.const
    else if (isNeeded && entry[key] === undefined) entry[key] = property.examples?.[0] ?? plainest(property)
  }
  return entry
}

/** One entry with the explanation above each key. */
function entryLines(branch: TObject, values: Record<string, unknown>, indent: string): string[] {
  const lines: string[] = []
  const inner = `${indent}  `
  for (const [key, property] of Object.entries(branch.properties)) {
    const value = values[key] ?? property.default
    if (property[Kind] === 'Object') {
      const group = section(key, property, inner, value === undefined)
      lines.push(...(value === undefined ? commentedOut(group, inner) : group))
      continue
    }
    lines.push(...comment(describe(property), inner))
    lines.push(line(key, property, value, inner))
  }
  return dash(lines, indent)
}

/** One entry without explanations. */
function plainEntry(branch: TObject, values: Record<string, unknown>, indent: string): string[] {
  const lines: string[] = []
  for (const key of Object.keys(branch.properties)) {
    if (values[key] !== undefined) lines.push(`${indent}  ${key}: ${inline(values[key])}`)
  }
  return dash(lines, indent)
}

/** Puts the "- " before the entry's first key, below the comments that belong to it. */
function dash(lines: string[], indent: string): string[] {
  const first = lines.findIndex((line) => !line.trimStart().startsWith('#'))
  return lines.map((line, index) => {
    if (index < first) return indent + line.slice(indent.length + 2)
    return index === first ? `${indent}- ${line.slice(indent.length + 2)}` : line
  })
}

function commentedOut(lines: string[], indent: string): string[] {
  return lines.map((line) => `${indent}# ${line.slice(indent.length)}`)
}

function describe(schema: TSchema): string {
  const parts = [schema.description ?? '']
  if (schema.minimum !== undefined && schema.maximum !== undefined) {
    parts.push(`(${schema.minimum} to ${schema.maximum})`)
  }
  return parts.join(' ').trim()
}

function inline(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: true }).trim()
}

/** Wraps a text into "# " lines. */
function comment(text: string, indent: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ').filter((part) => part !== '')) {
    if (line !== '' && indent.length + line.length + word.length + 3 > WIDTH) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
  }
  if (line !== '') lines.push(line)
  return lines.map((part) => `${indent}# ${part}`)
}
