/**
 * Finds, reads and checks a configuration, of whichever program: by its schema, then by what the program itself has to say. All problems
 * are found at once, each with its place.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { ConfigError } from '../errors.ts'
import { CONFIG_BYTES_MAX, ConfigDocument, type Path } from './document.ts'
import { type EnvironmentNames, type EnvironmentValue, readEnvironment } from './environment.ts'
import type { Migration } from './migrations.ts'
import { schemaProblems, withDefaults } from './schema-check.ts'
import { secretWarnings } from './secret-keys.ts'
import { expandShortEntries } from './short-entries.ts'

/** A program that is configured by a file. */
export interface ConfiguredProgram {
  /** Its command: `init` of it writes a template. */
  readonly command: string
  /** Looked for in this order when no file is named. */
  readonly files: readonly string[]
  /** Of the environment: names the file. */
  readonly fileVariable: string
  readonly names: EnvironmentNames
  readonly migrations: readonly Migration[]
}

export interface FileOptions {
  /** The file to read; without it the program's variable, then the first of its files that exists, else defaults. */
  readonly file?: string | undefined
  /** --data: goes before file and environment. Relative to the working directory. */
  readonly data?: string | undefined
  readonly env: NodeJS.ProcessEnv
}

export interface Loaded<C> {
  readonly ok: true
  readonly config: C
  /** null: no file, defaults alone. */
  readonly file: string | null
  readonly warnings: readonly string[]
  /** Whether file, environment or command line say something of this key. */
  isGiven(path: Path): boolean
  /** Where a value was given, for problems that are found later. */
  place(path: Path): string
  /** Where a value comes from: a place in the file, an environment variable, an option; null: nobody gave it, it is the default. */
  source(path: Path): string | null
  /** The version of the file before it was migrated; null without a file. */
  readonly version: number | null
}

export interface RefusedConfig {
  readonly ok: false
  readonly file: string | null
  readonly problems: readonly ConfigError[]
}

export interface Fault {
  readonly path: Path
  readonly atKey?: boolean
  readonly message: string
  readonly hint: string
}

export interface ConfigRules<C> {
  /** May change the configuration: what is not given and is not in the schema. @param given what file and environment say */
  complete?(config: C, given: Readonly<Record<string, unknown>>): void
  /** What is wrong beyond the schema. */
  faults(config: C): readonly Fault[]
  warnings?(config: C, place: PlaceFinder): readonly string[]
}

export type PlaceFinder = (path: Path, part?: 'key' | 'value') => string

export function loadFile<C>(
  program: ConfiguredProgram,
  schema: TObject,
  rules: ConfigRules<C>,
  options: FileOptions,
): Loaded<C> | RefusedConfig {
  const file = findFile(program, options)
  const document = file === null ? null : readDocument(program, file)
  if (document instanceof ConfigError) return { ok: false, file, problems: [document] }
  if (document !== null && document.problems.length > 0)
    return { ok: false, file, problems: document.problems }

  const given = givenValues(program, document)
  if (given instanceof ConfigError) return { ok: false, file, problems: [given] }
  dropEmptyGroups(schema, given)
  const short = expandShortEntries(schema, given)
  const environment = readEnvironment(schema, options.env, program.names)
  for (const { path, value } of environment.values) setAt(given, path, value)
  if (options.data !== undefined) setAt(given, ['data'], resolve(options.data))

  const place = placeFinder(document, environment.values, options, short)
  const value = withDefaults(schema, given)
  const problems = schemaProblems(schema, value)
  if (problems.length > 0) return refused(problems, file, document, place)

  const config = value as C
  resolvePaths(schema, config, file === null ? process.cwd() : dirname(resolve(file)))
  rules.complete?.(config, given)
  const broken = rules.faults(config)
  if (broken.length > 0) return refused(broken, file, document, place)
  const warnings = [
    ...(document === null ? [] : versionWarnings(program, document)),
    ...environment.warnings,
    ...secretWarnings(schema, given, place),
    ...(rules.warnings?.(config, place) ?? []),
  ]
  const isGiven = (path: Path) => valueAt(given, path) !== undefined
  const source = (path: Path) => {
    const from = place(path)
    const isOther = from !== NOWHERE && from !== document?.place(writtenAt(path, short))
    return isOther || document?.has(writtenAt(path, short)) === true ? from : null
  }
  const version = document?.version ?? null
  return { ok: true, config, file, warnings, isGiven, place, source, version }
}

/** What a value's place is called that nobody gave. */
const NOWHERE = 'default configuration'

function versionWarnings(
  { command }: ConfiguredProgram,
  { file, version, migrated }: ConfigDocument,
): string[] {
  const newest = migrated.at(-1)?.to
  if (newest === undefined) return []
  const text = `${file}: it is written for version ${version} of the configuration and read as version ${newest}`
  return [`${text} - \`${command} config migrate\` writes it anew, with a backup`]
}

/** The problems in the order of the file. */
function refused(
  found: readonly Fault[],
  file: string | null,
  document: ConfigDocument | null,
  place: PlaceFinder,
): RefusedConfig {
  const problems = found.map(({ path, atKey, message, hint }) => {
    const part = atKey ? 'key' : 'value'
    const offset = document?.offset(path, part) ?? 0
    return { offset, error: new ConfigError(place(path, part), message, hint) }
  })
  problems.sort((a, b) => a.offset - b.offset)
  return { ok: false, file, problems: problems.map(({ error }) => error) }
}

