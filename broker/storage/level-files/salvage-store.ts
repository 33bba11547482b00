/**
 * Gets out of a LevelDB directory all that can be read, without LevelDB: the newest value of each key, deletions applied, in the order of
 * the keys. Reads only.
 *
 * Which files count. With a manifest that can be believed (whole but for an end that was cut short, and not older than the files beside it):
 * the tables that it lists and the logs from the one that it names, as LevelDB does. Without one nobody knows what is live. A table that a
 * compaction replaced still holds what it held: where LevelDB did not live to remove it, but did remove the table with the deletion of one
 * of its keys, that key comes back. So of all tables those are left out that any edit, in any manifest that can be read, has replaced; what
 * remains is a replaced table whose edit is lost, found beside a deletion that is gone for good. It needs a power cut between two
 * removals, and the loss of the manifest before the next start. Stores whose keys are written once and never deleted have nothing that
 * could come back: of them all tables and logs are read, always.
 *
 * What is lost with a block can be the newest value of a key, or its deletion: an older one in another table is then handed out. The
 * report names the ranges in which that can be; `keysAreWrittenOnce` stores have no older one.
 */
import { assert } from '../../assert.ts'
import type { Disk, Entry } from '../store.ts'
import type { EntrySource } from './entry-source.ts'
import { tableName } from './file-names.ts'
import { DELETION, typeAt, userKeyOf } from './internal-key.ts'
import { type Layout, type NumberedFile, readLayout } from './layout.ts'
import { LogSource } from './log-source.ts'
import { mergeSources } from './merge.ts'
import { SalvageReport } from './salvage-report.ts'
import { type SourceOptions, TableSource } from './table-source.ts'

export interface SalvageOptions {
  /**
   * Judges an entry whose block has a wrong checksum; `value` is undefined for a deletion. The key can be as damaged as the value. Where it
   * is not given no such entry is handed out.
   */
  readonly accept?: (key: Buffer, value: Buffer | undefined) => boolean
  /** As in the log: no key is ever overwritten or deleted. */
  readonly keysAreWrittenOnce?: boolean
}

/** Iterated once; `report` is whole when the entries have ended. */
export interface Salvage extends AsyncIterable<Entry> {
  readonly report: SalvageReport
}

/** @param directory of a store that is not open, on a disk that `hasLevelFiles` */
export function salvageStore(disk: Disk, directory: string, options: SalvageOptions = {}): Salvage {
  assert(disk.hasLevelFiles, 'a store is salvaged from LevelDB’s files')
  const report = new SalvageReport()
  return { report, [Symbol.asyncIterator]: () => salvage(disk, directory, options, report) }
}

async function* salvage(
  disk: Disk,
  directory: string,
  { accept = () => false, keysAreWrittenOnce = false }: SalvageOptions,
  report: SalvageReport,
): AsyncGenerator<Entry> {
  const layout = await readLayout(disk, directory)
  report.hadManifest = layout.version !== null
  const { tables, logs } = keysAreWrittenOnce ? layout : filesThatCount(layout)
  const options = { disk, directory, accept, report }
  const { source, sequenceMax } = await LogSource.read(logs, options)
  const newest = layout.version?.lastSequence ?? Number.MAX_SAFE_INTEGER
  const sources = await tableSources(layout, tables, {
    ...options,
    sequenceMax: Math.max(sequenceMax, newest),
  })
  let lastKey: Buffer | null = null
  for await (const { internalKey, value } of mergeSources([source, ...sources])) {
    const key = userKeyOf(internalKey)
    if (lastKey !== null && key.equals(lastKey)) continue
    lastKey = key
    if (typeAt(internalKey, internalKey.length) === DELETION || value === undefined) continue
    report.entries++
    yield { key, value: ownBytes(value) }
  }
}

function filesThatCount({ tables, logs, version, hints }: Layout): {
  tables: readonly NumberedFile[]
  logs: readonly NumberedFile[]
} {
  if (version === null) {
    const oldestLog = Math.max(0, ...hints.map(({ log }) => log ?? 0))
    return {
      tables: tables.filter(({ number }) => !hints.some(({ replaced }) => replaced.has(number))),
      logs: logs.filter(({ number }) => number >= oldestLog),
    }
  }
  const live = new Set(version.live.map(({ number }) => number))
  return {
    tables: tables.filter(({ number }) => live.has(number)),
    logs: logs.filter(({ number }) => number >= version.log! || number === version.previousLog),
  }
}

async function tableSources(
  { version }: Layout,
  tables: readonly NumberedFile[],
  options: SourceOptions,
): Promise<EntrySource[]> {
  const live = new Map(version?.live.map((table) => [table.number, table]))
  const sources: EntrySource[] = []
  for (const { name, number } of tables) {
    const table = live.get(number) ?? null
    live.delete(number)
    // what is damaged of one that the manifest does not list is not lost: it lists what counts
    const report = version !== null && table === null ? new SalvageReport() : options.report
    const bound = table?.smallest ?? (await firstKey(name, { ...options, report }))
    if (bound !== null) sources.push(new TableSource(name, table, bound, { ...options, report }))
  }
  for (const { number, size, smallest, largest } of live.values()) {
    const keys = { from: userKeyOf(smallest), to: userKeyOf(largest) }
    const place = { cause: 'table-missing', file: tableName(number), at: 0, bytes: size } as const
    options.report.add({ ...place, ...keys, isByWriting: false })
  }
  return sources
}

/** Where a table begins of which no manifest says it; null for one that holds nothing that can be read. */
async function firstKey(name: string, options: SourceOptions): Promise<Buffer | null> {
  const unseen = new SalvageReport()
  const source = new TableSource(name, null, Buffer.alloc(0), { ...options, report: unseen })
  try {
    await source.open()
    if (source.head !== null) return source.head.internalKey
    for (const range of unseen.lost) options.report.add(range)
    options.report.blocksLost += unseen.blocksLost
    options.report.rejected += unseen.rejected
    return null
  } finally {
    await source.close()
  }
}

/** A value that does not keep a whole window of the file in memory. */
function ownBytes(value: Buffer): Buffer {
  return value.length * 2 > value.buffer.byteLength ? value : Buffer.from(value)
}
