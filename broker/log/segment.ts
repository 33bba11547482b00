/**
 * A segment: one LevelDB directory with a range of commits. The active one takes writes and keeps its store open; sealed
 * ones never change and open on demand, a few at a time.
 */
import { join } from 'node:path'
import { assert } from '../assert.ts'
import { LogUnavailableError, NoRoomError } from '../errors.ts'
import { type EntryScan, type KeyRange, scanStore } from '../storage/entry-scan.ts'
import { openFilesStore } from '../storage/level-files/files-store.ts'
import { scanFiles } from '../storage/level-files/scan-files.ts'
import type { Disk, Store, StoreOptions } from '../storage/store.ts'
import { type CacheEntry, cacheEntry, ending } from './cache-entry.ts'
import { namingDamage } from './damaged-segment.ts'
import { HeldScan, HeldScans, openTables } from './held-scan.ts'
import { replayStore } from './replay.ts'
import { type PartitionSummary, SegmentIndex } from './segment-index.ts'

export interface Segment {
  readonly id: string
  readonly firstCommit: number
  /** The last durable commit; grows while the segment is active. */
  lastCommit: number
  /** Bytes of the stored batches and notes. */
  bytes: number
  isSealed: boolean
  /** When it was sealed, ms since 1970, by a clock that was trusted; null while none was. */
  sealedAt: number | null
  /** Retention or compaction took records out: commits and offsets may be missing in it. */
  readonly isRewritten: boolean
  /** What could be read of a segment that was damaged. */
  readonly isSalvaged: boolean
  /** What it holds of each partition, once it is sealed. */
  summaries: readonly PartitionSummary[]
  /** Bytes of its files, measured once it was sealed; null before. */
  fileBytes: number | null
}

/** A segment that nothing was written to yet. */
export function newSegment(id: string, firstCommit: number): Segment {
  return {
    id,
    firstCommit,
    lastCommit: firstCommit - 1,
    bytes: 0,
    isSealed: false,
    sealedAt: null,
    isRewritten: false,
    isSalvaged: false,
    summaries: [],
    fileBytes: null,
  }
}

/** What a reader needs of a segment while it reads. */
export interface OpenSegment {
  readonly store: Store
  readonly index: SegmentIndex
  /** Read from its files, because the disk had no room for LevelDB to open it. */
  readonly isFromFiles?: boolean
}

export function segmentDirectory(chainDirectory: string, id: string): string {
  return join(chainDirectory, id)
}

export function indexFile(chainDirectory: string, id: string): string {
  return join(chainDirectory, `${id}.index`)
}

/**
 * The segments that are open: the active one, pinned by its writer, and a few sealed ones, the least recently used closed
 * first. Opening takes 20 to 30 ms. What an open one holds is small, but LevelDB maps its tables into memory: the active one and
 * three more are kept, which bounds what the process seems to use.
 */
export class SegmentCache {
  readonly #disk: Disk
  readonly #directory: string
  readonly #options: StoreOptions
  readonly #check: (segment: Segment) => Promise<void>
  readonly #openMax: number
  readonly #entries = new Map<string, CacheEntry>()
  /** LevelDB's lock is held until a close has ended: the next open of the same segment waits for it. */
  readonly #closing = new Map<string, Promise<void>>()
  /** By segment id: resolves when its scans have ended. */
  readonly #scans = new Map<string, Promise<unknown>>()
  readonly #held = new HeldScans()
  #isAvailable = false

  /** @param check called before a sealed segment is opened; what it throws its readers get */
  constructor(
    disk: Disk,
    directory: string,
    options: StoreOptions,
    check: (segment: Segment) => Promise<void> = async () => {},
    openMax = 4,
  ) {
    this.#check = check
    this.#disk = disk
    this.#directory = directory
    this.#options = options
    this.#openMax = openMax
  }

