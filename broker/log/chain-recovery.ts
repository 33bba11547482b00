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
import { silentSink } from '../log-sink.ts'
import { type EntryScan, scanStore } from '../storage/entry-scan.ts'
import { scanFiles } from '../storage/level-files/scan-files.ts'
import { TolerantFile } from '../storage/level-files/tolerant-file.ts'
import { quarantine } from '../storage/quarantine.ts'
import type { Store } from '../storage/store.ts'
import { inspectWriteAheadLog } from '../storage/write-ahead-log.ts'
import { commitKey, NOTE_ID } from './commit-key.ts'
import type { CommitState } from './commit-state.ts'
import { MANIFEST_FILE, type Manifest, nextSegmentId, readManifest, writeManifest } from './manifest.ts'
import { encodeNote, type Head } from './note.ts'
import { LogPartition } from './partition.ts'
import { recordsMaxOf } from './record-batch.ts'
import { replayRange, replaySegment } from './replay.ts'
import { indexFile, readSummaries, rebuildSummaries, type Segment, segmentDirectory } from './segment.ts'
import { type PartitionSummary, SegmentIndex } from './segment-index.ts'
import { type ChainFiles, createSegmentStore, quarantineOf } from './segment-store.ts'
import { chooseSegments, type SurveyedSegment, segmentIds, surveySegment } from './segment-survey.ts'