/** @returns null when there is none, and for the empty name, which asks for none. */
function findFile(program: ConfiguredProgram, { file, env }: FileOptions): string | null {
  const named = file ?? (env[program.fileVariable] || undefined)
  if (named !== undefined) return named === '' ? null : named
  return program.files.find((candidate) => existsSync(candidate)) ?? null
}

function readDocument(
  { command, migrations }: ConfiguredProgram,
  file: string,
): ConfigDocument | ConfigError {
  let bytes: Buffer
  try {
    const size = statSync(file).size
    if (size > CONFIG_BYTES_MAX) {
      const message = `the file has ${size} bytes, a configuration has at most ${CONFIG_BYTES_MAX}`
      return new ConfigError(file, message, 'name the configuration file')
    }
    bytes = readFileSync(file)
  } catch (error) {
    return unreadable(command, file, error as NodeJS.ErrnoException)
  }
  const text = decode(bytes)
  if (text === null) return new ConfigError(...encodingFault(file, bytes))
  return new ConfigDocument(file, text, command, migrations)
}

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return null
  }
}

function encodingFault(file: string, bytes: Buffer): [place: string, message: string, hint: string] {
  const [first, second] = bytes
  const isWide = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
  if (isWide) return [`${file}:1:1`, 'the file is UTF-16', 'save it as UTF-8']
  let line = 1
  for (let from = 0; from < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, from)
    const piece = bytes.subarray(from, end < 0 ? bytes.length : end)
    if (decode(piece) === null) {
      const column = piece.findIndex((byte) => byte >= 0x80) + 1
      return [`${file}:${line}:${column}`, 'a character here is not UTF-8', 'save the file as UTF-8']
    }
    from += piece.length + 1
  }
  return [file, 'the file is not UTF-8 text', 'save it as UTF-8']
}

function unreadable(command: string, file: string, error: NodeJS.ErrnoException): ConfigError {
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new ConfigError(file, 'there is no such file', `write one with \`${command} init ${file}\``)
    case 'EISDIR':
      return new ConfigError(file, 'this is a directory', 'name the file in it')
    case 'EACCES':
    case 'EPERM':
      return new ConfigError(file, 'no permission to read it', 'run as its owner, or change its mode')
    default:
      return new ConfigError(file, error.message, 'name a readable file')
  }
}

function givenValues(
  { command }: ConfiguredProgram,
  document: ConfigDocument | null,
): Record<string, unknown> | ConfigError {
  const value = document?.value ?? {}
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
  const message = `the file holds ${Array.isArray(value) ? 'a list' : 'one value'}, not keys`
  const glued = typeof value === 'string' ? /^([A-Za-z]+):(\S+)/.exec(value) : null
  const hint =
    glued === null
      ? `compare with the file that \`${command} init\` writes`
      : `a space follows the ":" of a key: "${glued[1]}: ..."`
  return new ConfigError(document!.place([]), message, hint)
}

/**
 * `mqtt:` with nothing below it, as when all its keys are commented out, is the same as no `mqtt:`. So is a list that is
 * empty by default.
 */
function dropEmptyGroups(schema: TObject, value: Record<string, unknown>): void {
  for (const [name, property] of Object.entries(schema.properties)) {
    const isEmptyList = property[Kind] === 'Array' && property.default?.length === 0
    if (property[Kind] !== 'Object' && !isEmptyList) continue
    const group = value[name]
    if (group === null) delete value[name]
    else if (property[Kind] === 'Object' && typeof group === 'object' && !Array.isArray(group)) {
      dropEmptyGroups(property as TObject, group as Record<string, unknown>)
    }
  }
}

function setAt(target: Record<string, unknown>, path: Path, value: unknown): void {
  let group = target
  for (const step of path.slice(0, -1)) {
    const next = group[step]
    // A group of the wrong type is left alone: the check names it.
    if (next !== undefined && (typeof next !== 'object' || next === null)) return
    if (next === undefined) group[step] = {}
    group = group[step] as Record<string, unknown>
  }
  group[path.at(-1)!] = value
}

function valueAt(group: unknown, path: Path): unknown {
  let value = group
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}

/** Where the file has it: an entry that is plain text has no keys there. */
function writtenAt(path: Path, short: readonly Path[]): Path {
  const entry = short.find((one) => one.every((step, index) => String(step) === String(path[index])))
  return entry ?? path
}

function placeFinder(
  document: ConfigDocument | null,
  values: readonly EnvironmentValue[],
  options: FileOptions,
  short: readonly Path[],
): PlaceFinder {
  return (path, part = 'value') => {
    if (options.data !== undefined && path[0] === 'data') return '--data'
    const variable = values.find((value) => value.path.every((step, index) => step === path[index]))
    if (variable !== undefined) return `environment variable ${variable.variable}`
    return document === null ? NOWHERE : document.place(writtenAt(path, short), part)
  }
}

function resolvePaths(schema: TSchema, value: unknown, base: string): void {
  if (typeof value !== 'object' || value === null) return
  if (schema[Kind] === 'Union') {
    const branch = (schema.anyOf as TSchema[]).find((candidate) => Value.Check(candidate, value))
    if (branch !== undefined) resolvePaths(branch, value, base)
  } else if (schema[Kind] === 'Array') {
    for (const item of value as unknown[]) resolvePaths(schema.items as TSchema, item, base)
  } else if (schema[Kind] === 'Object') {
    const group = value as Record<string, unknown>
    for (const [name, property] of Object.entries((schema as TObject).properties)) {
      const entry = group[name]
      if (property.path === true && typeof entry === 'string') group[name] = resolve(base, entry)
      else resolvePaths(property, entry, base)
    }
  }
}
