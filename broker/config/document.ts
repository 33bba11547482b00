/** A YAML file as values, with the place of every key and value, so that each problem names `file:line:column`. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml'
import { ConfigError } from '../errors.ts'
import {
  CONFIG_VERSION_KEY,
  type Migration,
  migrateDocument,
  newestVersion,
  versionOf,
} from './migrations.ts'

/** Larger than any configuration; a wrong path (a log, a core dump) is refused before it is parsed. */
export const CONFIG_BYTES_MAX = 1_048_576

export type Path = readonly (string | number)[]

export class ConfigDocument {
  readonly file: string
  readonly value: unknown
  /** Syntax errors; the value is of use only without them. */
  readonly problems: ConfigError[]
  readonly #document: Document.Parsed
  readonly #lines: LineCounter
  readonly #program: string

  /** What it lacked of the newest version: the value is as if it had been migrated. */
  readonly migrated: readonly Migration[]
  readonly #migrations: readonly Migration[]

  /** @param program whose `init` writes a file to compare with */
  constructor(file: string, text: string, program: string, migrations: readonly Migration[]) {
    this.file = file
    this.#program = program
    this.#migrations = migrations
    this.#lines = new LineCounter()
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: true,
    })
    this.problems = this.#syntaxProblems(text)
    if (this.problems.length === 0) this.problems.push(...this.#newerVersion())
    this.migrated = this.problems.length === 0 ? migrateDocument(this.#document, migrations) : []
    this.value = this.problems.length === 0 ? this.#toValue() : undefined
  }

  /** The version that it had before it was migrated. */
  get version(): number {
    const [first] = this.migrated
    return first === undefined ? (versionOf(this.#document) ?? 1) : first.to - 1
  }

  /** Whether the file says this value, or a part of it. */
  has(path: Path): boolean {
    return path.length > 0 && this.#found(path, 'value').isWhole
  }

  #newerVersion(): ConfigError[] {
    const version = versionOf(this.#document)
    const newest = newestVersion(this.#migrations)
    if (version === null || version <= newest) return []
    const message = `the file has ${CONFIG_VERSION_KEY} ${version}, this ${this.#program} reads up to ${newest}`
    const hint = `use the version that wrote it, or the file's backup of before: ${this.file}.backup-*`
    return [new ConfigError(this.place([CONFIG_VERSION_KEY]), message, hint)]
  }

  /** Where in the file a place is, for sorting. */
  offset(path: Path, part: 'key' | 'value' = 'value'): number {
    return this.#nodeAt(path, part)?.range?.[0] ?? 0
  }

  /**
   * Where a value stands, or with `part: 'key'` its key. A path that is not in the file is at the deepest part of it
   * that is.
   */
  place(path: Path, part: 'key' | 'value' = 'value'): string {
    return this.#placeAt(this.offset(path, part))
  }

  #nodeAt(path: Path, part: 'key' | 'value'): Node | null {
    return this.#found(path, part).node
  }

  /** The deepest part of the path that is there. */
  #found(path: Path, part: 'key' | 'value'): { readonly node: Node | null; readonly isWhole: boolean } {
    let node: unknown = this.#document.contents
    let found: Node | null = isNode(node) ? node : null
    for (const [index, step] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document)
      let next: unknown
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step))
        const last = index === path.length - 1
        next = pair === undefined ? undefined : last && part === 'key' ? pair.key : (pair.value ?? pair.key)
      } else if (isSeq(node)) {
        next = node.items[Number(step)]
      }
      if (!isNode(next)) return { node: found, isWhole: false }
      node = next
      found = next
    }
    return { node: found, isWhole: true }
  }

  #placeAt(offset: number): string {
    const { line, col } = this.#lines.linePos(offset)
    return `${this.file}:${Math.max(1, line)}:${Math.max(1, col)}`
  }

  /** The key or value that begins there. */
  #wordAt(text: string, offset: number): string {
    return /^[\w.$-]{1,60}/.exec(text.slice(offset, offset + 61))?.[0] ?? ''
  }

  #syntaxProblems(text: string): ConfigError[] {
    const problems: ConfigError[] = []
    const lines = new Set<number>()
    for (const error of this.#document.errors) {
      // One slip makes the parser stumble several times on a line; the first is the one to mend.
      const { line } = this.#lines.linePos(error.pos[0])
      if (lines.has(line)) continue
      lines.add(line)
      const [message, hint] = syntaxWords(
        error.code,
        error.message,
        this.#wordAt(text, error.pos[0]),
        this.#program,
      )
      problems.push(new ConfigError(this.#placeAt(error.pos[0]), message, hint))
    }
    for (const warning of this.#document.warnings) {
      problems.push(new ConfigError(this.#placeAt(warning.pos[0]), ...warningWords(warning.message)))
    }
    return problems
  }

  #toValue(): unknown {
    visit(this.#document, {
      Pair: (_key, { key }) => {
        // As a property of an object this name would change the object instead of being in it.
        if (!isScalar(key) || key.value !== '__proto__') return
        const place = this.#placeAt(key.range?.[0] ?? 0)
        this.problems.push(new ConfigError(place, 'unknown key "__proto__"', 'remove it'))
      },
      Alias: (_key, alias) => {
        if (alias.resolve(this.#document) !== undefined) return
        const place = this.#placeAt(alias.range?.[0] ?? 0)
        const hint = `put it in quotes: "*${alias.source}"`
        this.problems.push(new ConfigError(place, `nothing is called "${alias.source}" here`, hint))
      },
    })
    if (this.problems.length > 0) return undefined
    try {
      return this.#document.toJS() as unknown
    } catch (error) {
      // The library refuses a file whose aliases would grow without bound.
      const text = lowerFirst(error instanceof Error ? error.message : String(error))
      const message = text.includes('alias count') ? 'its references (*name) multiply without bound' : text
      this.problems.push(new ConfigError(`${this.file}:1:1`, message, 'write the values out'))
      return undefined
    }
  }
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value)
}

/** The parser's words are about YAML's grammar; these are about what a person typed. */
function syntaxWords(
  code: string,
  message: string,
  word: string,
  program: string,
): [message: string, hint: string] {
  switch (code) {
    case 'TAB_AS_INDENT':
      return ['a tab indents this line', 'indent with spaces; YAML allows no tabs there']
    case 'DUPLICATE_KEY':
      return [`${word === '' ? 'this key' : `"${word}"`} stands here a second time`, 'keep one of the two']
    case 'NON_STRING_KEY':
      return ['a group or a list stands where a key should', QUOTE_BRACES]
    case 'MULTILINE_IMPLICIT_KEY':
      return ['this line is not a key with a ":" and a space after it', 'write it as "key: value"']
    case 'BLOCK_AS_IMPLICIT_KEY':
      return ['a ": " where the value already began', 'indent keys alike, or put the value in quotes']
    case 'MULTIPLE_DOCS':
      return ['a second document begins here', 'keep one document; remove the line "---"']
    case 'BAD_SCALAR_START':
      return [lowerFirst(message), 'put the value in quotes']
    case 'BAD_ALIAS':
      return ['a "*" alone begins a reference in YAML', 'put it in quotes: "*"']
    case 'MISSING_CHAR':
      if (message.startsWith('Sequence item without')) {
        const hint = 'indent it like the first key after "-"'
        return ['this line is indented less than the list entry it follows', hint]
      }
      if (message.startsWith('Missing closing'))
        return ['a quote that was opened here or above is not closed', 'close it']
      return [lowerFirst(message), 'close it']
    case 'BAD_INDENT':
      if (!message.startsWith('Flow'))
        return ['this line is not indented like those above it', 'indent keys of one group alike']
      return [`a ${message.includes('}') ? '"{"' : '"["'} that was opened above is not closed`, 'close it']
    default:
      return [lowerFirst(message), `compare with the file that \`${program} init\` writes`]
  }
}

const QUOTE_BRACES = 'a value that begins with "{" or "[" stands in quotes; was a template not filled in?'

function warningWords(message: string): [message: string, hint: string] {
  const tag = /^Unresolved tag: (.*)$/.exec(message)?.[1]
  if (tag === undefined) return [lowerFirst(message), 'remove it']
  return [
    `"${tag}" means nothing here`,
    'remove it; the environment gives values by names of its own, which the file of init tells',
  ]
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
