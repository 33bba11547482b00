/** Checks a value against a schema with TypeBox, and says what is wrong in a person's words. */
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import { Value, type ValueError, ValueErrorType } from '@sinclair/typebox/value'
import type { Path } from './document.ts'
import { nearest, suggestion } from './nearest.ts'
import { shortKey } from './short-entries.ts'

export interface SchemaProblem {
  readonly path: Path
  /** The problem is the key itself, not its value. */
  readonly atKey: boolean
  /** For an unknown key: the known one that it resembles. */
  readonly meantKey?: string
  readonly message: string
  readonly hint: string
}

/** Fills in the schema's defaults. @returns a copy; the value itself stays as it is. */
export function withDefaults(schema: TSchema, value: unknown): unknown {
  return Value.Default(schema, Value.Clone(value))
}

/** @param value with defaults filled in. @returns one problem a place, in the order of the schema. */
export function schemaProblems(schema: TSchema, value: unknown, root: TSchema = schema): SchemaProblem[] {
  return collect(schema, value, [], root)
}

function collect(schema: TSchema, value: unknown, at: Path, root: TSchema): SchemaProblem[] {
  const problems: SchemaProblem[] = []
  const seen = new Set<string>()
  for (const error of Value.Errors(schema, value)) {
    if (seen.has(error.path)) continue
    seen.add(error.path)
    const path = [...at, ...pointerSteps(error.path)]
    if (error.type === ValueErrorType.Union) problems.push(...unionProblems(error, path, root))
    else problems.push(words(error, path, root))
  }
  return withoutEchoes(problems)
}

/** A key that was misspelt is not also missing. */
function withoutEchoes(problems: readonly SchemaProblem[]): SchemaProblem[] {
  const meant = new Set(
    problems.flatMap(({ path, meantKey }) => (meantKey ? [pathName([...path.slice(0, -1), meantKey])] : [])),
  )
  return problems.filter(({ path, atKey }) => atKey || !meant.has(pathName(path)))
}

