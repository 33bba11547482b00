/**
 * Reading a chain: stored batches of one partition from an offset (of all partitions: commit-reader.ts). A batch is checked just
 * after it was read, so that damage is never sent on under a new checksum; a damaged one is passed over.
 */
import type { Entry, Store } from '../storage/store.ts'
import { trimBatch } from './batch-trim.ts'
import type { Chain } from './chain.ts'
import { commitKey, commitOf, idOf } from './commit-key.ts'
import { DamagedSegmentError } from './damaged-segment.ts'
import type { LogPartition } from './partition.ts'
import type { PartitionIndex } from './partition-index.ts'
import { baseOffsetOf, batchFault, nextOffsetOf, readRecords } from './record-batch.ts'
import type { OpenSegment, Segment } from './segment.ts'
import type { SegmentIndex } from './segment-index.ts'
import type { StoredBatch } from './source.ts'

/** Batches asked from LevelDB at once. */
const STEP_BATCHES_MAX = 256
/** One range scan is cheaper than single gets while at least one in this many entries is wanted. */
const SCAN_DENSITY = 4

/** Segments that are repaired for one read, at most. */
const REPAIRS_MAX = 100

/**
 * Runs a read; what goes wrong while the chain is closed or opened again is said so. A segment that cannot be opened is repaired, and
 * the read begins again.
 */
export async function guarded<T>(chain: Chain, read: () => Promise<T>): Promise<T> {
  for (let repairs = 0; ; repairs++) {
    if (chain.condition.state !== 'open') throw chain.unavailable()
    try {
      return await read()
    } catch (error) {
      // the condition changes while the read awaits
      if ((chain.condition.state as string) !== 'open') throw chain.unavailable()
      if (!(error instanceof DamagedSegmentError) || repairs >= REPAIRS_MAX) throw error
      await chain.repair(error)
    }
  }
}

/** The same for work on one segment: false where it was damaged, and has been replaced since. */
export async function onSegment(
  chain: Chain,
  segment: Segment,
  work: (open: OpenSegment) => Promise<void>,
): Promise<boolean> {
  try {
    await chain.cache.use(segment, work)
    return true
  } catch (error) {
    if (!(error instanceof DamagedSegmentError)) throw error
    await chain.repair(error)
    return false
  }
}

/** Stored batches of a partition from the one that holds `offset` (or the first after it); empty at the durable offset. */
export function readPartition(
  chain: Chain,
  partition: LogPartition,
  offset: number,
  bytesMax: number,
): Promise<StoredBatch[]> {
  return guarded(chain, async () => {
    const batches: StoredBatch[] = []
    let bytes = 0
    let at = Math.max(offset, partition.logStartOffset)
    while (bytes < bytesMax && at < partition.durableOffset) {
      const span = partition.spans[partition.findSpan(at)]
      const segment = span?.segment ?? chain.active
      const toOffset = span?.nextOffset ?? partition.durableOffset
      // readers of many partitions then pass from segment to segment together, and each is opened once for all of them
      if (batches.length > 0 && !chain.cache.isOpen(segment)) break
      const want = { fromOffset: at, toOffset, bytesMax: bytesMax - bytes }
      const read = await chain.cache.use(segment, (open) => readSegment(chain, open, partition, want))
      for (const found of read) {
        // the first batch may begin below the offset; a later one only where compaction has merged it meanwhile
        const isAgain = batches.length > 0 && found.baseOffset < at
        const batch = isAgain ? withoutFront(found, at) : found
        if (batch === null) continue
        batches.push(batch)
        bytes += batch.bytes.length
      }
      // a segment that has nothing whole from here on is passed over
      at = read.at(-1)?.nextOffset ?? toOffset
    }
    return batches
  })
}

async function readSegment(
  chain: Chain,
  { store, index }: OpenSegment,
  partition: LogPartition,
  want: { fromOffset: number; toOffset: number; bytesMax: number },
): Promise<StoredBatch[]> {
  const entries = index.partitions.get(partition.id)
  const batches: StoredBatch[] = []
  if (entries === undefined) return batches
  let bytes = 0
  let i = entries.find(want.fromOffset)
  while (i < entries.count && bytes < want.bytesMax && entries.offsetAt(i) < want.toOffset) {
    const read = await readEntries(store, index, entries, i, want.bytesMax - bytes)
    let passed = i
    for (const { key, value } of read) {
      if (bytes >= want.bytesMax || !isWhole(chain, key, value)) continue
      if (baseOffsetOf(value) >= want.toOffset) return batches
      passed = entries.find(baseOffsetOf(value)) + 1
      // the batch before a hole begins below the offset, but does not hold it
      if (nextOffsetOf(value) <= want.fromOffset) continue
      batches.push(storedBatch(partition, commitOf(key), value))
      bytes += value.length
    }
    i = Math.max(passed, i + 1)
  }
  return batches
}

