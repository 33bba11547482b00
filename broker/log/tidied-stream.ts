/** A stream as the janitor sees it: what may go from it, where it stands, and what holds it back. */
import type { Chain } from './chain.ts'
import type { LogPartition } from './partition.ts'
import type { PlannedStream } from './retention-plan.ts'
import type { Segment } from './segment.ts'
import type { StreamPolicy } from './stream-policy.ts'
import type { UpstreamFloors } from './upstream-floors.ts'

export interface TidiedStream {
  readonly name: string
  readonly policy: StreamPolicy
  readonly chain: Chain
  readonly partitions: readonly LogPartition[]
}

/** A stream with a retention by time is sealed this often within it, so that it expires in small portions. */
export const AGE_PORTIONS = 8

/** As the plans take them. */
export function plannedOf(streams: readonly TidiedStream[], floors: UpstreamFloors): PlannedStream[] {
  return streams.map(({ name, policy, partitions }) => ({
    name,
    policy,
    partitions: partitions.map(({ id, partition, logStartOffset }) => ({
      id,
      logStartOffset,
      floor: floors.of(name, partition),
    })),
  }))
}

/** How far apart segments may lie that become one, for the sake of what they hold with a retention by time. */
export function spanMs(
  streams: readonly TidiedStream[],
  segment: Segment,
  startOf: (id: number) => number,
): number {
  const live = new Set(
    segment.summaries.filter(({ id, nextOffset }) => nextOffset > startOf(id)).map(({ id }) => id),
  )
  const own = streams.filter(({ partitions }) => partitions.some(({ id }) => live.has(id)))
  return Math.min(...own.map(({ policy }) => (policy.retentionMs ?? Number.POSITIVE_INFINITY) / AGE_PORTIONS))
}
