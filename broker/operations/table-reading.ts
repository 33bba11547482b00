/** Reads a table for people and programs: one key, its entries in the order of their keys, or its changes. */
import { NoTableError, OffsetGoneError, UnknownKeyError } from '../errors.ts'
import type { TableChange } from '../tables/change-feed.ts'
import type { KeyRange } from '../tables/table-entry.ts'
import type { Tables } from '../tables/tables.ts'
import { UsageError } from './errors.ts'
import type { ReadableLog } from './operations.ts'
import { parseFrom, placesOf } from './reading.ts'
import { gapJson, recordJson } from './record-json.ts'

/** Lines are handed on in pieces of about this many characters. */
const CHUNK_CHARS = 16_384

export interface TableRequest {
  readonly stream: string
  /** This key alone. */
  readonly key: string | null
  /** Keys that begin so. */
  readonly prefix: string | null
  /** Keys above this one, in the order of their bytes: the next page. */
  readonly after?: string | null
  /** Changes from there on, in place of the entries; as it was typed: `parseFrom`. */
  readonly from: string | null
  /** Changes of this partition alone. */
  readonly partition: number | null
  /** Goes on with every later change, until the reader leaves. */
  readonly follow: boolean
  /** Ends after this many lines. */
  readonly count: number | null
}

/** @throws UsageError where the parts contradict each other */
export function checkTableRequest({
  key,
  prefix,
  after,
  from,
  partition,
}: Omit<TableRequest, 'stream'>): void {
  if (key !== null && prefix !== null) {
    throw new UsageError('a key and --prefix contradict each other', 'give one of them')
  }
  if (after != null && (key !== null || from !== null)) {
    throw new UsageError('after goes with neither a key nor from', 'it is the last key of the page before')
  }
  if (partition !== null && from === null) {
    throw new UsageError('--partition goes with --from', 'add --from, an offset or earliest')
  }
  if (from !== null) parseFrom(from)
}

/**
 * @returns pieces of newline-delimited JSON, each of whole lines, in the shape of a record that is read (record-json.ts)
 * @throws NoTableError, UnknownStreamError, UnknownKeyError, TableUnavailableError, OffsetGoneError, UsageError
 */
export async function openTableReading(
  log: ReadableLog,
  tables: Tables | undefined,
  request: TableRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<string>> {
  checkTableRequest(request)
  const { stream, key, prefix, after, from, follow, count } = request
  const started = await placesOf(log, { ...request, from: parseFrom(from ?? 'earliest') })
  if (tables === undefined || !tables.has(stream)) throw new NoTableError(stream)
  if (key !== null && from === null && !follow) return only(await lineOfKey(log, tables, stream, key))
  const range: KeyRange = {
    only: key === null ? undefined : Buffer.from(key),
    prefix: prefix === null ? undefined : Buffer.from(prefix),
    after: after == null ? undefined : Buffer.from(after),
  }
  const left = count ?? Number.POSITIVE_INFINITY
  if (from === null) {
    const pages = follow ? tables.follow(stream, range, signal) : tables.scanPages(stream, range)
    return linesOf(log, stream, pages, left)
  }
  const gone = started.find(({ first, logStartOffset }) => first < logStartOffset)
  if (gone !== undefined) throw new OffsetGoneError(stream, gone.partition, gone.first, gone.logStartOffset)
  const positions = new Map(started.map(({ partition, first }) => [partition, first]))
  return linesOf(log, stream, tables.changes(stream, { from: positions, follow, signal }, range), left)
}

async function* only(line: string): AsyncGenerator<string, void, void> {
  yield line
}

async function lineOfKey(log: ReadableLog, tables: Tables, stream: string, key: string): Promise<string> {
  const entry = await tables.get(stream, Buffer.from(key))
  if (entry === null) throw new UnknownKeyError(stream, key)
  return lineOf(log, stream, entry)
}

function lineOf(log: ReadableLog, stream: string, change: TableChange): string {
  const { partition } = change
  if ('gap' in change) return `${JSON.stringify(gapJson(stream, partition, change.gap))}\n`
  const { commit } = change
  const clock = commit === undefined ? null : log.clockOf({ stream, commit })
  return `${JSON.stringify(recordJson(stream, partition, change, clock?.(change.timestamp) ?? null))}\n`
}

async function* linesOf(
  log: ReadableLog,
  stream: string,
  pages: AsyncIterable<readonly TableChange[]>,
  linesMax: number,
): AsyncGenerator<string, void, void> {
  let left = linesMax
  if (left <= 0) return
  for await (const entries of pages) {
    let piece = ''
    for (const entry of entries.slice(0, left)) {
      piece += lineOf(log, stream, entry)
      if (piece.length < CHUNK_CHARS) continue
      yield piece
      piece = ''
    }
    // what is followed is shown as it comes
    if (piece !== '') yield piece
    left -= entries.length
    if (left <= 0) return
  }
}