  /**
   * Runs `read` with the segment open; it is not closed meanwhile, but for `close`.
   * @throws LogUnavailableError between `close` and the next `pin`: nobody would close a store opened then; DamagedSegmentError.
   */
  use<T>(segment: Segment, read: (open: OpenSegment) => Promise<T>): Promise<T> {
    return namingDamage(segment, () => this.#use(segment, read))
  }

  async #use<T>(segment: Segment, read: (open: OpenSegment) => Promise<T>): Promise<T> {
    if (!this.#isAvailable) throw new LogUnavailableError('its segments are closed')
    let entry = this.#entries.get(segment.id)
    if (entry === undefined) {
      const added = cacheEntry(this.#open(segment), 0)
      this.#entries.set(segment.id, added)
      // one that did not open is tried again by the next reader
      added.opening.catch(() => {
        if (this.#entries.get(segment.id) === added) this.#entries.delete(segment.id)
        added.end()
      })
      entry = added
    } else {
      // most recently used last
      this.#entries.delete(segment.id)
      this.#entries.set(segment.id, entry)
    }
    entry.users++
    try {
      return await read(await entry.opening)
    } finally {
      entry.users--
      this.#shrink()
    }
  }

  /**
   * Runs `read` with a scan of a sealed segment, for work that passes over all of it: from its files, so that LevelDB neither maps them nor
   * brings them as buffers. Other readers open and close it meanwhile.
   * @throws what `use` throws
   */
  scan<T>(segment: Segment, range: KeyRange, read: (scan: EntryScan) => Promise<T>): Promise<T> {
    return namingDamage(segment, () => this.#scan(segment, range, read))
  }

  async #scan<T>(segment: Segment, range: KeyRange, read: (scan: EntryScan) => Promise<T>): Promise<T> {
    return this.#whileThere(segment, async () => {
      const scan = await this.#fileScan(segment, range)
      if (scan === null) return this.use(segment, ({ store }) => read(scanStore(store, range)))
      try {
        return await read(scan)
      } finally {
        await scan.close()
      }
    })
  }

  /**
   * A scan of a sealed segment that goes on over many reads of one reader, who closes it. It is closed for him where the segment goes:
   * nothing waits for a reader who waits himself.
   * @returns null where the segment's files alone do not have all of it
   * @throws what `use` throws
   */
  hold(segment: Segment, range: KeyRange): Promise<HeldScan | null> {
    const open = async () => {
      const scan = await this.#fileScan(segment, range)
      if (scan === null || this.#isAvailable)
        return scan && this.#held.add(new HeldScan(segment, scan, segment.lastCommit))
      await scan.close()
      throw new LogUnavailableError('its segments are closed')
    }
    return namingDamage(segment, () => this.#whileThere(segment, open))
  }

  /**
   * The same of a segment that is being written, as far as it stands in tables: what does will not change.
   * @returns null where that is nothing from this commit on
   * @throws DamagedFilesError
   */
  async holdTables(segment: Segment, range: KeyRange): Promise<HeldScan | null> {
    if (!this.#disk.hasLevelFiles || !this.#isAvailable) return null
    const tables = await openTables(this.#disk, segmentDirectory(this.#directory, segment.id), range)
    if (tables === null || !this.#isAvailable) return null
    return this.#held.add(new HeldScan(segment, tables.scan, tables.lastCommit))
  }

  /** Its directory is removed once `work` has ended. */
  async #whileThere<T>(segment: Segment, work: () => Promise<T>): Promise<T> {
    assert(segment.isSealed, 'a segment that is scanned is not written any more')
    if (!this.#isAvailable) throw new LogUnavailableError('its segments are closed')
    const { ended, end } = ending()
    const all = Promise.all([this.#scans.get(segment.id), ended])
    this.#scans.set(segment.id, all)
    try {
      return await work()
    } finally {
      end()
      if (this.#scans.get(segment.id) === all) this.#scans.delete(segment.id)
    }
  }

  /** null where its files alone do not have all of it. */
  async #fileScan(segment: Segment, range: KeyRange): Promise<EntryScan | null> {
    if (!this.#disk.hasLevelFiles) return null
    const directory = segmentDirectory(this.#directory, segment.id)
    // two may wait for the same closing
    while (!this.#entries.has(segment.id) && this.#closing.has(segment.id)) {
      await this.#closing.get(segment.id)
    }
    const entry = this.#entries.get(segment.id)
    // readers hold the store that was written: what it has in memory is in a write-ahead file
    if (entry?.wasActive === true) return null
    if (entry !== undefined) return this.use(segment, () => scanFiles(this.#disk, directory, range))
    return this.#alone(segment, async () => {
      await this.#check(segment)
      const scan = await scanFiles(this.#disk, directory, range)
      if (scan !== null) return scan
      // it was never opened since it was written: LevelDB makes a table of the rest
      try {
        await this.#disk.settleStore(directory, this.#options)
      } catch (error) {
        if (!(error instanceof NoRoomError)) throw error
        return scanStore(await openFilesStore(this.#disk, directory), range)
      }
      return scanFiles(this.#disk, directory, range)
    })
  }

  /** Nobody opens the segment while `work` goes on. */
  async #alone<T>(segment: Segment, work: () => Promise<T>): Promise<T> {
    const { ended, end } = ending()
    this.#closing.set(segment.id, ended)
    try {
      return await work()
    } finally {
      if (this.#closing.get(segment.id) === ended) this.#closing.delete(segment.id)
      end()
    }
  }

  /** A reader would not have to open it. */
  isOpen(segment: Segment): boolean {
    return this.#entries.has(segment.id)
  }

  /** Registers the active segment's store; it stays open until `unpin`. Readers are let in from the first one on. */
  pin(segment: Segment, open: OpenSegment): void {
    assert(!this.#entries.has(segment.id), 'a segment is pinned once')
    this.#isAvailable = true
    this.#entries.set(segment.id, cacheEntry(Promise.resolve(open), 1))
  }

  /** Its store is the one that was written through: what the write-ahead file holds is not all in tables yet. */
  holdsBuffers(segment: Segment): boolean {
    return this.#entries.get(segment.id)?.wasActive ?? this.#closing.has(segment.id)
  }

  /** The active segment was sealed: it is now like any other. */
  unpin(segment: Segment): void {
    const entry = this.#entries.get(segment.id)
    assert(entry !== undefined && entry.users > 0, 'an unpinned segment was pinned')
    entry.users--
    entry.wasActive = true
    this.#shrink()
  }

  /**
   * A reader that goes through the log once is at its end, and will not come again: it is closed where nobody reads it now, because
   * what LevelDB has mapped of it counts as this process's memory. Who wants it later opens it again.
   */
  passed(segment: Segment): void {
    const entry = this.#entries.get(segment.id)
    if (entry === undefined || entry.users > 0) return
    entry.opening.then(({ index }) => index.release()).catch(() => undefined)
    this.#close(segment.id, entry)
  }

  /** The segment is no longer the log's: resolves once its last reader is done and its store is closed. */
  async retire(segment: Segment): Promise<void> {
    const entry = this.#entries.get(segment.id)
    if (entry !== undefined) {
      entry.isRetired = true
      this.#shrink()
      await entry.ended
    }
    await this.#closing.get(segment.id)
    await this.#scans.get(segment.id)
    await this.#held.closeOf(segment)
  }

  /** Closes all; reads under way end with an error. */
  async close(): Promise<void> {
    this.#isAvailable = false
    for (const [id, entry] of this.#entries) this.#close(id, entry)
    await Promise.all(this.#closing.values())
    await this.#held.closeAll()
  }

  #shrink(): void {
    for (const [id, entry] of this.#entries) {
      if (entry.users > 0) continue
      const isKept = !entry.wasActive && !entry.isRetired && performance.now() < entry.expiresAt
      if (isKept && this.#entries.size <= this.#openMax) continue
      entry.opening.then(({ index }) => index.release()).catch(() => undefined)
      this.#close(id, entry)
    }
  }

  #close(id: string, entry: CacheEntry): void {
    this.#entries.delete(id)
    const closing = entry.opening
      .then((open) => open.store.close())
      .catch(() => undefined)
      .finally(() => {
        if (this.#closing.get(id) === closing) this.#closing.delete(id)
        entry.end()
      })
    this.#closing.set(id, closing)
  }

  async #open(segment: Segment): Promise<OpenSegment> {
    await this.#closing.get(segment.id)
    await this.#check(segment)
    const { store, isFromFiles } = await openSealedStore(this.#disk, this.#directory, segment, this.#options)
    try {
      const file = await this.#disk.readFile(indexFile(this.#directory, segment.id))
      const index = file === undefined ? undefined : SegmentIndex.decode(file, segment.firstCommit)
      return {
        store,
        index: index ?? (await rebuildIndex(this.#disk, this.#directory, segment, store)),
        isFromFiles,
      }
    } catch (error) {
      await store.close()
      throw error
    }
  }
}

/** On a full disk from its files alone: LevelDB would write. The next one who opens it tries LevelDB again. */
async function openSealedStore(
  disk: Disk,
  directory: string,
  segment: Segment,
  options: StoreOptions,
): Promise<{ store: Store; isFromFiles: boolean }> {
  const path = segmentDirectory(directory, segment.id)
  try {
    return { store: await disk.openStore(path, options), isFromFiles: false }
  } catch (error) {
    if (!(error instanceof NoRoomError)) throw error
    return { store: await openFilesStore(disk, path), isFromFiles: true }
  }
}

/** What a sealed segment holds of each partition, from its index file; undefined where that is missing or damaged. */
export async function readSummaries(
  disk: Disk,
  directory: string,
  segment: Segment,
): Promise<PartitionSummary[] | undefined> {
  const file = await disk.readFile(indexFile(directory, segment.id))
  return file === undefined ? undefined : SegmentIndex.decodeSummaries(file)
}

/** The same, from the segment itself; the index file is written again where that can be done. */
export async function rebuildSummaries(
  disk: Disk,
  directory: string,
  segment: Segment,
  options: StoreOptions,
): Promise<PartitionSummary[]> {
  const { store } = await openSealedStore(disk, directory, segment, options)
  try {
    return (await rebuildIndex(disk, directory, segment, store)).summaries()
  } finally {
    await store.close()
  }
}

async function rebuildIndex(
  disk: Disk,
  directory: string,
  segment: Segment,
  store: Store,
): Promise<SegmentIndex> {
  const index = new SegmentIndex(segment.firstCommit)
  await replayStore(store, segment.firstCommit, segment.lastCommit, {
    batch: (commit, id, batch) => index.of(id, batch.baseOffset).add(commit, batch),
  })
  // it is whole in memory: on a full disk the segment is read all the same, and the next opening tries again
  await disk.replaceFile(indexFile(directory, segment.id), index.encode()).catch(() => undefined)
  return index
}
