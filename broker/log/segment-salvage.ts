/**
 * Out of a segment whose LevelDB cannot be opened any more, or must not be, into a new one: every batch that can be read is written
 * again under its key; what is gone is a list of holes. The damaged directory goes to the quarantine once the manifest lists the new
 * one. A crash before leaves the damaged segment, and the next start begins again.
 */
import type { LostRange } from '../storage/level-files/salvage-report.ts'
import { salvageStore } from '../storage/level-files/salvage-store.ts'
import type { Disk, Store, StoreOptions } from '../storage/store.ts'
import { commitOf, idOf, NOTE_ID } from './commit-key.ts'
import type { Hole } from './manifest.ts'
import { decodeNote } from './note.ts'
import { baseOffsetOf, batchFault, recordsMaxOf } from './record-batch.ts'
import { replayStore } from './replay.ts'
import { indexFile, newSegment, type Segment, segmentDirectory } from './segment.ts'
import { SegmentIndex } from './segment-index.ts'
import { type ChainFiles, createSegmentStore } from './segment-store.ts'

export interface SalvagedSegment {
  readonly segment: Segment
  /** Offsets that its index named and that are gone, and gaps between its batches. */
  readonly holes: readonly Hole[]
  readonly lost: readonly LostRange[]
  readonly lostBytes: number
  /**
   * Of an active segment: how many offsets its end may have had that cannot be read. They were acknowledged, and upstream may have
   * them: nothing else may get them.
   */
  readonly lostAtEnd: number
}

const WRITE_BYTES = 1024 * 1024
/** What a power cut leaves at the end of a write-ahead file: never acknowledged. */
const NEVER_ACKNOWLEDGED = new Set(['wal-torn', 'wal-zeros'])
const KEY_BYTES = 12

/** @param id of the new segment; what was written of it is removed where it cannot be made whole: on a full disk it is room */
export async function salvageSegment(
  files: ChainFiles,
  damaged: Segment,
  id: string,
  now: number,
): Promise<SalvagedSegment> {
  try {
    return await salvageInto(files, damaged, id, now)
  } catch (error) {
    const { disk, directory } = files
    await disk.remove(segmentDirectory(directory, id)).catch(() => undefined)
    await disk.remove(indexFile(directory, id)).catch(() => undefined)
    throw error
  }
}

async function salvageInto(
  files: ChainFiles,
  damaged: Segment,
  id: string,
  now: number,
): Promise<SalvagedSegment> {
  const { disk, directory, storeOptions } = files
  const known = await knownIndex(disk, directory, damaged)
  const path = segmentDirectory(directory, id)
  const salvage = salvageStore(disk, segmentDirectory(directory, damaged.id), {
    keysAreWrittenOnce: true,
    accept: (key, value) => value !== undefined && isPlaced(known, key, value),
  })
  const store = await createSegmentStore(files, id)
  try {
    await copy(salvage, store, damaged)
  } finally {
    await store.close()
  }
  await disk.settleStore(path, storeOptions)
  const { report } = salvage
  const read = await readBack(disk, path, storeOptions, damaged, known, now)
  const segment = Object.assign(newSegment(id, damaged.firstCommit), {
    lastCommit: damaged.isSealed ? damaged.lastCommit : Math.max(read.lastCommit, damaged.firstCommit - 1),
    bytes: read.bytes,
    isSealed: damaged.isSealed,
    sealedAt: damaged.sealedAt,
    isRewritten: damaged.isRewritten,
    isSalvaged: true,
    summaries: read.index.summaries(),
  })
  if (segment.isSealed) await disk.replaceFile(indexFile(directory, id), read.index.encode())
  const lostBytes = report.lost
    .filter(({ cause }) => !NEVER_ACKNOWLEDGED.has(cause))
    .reduce((sum, { bytes }) => sum + bytes, 0)
  const isEndLost = !damaged.isSealed && (lostBytes > 0 || !report.hadManifest || report.omitted > 0)
  return {
    segment,
    holes: read.holes,
    lost: report.lost,
    lostBytes,
    lostAtEnd: isEndLost ? recordsMaxOf(Math.max(lostBytes, storeOptions.writeBufferBytes)) : 0,
  }
}

