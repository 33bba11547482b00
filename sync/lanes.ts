/** From what an upstream wants and where it stands to its lanes, one a priority, the highest first. */
import {
  type BatchMemory,
  type LogCursor,
  type LogSource,
  type PartitionState,
  partitionKey,
} from '../broker/index.ts'
import { windowKeysBytes } from './filter/newest-window.ts'
import type { Selection } from './filter/selection.ts'
import { Lane, type Progress } from './lane.ts'
import { PartitionsCursor } from './partitions-cursor.ts'
import { RoundMemory } from './round-memory.ts'
import type { Positions } from './upstream.ts'

/** A lane that has this share of the log's bytes reads all commits in order; one with less reads its partitions. */
const COMMIT_ORDER_SHARE = 0.5

export interface Lanes {
  readonly lanes: readonly Lane[]
  readonly progress: ReadonlyMap<string, Progress>
  /** Where the batches of their cursors stand until they are released. */
  readonly memory: BatchMemory
}

/** The partitions that an upstream wants. */
export function wantedPartitions(log: LogSource, selection: Selection): PartitionState[] {
  return log.partitions().filter(({ stream }) => selection.wants(stream))
}

/** @param positions of the wanted partitions, by `partitionKey`; a stream without any is left out */
export function openLanes(log: LogSource, selection: Selection, positions: Positions): Lanes {
  const priorities = new Map(log.streams().map((state) => [state.stream, selection.priorityOf(state)]))
  const progress = new Map<string, Progress>()
  const leftOut = new Set<string>()
  for (const { stream, partition } of wantedPartitions(log, selection)) {
    const key = partitionKey(stream, partition)
    const next = positions.get(key)
    if (next === undefined) {
      leftOut.add(stream)
      continue
    }
    const priority = priorities.get(stream)!
    const counts = { pending: 0, filtered: 0, passedOver: 0 }
    progress.set(key, { stream, partition, priority, next, proof: undefined, window: null, ...counts })
  }
  const isLeftOut = (stream: string) => leftOut.has(stream) || !selection.wants(stream)
  const memory = new RoundMemory()
  const parts = {
    log,
    selection,
    progress,
    memory,
    isLeftOut,
    windowKeysBytes: windowKeysBytes(progress.size),
  }
  const lanes = [...new Set([...progress.values()].map(({ priority }) => priority))]
    .toSorted((a, b) => b - a)
    .map((priority) => {
      const own = [...progress.values()].filter((each) => each.priority === priority)
      const cursor = openCursor(log, own, memory)
      return new Lane(priority, { ...parts, cursor })
    })
  // without a partition there still is a lane, so that new ones are found
  if (lanes.length === 0) {
    const cursor = openCursor(log, [], memory)
    lanes.push(new Lane(0, { ...parts, cursor }))
  }
  return { lanes, progress, memory }
}

function openCursor(log: LogSource, own: readonly Progress[], memory: BatchMemory): LogCursor {
  const streams = new Set(own.map(({ stream }) => stream))
  const all = log.streams()
  const sum = (states: typeof all) => states.reduce((bytes, state) => bytes + state.bytes, 0)
  const ownBytes = sum(all.filter(({ stream }) => streams.has(stream)))
  const isMost = streams.size === all.length || ownBytes > sum(all) * COMMIT_ORDER_SHARE
  if (!isMost) return new PartitionsCursor(log, own)
  const from = new Map(
    log.partitions().map(({ stream, partition }) => {
      return [partitionKey(stream, partition), Number.MAX_SAFE_INTEGER] as const
    }),
  )
  for (const { stream, partition, next } of own) from.set(partitionKey(stream, partition), next)
  return log.openCursor(from, memory)
}
