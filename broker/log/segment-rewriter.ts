/**
 * Writes what is left of a run of sealed segments into one new segment, beside readers and the writer:
 *
 *   read a step -> ask for each record whether it stays -> merge what stays into larger batches -> put, without fsync -> …
 *   -> close, settle (LevelDB writes tables, each with an fsync) -> read it all back: CRCs, counts -> index, replaced atomically
 *
 * The caller then swaps it in the manifest. Until then a crash leaves a directory that no manifest lists: the next start removes
 * it. Bytes reach the device about once: the write-ahead files are not synced and are gone before the system writes them out.
 *
 * An output's key is the last commit that it holds records of, so that a reader in commit order that stands anywhere finds it.
 * Notes are not copied: what they said is in the head of every later segment.
 */
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'
import { CorruptLogError } from '../errors.ts'
import { scanFiles } from '../storage/level-files/scan-files.ts'
import type { Disk, Store, StoreOptions, WriteBatch } from '../storage/store.ts'
import type { Chain } from './chain.ts'
import { commitKey, commitOf, idOf, NOTE_ID } from './commit-key.ts'
import { EntryRewriter } from './compaction/entry-rewriter.ts'
import type { ScannedRecord } from './compaction/key-scan.ts'
import {
  type ReplayedBatch,
  type ReplayResult,
  type ReplayVisitor,
  replayRange,
  replaySegment,
  replayStore,
} from './replay.ts'
import { indexFile, newSegment, type Segment, segmentDirectory } from './segment.ts'
import { SegmentIndex } from './segment-index.ts'
import { scanSegment } from './segment-scan.ts'
import { createSegmentStore } from './segment-store.ts'

/** Whether a record stays. @param id the catalog's id of its partition */
export type Keep = (id: number, record: ScannedRecord, batch: Buffer, commit: number) => boolean

export interface RewriteOptions {
  /** True ends it early, with nothing changed. */
  isClosing(): boolean
  /** Commits before which open batches end: what lies on both sides is told apart by its commit. Rising. */
  readonly boundaries?: readonly number[]
  /** After each step, with the bytes read in it. */
  onStep?(bytes: number): void
  /** True where the log grows faster than it is tidied: the writer then goes first no longer. */
  readonly isUrgent?: boolean
}

/** Bytes read at once: what a step holds in memory, and about how long it keeps the writer waiting (1 to 2 ms). */
const STEP_BYTES = 128 * 1024
/** Small commits become batches of about this size. */
const BATCH_BYTES_MAX = 64 * 1024
/** Batches of all partitions that are being put together. */
const HELD_BYTES_MAX = 4 * 1024 * 1024
const WRITE_BUFFER_BYTES = 2 * 1024 * 1024
/** While commits go on, this many times a step's length is left to them. */
const PAUSE_FACTOR = 3

/** How much may be left of what is written anew where so many bytes can be written: LevelDB has up to two write buffers of it twice. */
export function liveBytesMax(writableBytes: number): number {
  return Math.max(writableBytes - 2 * WRITE_BUFFER_BYTES, writableBytes / 2)
}

/** @returns null when it was ended early; the segment is null when nothing is left of the run. */
export async function rewriteSegments(
  chain: Chain,
  run: readonly Segment[],
  keep: Keep,
  options: RewriteOptions,
): Promise<{ segment: Segment | null } | null> {
  const id = chain.row.newId()
  const files = {
    ...chain.files,
    storeOptions: { ...chain.files.storeOptions, writeBufferBytes: WRITE_BUFFER_BYTES },
  }
  const directory = segmentDirectory(files.directory, id)
  let isDone = false
  try {
    const store = await createSegmentStore(files, id)
    const rewrite = new Rewrite(store, keep, options.boundaries ?? [])
    try {
      if (!(await copyAll(chain, run, rewrite, options))) return null
    } finally {
      await store.close()
    }
    if (rewrite.entries === 0) return { segment: null }
    await files.disk.settleStore(directory, files.storeOptions)
    const segment = await readBack(chain, id, run, rewrite, files.storeOptions, options)
    isDone = segment !== null
    return segment === null ? null : { segment }
  } finally {
    if (!isDone) await files.disk.remove(directory).catch(() => undefined)
  }
}

async function copyAll(
  chain: Chain,
  run: readonly Segment[],
  rewrite: Rewrite,
  options: RewriteOptions,
): Promise<boolean> {
  const take = (key: Buffer, value: Buffer) => rewrite.take(key, value)
  for (const segment of run) {
    const isRead = await scanSegment(chain, segment, async (scan) => {
      for (;;) {
        if (options.isClosing() || !chain.segments.includes(segment)) return false
        const commits = chain.stats.commits
        const started = performance.now()
        const bytes = await scan.next(STEP_BYTES, take)
        if (bytes === 0) return true
        const elapsed = performance.now() - started
        await rewrite.write()
        options.onStep?.(bytes)
        await giveWay(elapsed, chain.stats.commits !== commits && options.isUrgent !== true)
      }
    })
    if (isRead !== true) return false
  }
  rewrite.cut()
  await rewrite.write()
  return true
}