function pointerSteps(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Names a path as people write it: `streams[0].topics[1]`. */
export function pathName(path: Path): string {
  let name = ''
  for (const step of path) {
    if (/^[0-9]+$/.test(String(step))) name += `[${step}]`
    else name += name === '' ? step : `.${step}`
  }
  return name === '' ? 'the configuration' : name
}

function words(error: ValueError, path: Path, root: TSchema): SchemaProblem {
  const { schema, value } = error
  const name = pathName(path)
  const problem = (message: string, hint: string, atKey = false) => ({ path, atKey, message, hint })
  switch (error.type) {
    case ValueErrorType.ObjectAdditionalProperties:
      return unknownKey(schema as TObject, path, root)
    case ValueErrorType.ObjectRequiredProperty:
      return problem(`${name} is missing`, `add it: ${expected(schema)}`)
    case ValueErrorType.ArrayMinItems:
      return problem(`${name} is empty`, `it needs ${atLeast(schema.minItems, 'entry', 'entries')}`)
    case ValueErrorType.ArrayMaxItems:
      return problem(
        `${name} has ${(value as unknown[]).length} entries`,
        `it takes at most ${schema.maxItems}`,
      )
    case ValueErrorType.ArrayUniqueItems:
      return problem(`${name} has the same entry twice`, 'keep one of them')
    default:
      return wrongValue(schema, value, path)
  }
}

function wrongValue(schema: TSchema, value: unknown, path: Path): SchemaProblem {
  const name = pathName(path)
  const wanted = expected(schema)
  if (value === null) return { path, atKey: false, message: `${name} has no value`, hint: `it is ${wanted}` }
  if (schema.secret === true) {
    // a password of digits is a number in YAML, and stands in no message
    const hint = typeof value === 'string' ? `it is ${wanted}` : 'it is text: put it in quotes'
    return { path, atKey: false, message: `${name} is not what it should be`, hint }
  }
  if (schema[Kind] === 'String' && (typeof value === 'number' || typeof value === 'boolean')) {
    return {
      path,
      atKey: false,
      message: `${name} is ${shown(value)}, not text`,
      hint: `put it in quotes: "${value}"`,
    }
  }
  const takesText = schema[Kind] === 'Array' && (schema.items[Kind] === 'String' || shortKey(schema) !== null)
  if (takesText && typeof value === 'string') {
    const hint = `write it as a list: [${JSON.stringify(value)}]`
    return { path, atKey: false, message: `${name} is ${shown(value)}, not a list`, hint }
  }
  const isText = typeof value === 'string' && schema[Kind] === 'Integer'
  const number = isText ? numberOf(String(path.at(-1)), value) : null
  const hint = number === null ? `it is ${wanted}` : `write it as a number: ${number}`
  return { path, atKey: false, message: `${name} is ${shown(value)}`, hint }
}

/** What a value may be, in one clause. */
function expected(schema: TSchema): string {
  if (typeof schema.shape === 'string') return schema.shape
  switch (schema[Kind]) {
    case 'Integer':
    case 'Number':
      return range(schema)
    case 'Boolean':
      return 'true or false'
    case 'Array':
      return schema.examples === undefined
        ? 'a list'
        : `a list, such as ${JSON.stringify(schema.examples[0])}`
    case 'Object':
      return `a group of keys: ${Object.keys((schema as TObject).properties).join(', ')}`
    case 'Literal':
      return String(schema.const)
    case 'Union':
      return (schema.anyOf as TSchema[]).map(expected).join(' or ')
    default:
      return 'text'
  }
}

function range(schema: TSchema): string {
  const { minimum, maximum } = schema
  const kind = schema[Kind] === 'Integer' ? 'a whole number' : 'a number'
  if (minimum !== undefined && maximum !== undefined) return `${kind} from ${minimum} to ${maximum}`
  if (minimum !== undefined) return `${kind} of at least ${minimum}`
  if (maximum !== undefined) return `${kind} of at most ${maximum}`
  return kind
}

function atLeast(count: number, one: string, many: string): string {
  return `at least ${count} ${count === 1 ? one : many}`
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) {
    return `a group of keys (${Object.keys(value).slice(0, 5).join(', ')})`
  }
  const whole = typeof value === 'string' ? JSON.stringify(value) : String(value)
  // a user and a password in an address
  const text = whole.replace(/:\/\/[^\s/]*@/g, '://(not shown)@')
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** What a value with a unit means for a key that says its own: bytes, seconds or ms; null for other keys and other text. */
function numberOf(key: string, text: string): number | null {
  if (/bytes/i.test(key)) return bytesOf(text)
  const isMs = /(^ms|Ms)(Max|Min)?$/.test(key)
  if (!isMs && !/seconds/i.test(key)) return null
  const match = /^([0-9]+) ?(?:(ms)|(s|m|h|d|w)[a-z]*)$/i.exec(text.trim())
  if (match === null) return null
  const [, digits, ms, unit] = match
  const seconds =
    ms === undefined ? Number(digits) * UNIT_SECONDS[unit!.toLowerCase()]! : Number(digits) / 1000
  const number = isMs ? seconds * 1000 : seconds
  return Number.isInteger(number) ? number : null
}

/** Bytes that "4MiB", "4 MB" or "4M" mean (all of them 4 x 2^20), or null for other text. */
function bytesOf(text: string): number | null {
  const match = /^([0-9]+)[ _]?([kmgt])i?b?$/i.exec(text.trim())
  if (match === null) return null
  return Number(match[1]) * 1024 ** ('kmgt'.indexOf(match[2]!.toLowerCase()) + 1)
}

function unknownKey(schema: TObject, path: Path, root: TSchema): SchemaProblem {
  const key = String(path.at(-1))
  const known = Object.keys(schema.properties)
  const group = path.length === 1 ? 'at the top level' : `in ${pathName(path.slice(0, -1))}`
  const near = nearest(key, known)
  const elsewhere = near === null ? homeOf(key, root, '') : null
  const hint = key.startsWith('//')
    ? 'a comment begins with "#" in YAML'
    : elsewhere === null
      ? suggestion(key, known)
      : `it belongs to ${elsewhere}`
  const problem = { path, atKey: true, message: `unknown key "${key}" ${group}`, hint }
  return near === null ? problem : { ...problem, meantKey: near }
}

/** The group in which a key of that very name is known. */
function homeOf(key: string, schema: TSchema, group: string): string | null {
  if (schema[Kind] === 'Array') return homeOf(key, schema.items as TSchema, `an entry of ${group}`)
  if (schema[Kind] === 'Union') {
    for (const branch of schema.anyOf as TSchema[]) {
      const home = homeOf(key, branch, group)
      if (home !== null) return home
    }
  }
  if (schema[Kind] !== 'Object') return null
  for (const [name, property] of Object.entries((schema as TObject).properties)) {
    if (name === key && group !== '') return group
    const home = homeOf(key, property, group === '' ? name : `${group}.${name}`)
    if (home !== null) return home
  }
  return null
}

/** A union's own errors name no branch; the branch that was meant is the one to judge by. */
function unionProblems(error: ValueError, path: Path, root: TSchema): SchemaProblem[] {
  const branches = error.schema.anyOf as TSchema[]
  const value = error.value
  const objects = branches.filter((branch): branch is TObject => branch[Kind] === 'Object')
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && objects.length > 0) {
    const tag = discriminator(objects)
    if (tag !== null) return taggedProblems(objects, tag, value as Record<string, unknown>, path, root)
    const [meant, another] = meantBranches(objects, Object.keys(value))
    if (meant !== undefined && another === undefined) {
      return collect(meant, withDefaults(meant, value), path, root)
    }
  }
  const literals = branches.filter((branch) => branch[Kind] === 'Literal').map((branch) => branch.const)
  const near = typeof value === 'string' ? nearest(value, literals.map(String)) : null
  const problem = wrongValue(error.schema, value, path)
  return [near === null ? problem : { ...problem, hint: `did you mean "${near}"?` }]
}

