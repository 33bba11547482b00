/** The tables of a log: one for each stream that is to have one, in a directory of its own below `tables/`. */
import { join } from 'node:path'
import { NoTableError } from '../errors.ts'
import type { LogSink } from '../log-sink.ts'
import type { Disk } from '../storage/store.ts'
import { type ChangeRequest, changesOf, type TableChange } from './change-feed.ts'
import { whileItGoesOn } from './failing-table.ts'
import { OneAtATime } from './pace.ts'
import { Table } from './table.ts'
import type { KeyRange, StoredEntry } from './table-entry.ts'
import { limitsOfEach, type TableLimits } from './table-limits.ts'
import type { TableLog } from './table-log.ts'
import type { TableSnapshot } from './table-snapshot.ts'
import type { TableStatus } from './table-status.ts'
import {
  type TableVerifyProgress,
  type TableVerifyReport,
  unverified,
  verifyTable,
} from './table-verification.ts'

export interface TablesFiles {
  readonly disk: Disk
  /** The data directory. */
  readonly data: string
  readonly log: TableLog
  readonly sink: LogSink
  readonly limits?: Partial<TableLimits>
}

export const TABLES_DIRECTORY = 'tables'
/** No stream's name has it: what stands after it was meant to be removed. */
const TEMPORARY_MARK = '~'
/** What a scan reads ahead of who uses it. */
const SCAN_BYTES = 64 * 1024

export class Tables {
  readonly #files: TablesFiles
  readonly #directory: string
  readonly #tables = new Map<string, Table>()
  readonly #tidied: Promise<void>
  readonly #failingMsMax: number
  #verifications = 0

  /**
   * Begins at once, in the background: what a table lacks is applied while others already use it. Tables of streams that are not
   * named are removed.
   * @throws UnknownStreamError
   */
  static open(files: TablesFiles, streams: readonly string[]): Tables {
    return new Tables(files, streams, true)
  }

  /** The tables that the data directory has, of streams that the log has. */
  static async openStored(files: TablesFiles, streams: readonly string[]): Promise<Tables> {
    const stored = await files.disk.list(join(files.data, TABLES_DIRECTORY))
    return new Tables(
      files,
      streams.filter((stream) => stored.includes(stream)),
      false,
    )
  }