/** What stands where the index has batches from the `i`th on: not all of them, and perhaps damaged ones beside them. */
async function readEntries(
  store: Store,
  index: SegmentIndex,
  entries: PartitionIndex,
  i: number,
  bytesMax: number,
): Promise<Entry[]> {
  const { id } = entries
  const n = Math.min(stepBatches(entries, bytesMax), entries.count - i)
  const first = entries.commitAt(i)
  const last = entries.commitAt(i + n - 1)
  // a commit has an entry of each partition that it touched: both must be dense, commits and the partition in them
  if (last - first < n * SCAN_DENSITY && index.count < entries.count * SCAN_DENSITY) {
    const range = { from: commitKey(first, id), to: commitKey(last, id + 1), bytesMax }
    return (await store.range(range)).filter(({ key }) => idOf(key) === id)
  }
  const keys = Array.from({ length: n }, (_, k) => commitKey(entries.commitAt(i + k), id))
  const values = await store.getMany(keys)
  return keys.flatMap((key, k) => (values[k] === undefined ? [] : { key, value: values[k] }))
}

function withoutFront(batch: StoredBatch, fromOffset: number): StoredBatch | null {
  const bytes = trimBatch(batch.bytes, fromOffset)
  return bytes === null ? null : { ...batch, baseOffset: baseOffsetOf(bytes), bytes }
}

/** How many batches of the partition's usual size make up the bytes asked for. */
function stepBatches(entries: PartitionIndex, bytesMax: number): number {
  const usualBytes = Math.max(1, entries.bytes / entries.count)
  return Math.min(Math.max(Math.ceil(bytesMax / usualBytes), 1), STEP_BATCHES_MAX)
}

/** Says so where a batch is damaged. */
export function isWhole(chain: Chain, key: Buffer, value: Buffer): boolean {
  const fault = batchFault(value)
  if (fault !== null) chain.files.damage.found(commitOf(key), idOf(key), fault)
  return fault === null
}

function storedBatch(partition: LogPartition, commit: number, bytes: Buffer): StoredBatch {
  return {
    stream: partition.stream,
    partition: partition.partition,
    baseOffset: baseOffsetOf(bytes),
    nextOffset: nextOffsetOf(bytes),
    bytes,
    commit,
  }
}

/** The commit that holds `offset`, or the first commit after it that holds something of the partition. */
export function commitOfOffset(chain: Chain, partition: LogPartition, offset: number): Promise<number> {
  return guarded(chain, async () => {
    if (offset >= partition.durableOffset) return chain.durableCommit + 1
    const at = Math.max(offset, partition.logStartOffset)
    const segment = partition.spans[partition.findSpan(at)]?.segment ?? chain.active
    return chain.cache.use(segment, async ({ index }) => {
      const entries = index.partitions.get(partition.id)
      const i = entries?.find(at) ?? 0
      return entries !== undefined && i < entries.count ? entries.commitAt(i) : segment.firstCommit
    })
  })
}

/** The segment that holds a durable commit, or the first after it. */
export function segmentOf(chain: Chain, commit: number): Segment {
  let low = 0
  let high = chain.segments.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (chain.segments[middle]!.lastCommit >= commit) high = middle
    else low = middle + 1
  }
  return chain.segments[low]!
}

/** The first offset whose record has at least this timestamp; the durable offset when there is none. */
export function offsetForTime(chain: Chain, partition: LogPartition, timestamp: number): Promise<number> {
  return guarded(chain, async () => {
    const span = partition.spans.find((candidate) => candidate.maxTimestamp >= timestamp)
    const segment = span?.segment ?? chain.active
    return chain.cache.use(segment, async ({ store, index }) => {
      const entries = index.partitions.get(partition.id)
      const i = entries?.findTime(timestamp) ?? 0
      if (entries === undefined || i >= entries.count) return partition.durableOffset
      const key = commitKey(entries.commitAt(i), partition.id)
      const batch = await store.get(key)
      if (batch !== undefined && isWhole(chain, key, batch)) {
        for (const record of readRecords(batch)) if (record.timestamp >= timestamp) return record.offset
      }
      return entries.offsetAt(i)
    })
  })
}
