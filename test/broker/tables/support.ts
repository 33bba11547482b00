/** A log with keyed records and the tables over it, on any disk. */
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { partitionOf } from '../../../broker/log/murmur2.ts'
import { encodeHeaders, NO_HEADERS, type RecordHeader } from '../../../broker/log/record-batch.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import type { TableChange } from '../../../broker/tables/change-feed.ts'
import type { TableEntry } from '../../../broker/tables/table-entry.ts'
import type { TableLimits } from '../../../broker/tables/table-limits.ts'
import { Tables } from '../../../broker/tables/tables.ts'
import { committed, MEMORY_PATH, RecordingSink } from '../log/support.ts'

export const STREAM = 'events'
export const TABLE_PATH = join(MEMORY_PATH, 'tables', STREAM)

/** No timer has a say: what is to happen, happens at once or when the test asks for it. */
export const PROMPT: Partial<TableLimits> = {
  restMs: 0,
  holesEveryMs: 0,
  sweepPauseMs: 0,
  sweepEveryMs: 0,
  waitMsMax: 20_000,
}

let open = new Set<Tables>()
afterEach(async () => {
  const tables = [...open]
  open = new Set()
  await Promise.all(tables.map((each) => each.close()))
})

export interface TestTablesOptions {
  readonly data?: string
  readonly sink?: RecordingSink
  readonly limits?: Partial<TableLimits>
  readonly streams?: readonly string[]
}

/** Opens the tables; they are closed after the test where the test did not. */
export function openTables(disk: Disk, log: EventLog, options: TestTablesOptions = {}): Tables {
  const { data = MEMORY_PATH, sink = new RecordingSink(), limits = {}, streams = [STREAM] } = options
  const tables = Tables.open({ disk, data, log, sink, limits: { ...PROMPT, ...limits } }, streams)
  open.add(tables)
  return tables
}

export type Change = readonly [key: string | Buffer, value: string | null, headers?: readonly RecordHeader[]]

/** Appends changes, each in the partition of its key; not committed yet. */
export function appendChanges(
  log: EventLog,
  changes: readonly Change[],
  stream = STREAM,
  timestamp = 1000,
): void {
  const { chain, partitions } = log.stream(stream)
  for (const [key, value, headers] of changes) {
    const bytes = Buffer.from(key as string)
    const partition = partitions[partitionOf(bytes, partitions.length)]!
    const section = headers === undefined ? NO_HEADERS : encodeHeaders(headers)
    chain.append(partition, timestamp, bytes, value === null ? null : Buffer.from(value), section)
  }
}

/** The same, and resolves once they are on disk. */
export async function change(log: EventLog, changes: readonly Change[], stream = STREAM): Promise<void> {
  appendChanges(log, changes, stream)
  await committed(log, stream)
}

export async function latestOf(tables: Tables, key: string, stream = STREAM): Promise<string | null> {
  return (await tables.get(stream, Buffer.from(key)))?.value.toString() ?? null
}

/** `key=value` of entries or changes. */
export function shown(entries: readonly TableEntry[]): string[] {
  return entries.map(({ key, value }) => `${key}=${value}`)
}

export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** Changes that have no gap among them. */
export function entriesOf(changes: readonly TableChange[]): TableEntry[] {
  return changes.map((change) => {
    if ('gap' in change) throw new Error(`a gap: ${JSON.stringify(change)}`)
    return change
  })
}

/** What retention does to a partition, without its segments. */
export function moveLogStart(log: EventLog, partition: number, offset: number, stream = STREAM): void {
  log.stream(stream).partitions[partition]!.logStartOffset = offset
}
