/**
 * Start of a chain: from what a crash or a power cut left on disk to a log that takes appends. Needs no person after either.
 *
 * | found                                                   | decision                                               |
 * |---------------------------------------------------------|--------------------------------------------------------|
 * | no manifest, no records                                 | a new chain: first segment, its head, then the manifest |
 * | no manifest beside segments that hold records           | refused: a new chain would remove them                  |
 * | segment directory or index that the manifest lacks      | left by a roll that did not finish: removed, counted    |
 * | sealed segment without a whole index                    | index built again from the segment, counted             |
 * | torn end of the active segment's write-ahead file       | dropped by LevelDB; never acknowledged; counted, logged |
 * | active segment without its head                         | next offsets from the sealed segments and its batches   |
 * | batch or note whose CRC is wrong, commits missing       | passed over, counted, logged; offsets are not used again |
 */
import { dirname, join } from 'node:path'
import { CorruptLogError } from '../errors.ts'
import { type LogSink, silentSink } from '../log-sink.ts'
import type { Disk, Store, StoreOptions } from '../storage/store.ts'
import { inspectWriteAheadLog } from '../storage/write-ahead-log.ts'
import { commitKey, commitOf, idOf, NOTE_ID } from './commit-key.ts'
import type { CommitState } from './commit-state.ts'
import type { DamageLog } from './damage-log.ts'
import { MANIFEST_FILE, type Manifest, nextSegmentId, readManifest, writeManifest } from './manifest.ts'
import { encodeNote, type Head } from './note.ts'
import { LogPartition } from './partition.ts'
import { recordsMaxOf } from './record-batch.ts'
import { replaySegment } from './replay.ts'
import { type Segment, sealedSummaries, segmentDirectory } from './segment.ts'
import { SegmentIndex } from './segment-index.ts'

export interface RecoveryCounters {
  tornTails: number
  tornBytes: number
  faults: number
  leftovers: number
  rebuiltIndexes: number
}

export interface ChainFiles {
  readonly disk: Disk
  readonly directory: string
  readonly storeOptions: StoreOptions
  readonly log: LogSink
  readonly counters: RecoveryCounters
  readonly damage: DamageLog
}

/** The chain's manifest; a new chain is made where there is none. */
export async function openManifest(files: ChainFiles): Promise<Manifest> {
  await files.disk.makeDirectory(files.directory)
  const manifest = await readManifest(files.disk, files.directory)
  if (manifest !== undefined) {
    // the manifest's rename and the directory's own name, where the last process ended or failed before their fsync
    await files.disk.syncDirectory(files.directory)
    await files.disk.syncDirectory(dirname(files.directory))
    await removeLeftovers(files, manifest)
    return manifest
  }
  const id = nextSegmentId([])
  await refuseLostManifest(files, id)
  const store = await createSegmentStore(files, id)
  try {
    await writeHead(store, 1, { next: [], states: {} })
  } finally {
    await store.close()
  }
  const created: Manifest = { format: 1, segments: [{ id, firstCommit: 1 }] }
  await writeManifest(files.disk, files.directory, created)
  return created
}

/** A first start that was cut short leaves at most the first segment with its head. */
async function refuseLostManifest(files: ChainFiles, firstId: string): Promise<void> {
  const names = (await files.disk.list(files.directory)).filter((name) => /^[0-9a-f]{8}$/.test(name))
  if (names.length === 0) return
  if (names.length === 1 && names[0] === firstId) {
    const options = { ...files.storeOptions, createIfMissing: true }
    const store = await files.disk.openStore(segmentDirectory(files.directory, firstId), options)
    try {
      const range = { from: commitKey(1, 0), to: commitKey(Number.MAX_SAFE_INTEGER, 0), bytesMax: 1024 }
      const entries = await store.range(range)
      if (entries.every(({ key }) => idOf(key) === NOTE_ID && commitOf(key) === 1)) return
    } finally {
      await store.close()
    }
  }
  throw new CorruptLogError(
    join(files.directory, MANIFEST_FILE),
    'it is missing beside segments that hold records; restore it from a backup',
  )
}

/** What a try that was cut short or failed left under this id goes first: nothing in it was acknowledged. */
export async function createSegmentStore(files: ChainFiles, id: string): Promise<Store> {
  const directory = segmentDirectory(files.directory, id)
  await files.disk.remove(directory)
  await files.disk.makeDirectory(directory)
  return files.disk.openStore(directory, { ...files.storeOptions, createIfMissing: true })
}

/** Writes a segment's first commit: a note with the head, fsynced. */
export async function writeHead(store: Store, commit: number, head: Head): Promise<void> {
  const batch = store.batch()
  batch.put(commitKey(commit, NOTE_ID), encodeNote({ head }))
  await batch.write({ sync: true })
}

async function removeLeftovers(files: ChainFiles, manifest: Manifest): Promise<void> {
  const listed = new Set<string>()
  for (const { id, lastCommit } of manifest.segments) {
    listed.add(id)
    if (lastCommit !== undefined) listed.add(`${id}.index`)
  }
  for (const name of await files.disk.list(files.directory)) {
    if (!/^[0-9a-f]{8}(\.index)?$/.test(name) || listed.has(name)) continue
    await files.disk.remove(join(files.directory, name))
    files.counters.leftovers++
    files.log.warn('removed what an unfinished roll left', { name })
  }
}