/** Lets the writer and the readers go first. */
export async function giveWay(elapsedMs: number, isBusy: boolean): Promise<void> {
  if (isBusy) await delay(Math.ceil(elapsedMs * PAUSE_FACTOR))
  else await immediate()
}

class Rewrite {
  /** What was put: entries, and the bytes of their keys and values. */
  entries = 0
  bytes = 0
  /** Batches that are damaged: they are kept as they are, for who may want to look at them. */
  damaged = 0
  readonly #store: Store
  readonly #rewriter: EntryRewriter
  readonly #boundaries: readonly number[]
  #nextBoundary = 0
  #batch: WriteBatch
  #batchEntries = 0

  constructor(store: Store, keep: Keep, boundaries: readonly number[]) {
    this.#store = store
    this.#batch = store.batch()
    this.#boundaries = boundaries
    this.#rewriter = new EntryRewriter({
      batchBytesMax: BATCH_BYTES_MAX,
      heldBytesMax: HELD_BYTES_MAX,
      keep: (record, { id, value, commit }) => keep(id, record, value, commit),
      write: (entry) => this.#put(commitKey(entry.commit, entry.id), entry.value),
      damaged: () => {
        this.damaged++
        return true
      },
    })
  }

  get records(): number {
    return this.#rewriter.counts.recordsWritten
  }

  take(key: Buffer, value: Buffer): void {
    const id = idOf(key)
    if (id === NOTE_ID) return
    const commit = commitOf(key)
    if (commit >= this.#boundary()) {
      this.#rewriter.cut()
      while (commit >= this.#boundary()) this.#nextBoundary++
    }
    this.#rewriter.add({ commit, id, value })
  }

  /** Ends all open batches. */
  cut(): void {
    this.#rewriter.cut()
  }

  async write(): Promise<void> {
    if (this.#batchEntries === 0) return
    const batch = this.#batch
    this.#batch = this.#store.batch()
    this.#batchEntries = 0
    await batch.write({ sync: false })
  }

  #boundary(): number {
    return this.#boundaries[this.#nextBoundary] ?? Number.POSITIVE_INFINITY
  }

  #put(key: Buffer, value: Buffer): void {
    this.#batch.put(key, value)
    this.#batchEntries++
    this.entries++
    this.bytes += key.length + value.length
  }
}

/** The new segment as the disk has it; nothing that was written may be missing. */
async function readBack(
  chain: Chain,
  id: string,
  run: readonly Segment[],
  written: Rewrite,
  storeOptions: StoreOptions,
  options: RewriteOptions,
): Promise<Segment | null> {
  const { disk, directory } = chain.files
  const first = run[0]!
  const last = run.at(-1)!
  const path = segmentDirectory(directory, id)
  const index = new SegmentIndex(first.firstCommit)
  let records = 0
  let damaged = 0
  const replayed = {
    batch: (commit: number, partition: number, batch: ReplayedBatch) => {
      index.of(partition, batch.baseOffset).add(commit, batch)
      records += batch.records
    },
    fault: (_commit: number, partition: number | null) => {
      if (partition !== null) damaged++
    },
    step: async () => {
      await giveWay(1, chain.stats.commits > 0)
      return !options.isClosing()
    },
  }
  const { bytes } = await replayNew(disk, path, storeOptions, first.firstCommit, last.lastCommit, replayed)
  if (options.isClosing()) return null
  if (records !== written.records || damaged !== written.damaged || bytes !== written.bytes) {
    throw new CorruptLogError(path, 'what was written anew is not what was read back; the old segments stay')
  }
  await disk.replaceFile(indexFile(directory, id), index.encode())
  const dates = run.map(({ sealedAt }) => sealedAt)
  return Object.assign(newSegment(id, first.firstCommit), {
    lastCommit: last.lastCommit,
    bytes,
    isSealed: true,
    sealedAt: dates.some((date) => date === null) ? null : Math.max(...dates.map(Number)),
    isRewritten: true,
    summaries: index.summaries(),
  })
}

/** What stands on the disk of a segment that is no chain's yet. */
async function replayNew(
  disk: Disk,
  path: string,
  storeOptions: StoreOptions,
  firstCommit: number,
  lastCommit: number,
  visitor: ReplayVisitor,
): Promise<ReplayResult> {
  const scan = disk.hasLevelFiles ? await scanFiles(disk, path, replayRange(lastCommit)) : null
  if (scan !== null) {
    try {
      return await replaySegment(scan, firstCommit, visitor)
    } finally {
      await scan.close()
    }
  }
  const store = await disk.openStore(path, storeOptions)
  try {
    return await replayStore(store, firstCommit, lastCommit, visitor)
  } finally {
    await store.close()
  }
}