async function knownIndex(
  disk: Disk,
  directory: string,
  segment: Segment,
): Promise<SegmentIndex | undefined> {
  if (!segment.isSealed) return undefined
  const file = await disk.readFile(indexFile(directory, segment.id)).catch(() => undefined)
  return file === undefined ? undefined : SegmentIndex.decode(file, segment.firstCommit)
}

/** An entry of a block whose checksum is wrong: its key may be damaged too, so only the index can say that it stands where it belongs. */
function isPlaced(known: SegmentIndex | undefined, key: Buffer, value: Buffer): boolean {
  if (known === undefined || key.length !== KEY_BYTES || batchFault(value) !== null) return false
  const entries = known.partitions.get(idOf(key))
  if (entries === undefined) return false
  const i = entries.find(baseOffsetOf(value))
  return (
    i < entries.count && entries.offsetAt(i) === baseOffsetOf(value) && entries.commitAt(i) === commitOf(key)
  )
}

async function copy(
  entries: AsyncIterable<{ key: Buffer; value: Buffer }>,
  store: Store,
  { firstCommit, lastCommit, isSealed }: Segment,
): Promise<void> {
  let batch = store.batch()
  let bytes = 0
  for await (const { key, value } of entries) {
    if (key.length !== KEY_BYTES) continue
    const commit = commitOf(key)
    if (commit < firstCommit || (isSealed && commit > lastCommit)) continue
    const isWhole = idOf(key) === NOTE_ID ? typeof decodeNote(value) !== 'string' : batchFault(value) === null
    if (!isWhole) continue
    batch.put(key, value)
    bytes += key.length + value.length
    if (bytes < WRITE_BYTES) continue
    await batch.write({ sync: false })
    batch = store.batch()
    bytes = 0
  }
  if (bytes > 0) await batch.write({ sync: false })
}

async function readBack(
  disk: Disk,
  path: string,
  storeOptions: StoreOptions,
  damaged: Segment,
  known: SegmentIndex | undefined,
  at: number,
): Promise<{ index: SegmentIndex; bytes: number; lastCommit: number; holes: Hole[] }> {
  const index = new SegmentIndex(damaged.firstCommit)
  const holes: Hole[] = []
  const next = new Map<number, number>()
  const reason = `segment ${damaged.id} was damaged`
  const store = await disk.openStore(path, storeOptions)
  try {
    const { bytes, lastCommit } = await replayStore(store, damaged.firstCommit, Number.MAX_SAFE_INTEGER, {
      batch: (commit, id, batch) => {
        const from = next.get(id) ?? known?.partitions.get(id)?.firstOffset ?? batch.baseOffset
        // in a segment that was rewritten only its index tells a hole from what compaction took
        if (batch.baseOffset > from && isHole(damaged, known, id, from, batch.baseOffset)) {
          holes.push({ id, from, to: batch.baseOffset, reason, at })
        }
        index.of(id, batch.baseOffset).add(commit, batch)
        next.set(id, batch.nextOffset)
      },
    })
    for (const [id, entries] of known?.partitions ?? []) {
      const from = next.get(id) ?? entries.firstOffset
      if (from < entries.nextOffset && isHole(damaged, known, id, from, entries.nextOffset)) {
        holes.push({ id, from, to: entries.nextOffset, reason, at })
      }
    }
    return { index, bytes, lastCommit, holes }
  } finally {
    await store.close()
  }
}

function isHole(
  { isRewritten }: Segment,
  known: SegmentIndex | undefined,
  id: number,
  from: number,
  to: number,
): boolean {
  if (!isRewritten) return true
  const entries = known?.partitions.get(id)
  if (entries === undefined) return false
  // a batch of the index begins in between
  const i = entries.find(from)
  const first = i < entries.count && entries.offsetAt(i) < from ? i + 1 : i
  return first < entries.count && entries.offsetAt(first) < to
}