/** Reads what the sealed segments hold of each partition; readers see no durable offset go down. */
export async function loadSealed(
  files: ChainFiles,
  segments: readonly Segment[],
  partitions: Map<number, LogPartition>,
): Promise<void> {
  for (const segment of segments) {
    const { summaries, wasRebuilt } = await sealedSummaries(
      files.disk,
      files.directory,
      segment,
      files.storeOptions,
    )
    if (wasRebuilt) {
      files.counters.rebuiltIndexes++
      files.log.warn('built a segment index again', { segment: segment.id })
    }
    segment.summaries = summaries
    for (const summary of summaries) {
      const partition = partitionOf(partitions, summary.id)
      partition.durableOffset = Math.max(partition.durableOffset, summary.nextOffset)
    }
  }
}

/** A partition that the catalog lost is still read and never overwritten; it has no stream to be asked for by. */
export function partitionOf(partitions: Map<number, LogPartition>, id: number): LogPartition {
  let partition = partitions.get(id)
  if (partition === undefined) {
    partition = new LogPartition('', id, id)
    partitions.set(id, partition)
  }
  return partition
}

/**
 * Counts what LevelDB will drop from the active segment's write-ahead file when it opens.
 * @param isQuiet it was told before
 */
export async function countTornTail(files: ChainFiles, id: string, isQuiet: boolean): Promise<void> {
  const log = isQuiet ? silentSink : files.log
  const directory = segmentDirectory(files.directory, id)
  for (const name of await files.disk.list(directory)) {
    if (!name.endsWith('.log')) continue
    const file = await files.disk.readFile(join(directory, name))
    if (file === undefined) continue
    const state = inspectWriteAheadLog(file)
    if (state.tornBytes > 0) {
      files.counters.tornTails++
      files.counters.tornBytes += state.tornBytes
      log.warn('dropped a torn tail: a write that the last stop cut short, never acknowledged', {
        segment: id,
        bytes: state.tornBytes,
      })
    }
    if (state.damagedBytes > 0) {
      files.counters.faults++
      log.error('damaged bytes in the middle of a write-ahead file', {
        segment: id,
        file: name,
        bytes: state.damagedBytes,
      })
    }
  }
}

/**
 * Reads the active segment: index, next offsets, states, last commit. Runs at start, and again after a failed commit, while
 * readers are at work: a durable offset never goes down.
 */
export async function replayActive(
  files: ChainFiles,
  segment: Segment,
  store: Store,
  partitions: Map<number, LogPartition>,
  states: readonly CommitState[],
): Promise<SegmentIndex> {
  const index = new SegmentIndex(segment.firstCommit)
  const next = new Map<number, number>()
  /** By partition id: how many offsets the damaged batches after its last whole one may have had. */
  const lost = new Map<number, number>()
  const nextOf = (id: number) => next.get(id) ?? partitions.get(id)?.spans.at(-1)?.nextOffset ?? 0
  for (const state of states) state.restore(undefined)
  const result = await replaySegment(store, segment.firstCommit, Number.MAX_SAFE_INTEGER, {
    batch: (commit, id, batch) => {
      if (batch.baseOffset !== nextOf(id)) {
        files.counters.faults++
        files.log.error('offsets are missing', { id, from: nextOf(id), to: batch.baseOffset })
      }
      index.of(id, batch.baseOffset).add(commit, batch)
      next.set(id, Math.max(nextOf(id), batch.nextOffset))
      lost.delete(id)
    },
    note: (commit, note) => {
      if (note.head !== undefined) {
        for (const [id, offset] of note.head.next) next.set(id, Math.max(nextOf(id), offset))
        for (const state of states) state.restore(note.head.states[state.name])
      }
      for (const state of states) {
        const added = note.states?.[state.name]
        if (added !== undefined) state.apply(added, commit)
      }
    },
    fault: (commit, id, reason, bytes) => {
      files.counters.faults++
      files.log.error('a part of the log cannot be read', { segment: segment.id, commit, id, reason })
      if (id !== null && id !== NOTE_ID) lost.set(id, (lost.get(id) ?? 0) + recordsMaxOf(bytes))
    },
  })
  // acknowledged once and perhaps sent upstream: nothing else may have these offsets
  for (const [id, records] of lost) next.set(id, nextOf(id) + records)
  segment.lastCommit = result.lastCommit === 0 ? segment.firstCommit - 1 : result.lastCommit
  segment.bytes = result.bytes
  for (const [id, offset] of next) {
    const partition = partitionOf(partitions, id)
    partition.durableOffset = Math.max(partition.durableOffset, offset)
  }
  return index
}

/**
 * Log start offsets, once all segments are known.
 * @param starts those that the manifest names, by partition id; elsewhere the first offset that is there is the start
 */
export function placeLogStart(
  partitions: Iterable<LogPartition>,
  active: SegmentIndex,
  starts: ReadonlyMap<number, number>,
): void {
  for (const partition of partitions) {
    partition.logStartOffset =
      starts.get(partition.id) ??
      partition.spans[0]?.firstOffset ??
      active.partitions.get(partition.id)?.firstOffset ??
      partition.durableOffset
  }
}