  private constructor(files: TablesFiles, streams: readonly string[], isTidied: boolean) {
    this.#files = files
    this.#directory = join(files.data, TABLES_DIRECTORY)
    const { disk, log, sink } = files
    const limits = { ...limitsOfEach(streams.length), ...files.limits }
    this.#failingMsMax = limits.waitMsMax
    const writing = new OneAtATime()
    for (const stream of streams) {
      const directory = join(this.#directory, stream)
      this.#tables.set(stream, new Table(stream, { disk, directory, log, sink, limits, writing }))
    }
    this.#tidied = isTidied ? this.#tidy() : Promise.resolve()
  }

  /** Removes tables that are not wanted any more, and what verifications left. */
  async #tidy(): Promise<void> {
    const { disk, sink } = this.#files
    try {
      for (const name of await disk.list(this.#directory)) {
        if (this.#tables.has(name)) continue
        await disk.remove(join(this.#directory, name))
        if (!name.includes(TEMPORARY_MARK))
          sink.info('removed a table: its stream has none', { stream: name })
      }
    } catch (error) {
      sink.warn('what old tables left cannot be removed', { reason: (error as Error).message })
    }
  }

  get streams(): string[] {
    return [...this.#tables.keys()]
  }

  has(stream: string): boolean {
    return this.#tables.has(stream)
  }

  /** @throws NoTableError, UnknownStreamError */
  #table(stream: string): Table {
    const table = this.#tables.get(stream)
    if (table !== undefined) return table
    this.#files.log.stream(stream)
    throw new NoTableError(stream)
  }

  /**
   * The latest record of a key, among all that were durable at the time of the call; null when there is none.
   * @throws NoTableError, UnknownStreamError, TableUnavailableError
   */
  async get(stream: string, key: Buffer): Promise<StoredEntry | null> {
    return this.#table(stream).get(key)
  }

  /**
   * The entries of a table in the order of their keys, as they are once everything is applied that was durable at the call. What
   * changes meanwhile does not show.
   * @throws the same
   */
  async *scan(
    stream: string,
    range: KeyRange & { limit?: number } = {},
  ): AsyncGenerator<StoredEntry, void, void> {
    let left = range.limit ?? Number.POSITIVE_INFINITY
    if (left <= 0) return
    for await (const entries of this.scanPages(stream, range)) {
      for (const entry of entries) {
        yield entry
        if (--left <= 0) return
      }
    }
  }

  /** The same, many entries at a time. */
  async *scanPages(stream: string, range: KeyRange): AsyncGenerator<StoredEntry[], void, void> {
    for await (const { entries } of this.#pages(stream, range)) if (entries.length > 0) yield entries
  }

  /**
   * A table and what becomes of it: its entries as `scan` brings them, then every later change, without a gap and none twice, until
   * the signal. Keys that are not in the range are left out.
   * @throws the same, and OffsetGoneError where retention overtakes the reader
   */
  async *follow(
    stream: string,
    range: KeyRange,
    signal: AbortSignal,
  ): AsyncGenerator<readonly TableChange[], void, void> {
    let positions: readonly number[] = []
    for await (const page of this.#pages(stream, range)) {
      positions = page.positions
      if (page.entries.length > 0) yield page.entries
      if (signal.aborted) return
    }
    yield* this.changes(stream, { from: new Map(positions.entries()), follow: true, signal }, range)
  }

  /**
   * The changes of a table from an offset of each partition named, tombstones included, and gaps where damage has taken some.
   * @throws NoTableError, UnknownStreamError, OffsetGoneError
   */
  async *changes(
    stream: string,
    request: ChangeRequest,
    range: KeyRange = {},
  ): AsyncGenerator<readonly TableChange[], void, void> {
    this.#table(stream)
    for await (const changes of changesOf(this.#files.log, stream, request)) {
      const wanted = changes.filter((change) => 'gap' in change || isInRange(change.key, range))
      if (wanted.length > 0) yield wanted
    }
  }

  async *#pages(
    stream: string,
    range: KeyRange,
  ): AsyncGenerator<{ entries: StoredEntry[]; positions: readonly number[] }, void, void> {
    const snapshot = await this.#table(stream).snapshot(range)
    const { positions } = snapshot
    try {
      let entries: StoredEntry[] | null = []
      while (entries !== null) {
        yield { entries, positions }
        entries = await snapshot.next(SCAN_BYTES)
      }
    } finally {
      await snapshot.close()
    }
  }

  status(): TableStatus[] {
    return [...this.#tables.values()].map((table) => table.status())
  }

  /**
   * Compares each table with the log, one after another, while both go on. One that fails, or cannot be compared, is told and keeps no
   * other from it.
   * @param signal ends it: what was found by then is brought
   */
  async verify(
    onProgress: (progress: TableVerifyProgress) => void = () => {},
    signal?: AbortSignal,
  ): Promise<TableVerifyReport[]> {
    await this.#tidied
    const reports: TableVerifyReport[] = []
    for (const [stream, table] of this.#tables) {
      const report = await this.#verifyOne(table, onProgress, signal).catch((error: Error) =>
        unverified(stream, error.message),
      )
      if (signal?.aborted) break
      reports.push(report)
    }
    return reports
  }

  async #verifyOne(
    table: Table,
    onProgress: (progress: TableVerifyProgress) => void,
    signal?: AbortSignal,
  ): Promise<TableVerifyReport> {
    const { disk, log } = this.#files
    const { stream } = table
    const snapshot = await this.#caughtUp(table, signal)
    const directory = join(this.#directory, `${stream}${TEMPORARY_MARK}${++this.#verifications}`)
    try {
      return await verifyTable({ stream, log, snapshot, disk, directory, onProgress })
    } finally {
      await snapshot.close()
    }
  }

  /** With everything that is durable now, however long it takes. @throws TableUnavailableError where it fails, and at the signal */
  #caughtUp(table: Table, signal?: AbortSignal): Promise<TableSnapshot> {
    return whileItGoesOn(table, this.#failingMsMax, signal, (ending) =>
      table.snapshot({}, Number.POSITIVE_INFINITY, ending),
    )
  }

  /** Removes a table and builds it again, when what the log holds is no longer what it was built from. @throws NoTableError */
  rebuild(stream: string, reason: string): void {
    this.#table(stream).rebuild(reason)
  }

  /** Resolves once every table is open, or has failed to. */
  async whenOpen(): Promise<void> {
    await Promise.all([...this.#tables.values()].map((table) => table.opened))
  }

  /**
   * Resolves once a table has everything that is durable now, or at the signal.
   * @param onProgress in percent, now and then
   * @throws TableUnavailableError where it fails again and again
   */
  async whenBuilt(
    stream: string,
    onProgress: (percent: number) => void = () => {},
    signal?: AbortSignal,
  ): Promise<void> {
    const table = this.#table(stream)
    const timer = setInterval(() => onProgress(table.status().appliedPercent), 100)
    try {
      const snapshot = await this.#caughtUp(table, signal)
      await snapshot.close()
    } catch (error) {
      if (signal?.aborted !== true) throw error
    } finally {
      clearInterval(timer)
    }
  }

  async close(): Promise<void> {
    await this.#tidied
    await Promise.all([...this.#tables.values()].map((table) => table.close()))
  }
}

function isInRange(key: Buffer, { prefix, after, only }: KeyRange): boolean {
  if (only !== undefined) return key.equals(only)
  if (after !== undefined && Buffer.compare(key, after) <= 0) return false
  return prefix === undefined || key.subarray(0, prefix.length).equals(prefix)
}