/** The chain's manifest; made again where it is lost, and a new chain where there is none. */
export async function openManifest(files: ChainFiles): Promise<Manifest> {
  await files.disk.makeDirectory(files.directory)
  const manifest = await readManifest(files.disk, files.directory).catch((error) =>
    damagedManifest(files, error),
  )
  if (manifest !== undefined) {
    // the manifest's rename and the directory's own name, where the last process ended or failed before their fsync
    await files.disk.syncDirectory(files.directory)
    await files.disk.syncDirectory(dirname(files.directory))
    await removeLeftovers(files, manifest)
    return manifest
  }
  const rebuilt = await rebuildManifest(files)
  if (rebuilt !== null) return rebuilt
  const id = nextSegmentId([])
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

/** One that cannot be read is moved out of the way. A newer format is refused: this Headwater would lose what it says. */
async function damagedManifest(files: ChainFiles, error: unknown): Promise<undefined> {
  if (!(error instanceof CorruptLogError) || /format/.test(error.message)) throw error
  const path = join(files.directory, MANIFEST_FILE)
  await quarantine(files.disk, path, quarantineOf(files), { what: error.message }, files.log)
}

/**
 * From the segments themselves. What the manifest said beside them is lost: log starts within a segment (records that had expired are
 * seen again), how far streams were compacted (it is done again), counters.
 * @returns null where no segment holds a record: a first start that was cut short
 */
async function rebuildManifest(files: ChainFiles): Promise<Manifest | null> {
  const { disk, directory, log } = files
  const ids = await segmentIds(disk, directory)
  if (ids.length === 0) return null
  const found: SurveyedSegment[] = []
  for (const id of ids) found.push(await surveySegment(disk, directory, id))
  const chosen = chooseSegments(found)
  const last = chosen.at(-1)
  // a first start that was cut short leaves at most one segment, with its head alone
  if (last === undefined || (ids.length === 1 && last.lastCommit <= 1 && last.hasHead)) return null
  for (const { id } of found) {
    if (chosen.some((segment) => segment.id === id)) continue
    const what = 'the manifest was lost; others hold what this segment holds'
    await quarantine(disk, segmentDirectory(directory, id), quarantineOf(files), { what }, log)
    await disk.remove(indexFile(directory, id))
  }
  const manifest: Manifest = {
    format: 1,
    segments: chosen.map(({ id, firstCommit, lastCommit, bytes, hasGaps }) =>
      id === last.id
        ? { id, firstCommit }
        : { id, firstCommit, lastCommit, bytes, ...(hasGaps ? { isRewritten: true } : {}) },
    ),
  }
  await disk.remove(indexFile(directory, last.id))
  await writeManifest(disk, directory, manifest)
  files.counters.rebuiltManifests++
  log.error('the manifest was lost; it was made again from the segments', {
    directory,
    segments: chosen.length,
  })
  return manifest
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
    // of an index that was being written when the power went: nobody would write over that of a segment that is gone
    if (/^\.[0-9a-f]{8}\.index\.tmp$/.test(name)) await files.disk.remove(join(files.directory, name))
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
  check: (segment: Segment) => Promise<void>,
): Promise<void> {
  for (const segment of segments) {
    const { summaries, wasRebuilt } = await summariesOf(files, segment, check)
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

/** A segment that cannot be opened for its lost index is repaired when it is first read; until then it holds nothing. */
async function summariesOf(
  files: ChainFiles,
  segment: Segment,
  check: (segment: Segment) => Promise<void>,
): Promise<{ summaries: PartitionSummary[]; wasRebuilt: boolean }> {
  const { disk, directory, storeOptions } = files
  const stored = await readSummaries(disk, directory, segment)
  if (stored !== undefined) return { summaries: stored, wasRebuilt: false }
  await check(segment)
  return { summaries: await rebuildSummaries(disk, directory, segment, storeOptions), wasRebuilt: true }
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
    const file = await TolerantFile.open(files.disk, join(directory, name), name)
    if (file === undefined) continue
    const state = await inspectWriteAheadLog(file).finally(() => file.close())
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

interface ReplayedSegment {
  readonly index: SegmentIndex
  readonly begins: ReadonlyMap<number, number> | null
}

/** Opens the active segment and reads it, from its files: what LevelDB reads stays mapped into memory until the store is closed. */
export async function openActiveStore(
  files: ChainFiles,
  segment: Segment,
  partitions: Map<number, LogPartition>,
  states: readonly CommitState[],
): Promise<ReplayedSegment & { store: Store }> {
  const directory = segmentDirectory(files.directory, segment.id)
  const store = await files.disk.openStore(directory, files.storeOptions)
  const range = replayRange(Number.MAX_SAFE_INTEGER)
  let scan: EntryScan | null = null
  try {
    // opening it has put into tables what was in the write-ahead file
    if (files.disk.hasLevelFiles) scan = await scanFiles(files.disk, directory, range)
    const source = scan ?? scanStore(store, range)
    return { store, ...(await replayActive(files, segment, source, partitions, states)) }
  } catch (error) {
    await store.close()
    throw error
  } finally {
    await scan?.close()
  }
}

/**
 * Reads the active segment: index, next offsets, states, last commit. Runs at start, and again after a failed commit, while
 * readers are at work: a durable offset never goes down.
 */
async function replayActive(
  files: ChainFiles,
  segment: Segment,
  scan: EntryScan,
  partitions: Map<number, LogPartition>,
  states: readonly CommitState[],
): Promise<ReplayedSegment> {
  const index = new SegmentIndex(segment.firstCommit)
  let begins: Map<number, number> | null = null
  const next = new Map<number, number>()
  /** By partition id: how many offsets the damaged batches after its last whole one may have had. */
  const lost = new Map<number, number>()
  const nextOf = (id: number) => next.get(id) ?? partitions.get(id)?.spans.at(-1)?.nextOffset ?? 0
  for (const state of states) state.restore(undefined)
  const result = await replaySegment(scan, segment.firstCommit, {
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
        begins = new Map(note.head.next)
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
  return { index, begins }
}

/**
 * Log start offsets, once all segments are known.
 * @param begins where the partitions stood when the active segment began, by its head; null where that is lost
 * @param starts those that the manifest names, by partition id; elsewhere the first offset that is there is the start
 */
export function placeLogStart(
  partitions: Iterable<LogPartition>,
  active: { index: SegmentIndex; begins: ReadonlyMap<number, number> | null },
  starts: ReadonlyMap<number, number>,
): void {
  for (const partition of partitions) {
    partition.logStartOffset =
      starts.get(partition.id) ??
      partition.spans[0]?.firstOffset ??
      (active.begins === null ? null : (active.begins.get(partition.id) ?? 0)) ??
      active.index.partitions.get(partition.id)?.firstOffset ??
      partition.durableOffset
  }
}
