/**
 * The changes of a table, from a position of each partition on: the records of the log that the table is made of, tombstones
 * included. What compaction has removed is no change any more. Where retention has removed something that was asked for, the feed
 * ends with an error that says so, because whoever follows it would miss changes; where damage has, it names the gap and goes on.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { OffsetGoneError } from '../errors.ts'
import type { StoredBatch } from '../log/source.ts'
import { RecordScan } from './record-scan.ts'
import type { TableEntry } from './table-entry.ts'
import { type LostOffsets, placedHash, type TableLog } from './table-log.ts'
import { Wake } from './wake.ts'

/** In the place of changes that are lost. */
export interface TableGap {
  readonly partition: number
  readonly gap: LostOffsets
}

export type TableChange = TableEntry | TableGap

export interface ChangeRequest {
  /** By partition: the first offset. Other partitions are left out. */
  readonly from: ReadonlyMap<number, number>
  /** Goes on with what is written later, until the signal. */
  readonly follow: boolean
  readonly signal: AbortSignal
}

const READ_BYTES = 64 * 1024
/** Changes brought at once, and before other work of this process has a turn. */
const TURN_CHANGES = 500

interface Lane {
  readonly partition: number
  next: number
  /** Where it ends; null goes on. */
  readonly end: number | null
}

/**
 * Changes as they come, each partition's in order.
 * @throws OffsetGoneError; UnknownStreamError
 */
export async function* changesOf(
  log: TableLog,
  stream: string,
  { from, follow, signal }: ChangeRequest,
): AsyncGenerator<TableChange[], void, void> {
  const { partitions } = log.stream(stream)
  const lanes = [...from].map(
    ([partition, next]): Lane => ({
      partition,
      next,
      end: follow ? null : partitions[partition]!.durableOffset,
    }),
  )
  const wake = new Wake()
  const raise = () => wake.raise()
  const unsubscribe = log.onDurable(raise)
  signal.addEventListener('abort', raise)
  try {
    while (!signal.aborted) {
      let isDry = true
      for (const lane of lanes) {
        if (lane.next >= (lane.end ?? partitions[lane.partition]!.durableOffset)) continue
        isDry = false
        for await (const changes of nextChanges(log, stream, lane)) {
          yield changes
          if (signal.aborted) return
        }
      }
      if (!isDry) continue
      if (!follow) return
      await wake.wait()
    }
  } finally {
    unsubscribe()
    signal.removeEventListener('abort', raise)
  }
}

/** Reads on in a partition and moves its lane. */
async function* nextChanges(
  log: TableLog,
  stream: string,
  lane: Lane,
): AsyncGenerator<TableChange[], void, void> {
  const { partitions } = log.stream(stream)
  const state = partitions[lane.partition]!
  const gone = () => new OffsetGoneError(stream, lane.partition, lane.next, state.logStartOffset)
  if (lane.next < state.logStartOffset) throw gone()
  const { durableOffset } = state
  const batches = await log.read(stream, lane.partition, lane.next, READ_BYTES)
  // and again after the read, during which it can have been dropped
  const first = batches[0]?.baseOffset ?? durableOffset
  if (lane.next < state.logStartOffset && lane.next < first) throw gone()
  const holes = log.lostOffsets(stream, lane.partition)
  for (const batch of batches) yield* changesIn(batch, lane, partitions.length, holes)
  lane.next = Math.max(lane.next, batches.at(-1)?.nextOffset ?? durableOffset)
}

async function* changesIn(
  { bytes, commit }: StoredBatch,
  lane: Lane,
  partitions: number,
  holes: readonly LostOffsets[],
): AsyncGenerator<TableChange[], void, void> {
  const { partition, end } = lane
  const scan = new RecordScan(bytes)
  let changes: TableChange[] = []
  while (scan.next()) {
    if (scan.offset < lane.next || (end !== null && scan.offset >= end)) continue
    for (const gap of holes) {
      if (gap.to > lane.next && gap.from < scan.offset) changes.push({ partition, gap })
    }
    lane.next = scan.offset + 1
    if (typeof placedHash(scan, partition, partitions) !== 'number') continue
    const { offset, timestamp, value, headers } = scan
    changes.push({
      partition,
      offset,
      timestamp,
      key: scan.key!,
      value,
      headers,
      ...(commit === undefined ? {} : { commit }),
    })
    if (changes.length < TURN_CHANGES) continue
    yield changes
    changes = []
    await turn()
  }
  if (changes.length > 0) yield changes
}
