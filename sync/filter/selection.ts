/**
 * What one upstream wants of the log: which streams, in which order of importance, and which of their records. All of it is decided by
 * what stands in a record (its key, its offset), never by when or how often it is looked at: after a crash the same is decided again.
 */
import type { Keep, StreamState } from '../../broker/index.ts'
import { Pattern, textMatcher } from './pattern.ts'

export interface FilterOptions {
  /** Patterns; the first filter that names a stream is that stream's. */
  readonly streams: readonly string[]
  readonly keys: { readonly include: readonly string[]; readonly exclude: readonly string[] }
  readonly oneIn: number
  readonly newestPerKey: boolean
}

export interface SelectionOptions {
  readonly streams: { readonly include: readonly string[]; readonly exclude: readonly string[] }
  readonly filters: readonly FilterOptions[]
  /** By pattern of the stream's name; the first that fits wins over the stream's own. */
  readonly priorities: Readonly<Record<string, number>>
}

export const EVERYTHING: SelectionOptions = {
  streams: { include: ['*'], exclude: [] },
  filters: [],
  priorities: {},
}

/** Which records of a stream go upstream. */
export interface RecordFilter {
  /** By key and offset; null where all do. */
  readonly keep: Keep | null
  readonly newestPerKey: boolean
}

const DEFAULT_PRIORITY = 5

export class Selection {
  readonly #isIncluded: (stream: string) => boolean
  readonly #isExcluded: (stream: string) => boolean
  readonly #filters: readonly { names: (stream: string) => boolean; filter: RecordFilter }[]
  readonly #priorities: readonly { names: (stream: string) => boolean; priority: number }[]
  readonly #known = new Map<string, { isWanted: boolean; filter: RecordFilter | null }>()

  constructor(options: SelectionOptions) {
    this.#isIncluded = textMatcher(options.streams.include)
    this.#isExcluded = textMatcher(options.streams.exclude)
    this.#filters = options.filters.map((filter) => ({
      names: textMatcher(filter.streams),
      filter: { keep: keepOf(filter), newestPerKey: filter.newestPerKey },
    }))
    this.#priorities = Object.entries(options.priorities).map(([pattern, priority]) => ({
      names: textMatcher([pattern]),
      priority,
    }))
  }

  wants(stream: string): boolean {
    return this.#of(stream).isWanted
  }

  /** null where every record goes. */
  filterOf(stream: string): RecordFilter | null {
    return this.#of(stream).filter
  }

  priorityOf({ stream, priority = DEFAULT_PRIORITY }: Pick<StreamState, 'stream' | 'priority'>): number {
    return this.#priorities.find(({ names }) => names(stream))?.priority ?? priority
  }

  #of(stream: string): { isWanted: boolean; filter: RecordFilter | null } {
    let known = this.#known.get(stream)
    if (known === undefined) {
      const filter = this.#filters.find(({ names }) => names(stream))?.filter ?? null
      const isWanted = this.#isIncluded(stream) && !this.#isExcluded(stream)
      const passesAll = filter === null || (filter.keep === null && !filter.newestPerKey)
      known = { isWanted, filter: passesAll ? null : filter }
      this.#known.set(stream, known)
    }
    return known
  }
}

/** A record without a key is in no list of keys: where some are asked for it stays out, where some are not wanted it goes. */
function keepOf({ keys, oneIn }: FilterOptions): Keep | null {
  const include = keys.include.map((pattern) => new Pattern(pattern))
  const exclude = keys.exclude.map((pattern) => new Pattern(pattern))
  if (include.length === 0 && exclude.length === 0 && oneIn === 1) return null
  return ({ offset, keyAt, keyBytes }, batch) => {
    if (offset % oneIn !== 0) return false
    if (keyBytes < 0) return include.length === 0
    if (include.length > 0 && !include.some((pattern) => pattern.matches(batch, keyAt, keyBytes)))
      return false
    return !exclude.some((pattern) => pattern.matches(batch, keyAt, keyBytes))
  }
}