/** The branches to which a key of the value belongs, or, when there are none, nearly does. */
function meantBranches(branches: readonly TObject[], keys: readonly string[]): TObject[] {
  const having = branches.filter((branch) => keys.some((key) => key in branch.properties))
  if (having.length > 0) return having
  return branches.filter((branch) =>
    keys.some((key) => nearest(key, Object.keys(branch.properties)) !== null),
  )
}

/** The key that every branch has with a value of its own. */
function discriminator(branches: readonly TObject[]): string | null {
  const keys = Object.keys(branches[0]!.properties)
  const values = (key: string) => new Set(branches.map((branch) => branch.properties[key]?.const as unknown))
  return (
    keys.find(
      (key) =>
        branches.every((branch) => branch.properties[key]?.[Kind] === 'Literal') && values(key).size > 1,
    ) ?? null
  )
}

function taggedProblems(
  branches: readonly TObject[],
  tag: string,
  value: Record<string, unknown>,
  path: Path,
  root: TSchema,
): SchemaProblem[] {
  const tags = [...new Set(branches.map((branch) => String(branch.properties[tag]!.const)))]
  const given = value[tag]
  const meant = branches.filter((branch) => String(branch.properties[tag]!.const) === String(given))
  // several kinds of one kind: another key tells them apart
  const next = meant.length > 1 ? discriminator(meant) : null
  if (next !== null) return taggedProblems(meant, next, value, path, root)
  const [branch] = meant
  if (branch !== undefined) return collect(branch, withDefaults(branch, value), path, root)
  const at = [...path, tag]
  if (given === undefined) {
    return [{ path: at, atKey: false, message: `${pathName(at)} is missing`, hint: tags.join(' or ') }]
  }
  const hint = suggestion(String(given), tags)
  return [{ path: at, atKey: false, message: `${pathName(at)} is ${shown(given)}`, hint }]
}
