/**
 * What `recover` answers of a partition, with a way to ask the topic itself where this log stands (look-back.ts). By key that is in all
 * partitions of the topic at once, and one may have less than another, where a cluster was copied unevenly: each gets what it lacks
 * (repair.ts). Of the stream's partitions that are not in what was read of one, it is believed to have as much as the others,
 * unless all that it ever had was read.
 */
import { partitionKey } from '../../broker/index.ts'
import type { LookBack, Recovered, RecoveredPartition } from '../upstream.ts'
import { GLANCE_BYTES_MAX, isReadRefused, lastSeen, lookBack, MAY_NOT_READ, type Seen } from './look-back.ts'
import { Repair } from './repair.ts'
import { WATCHED_LANES_MAX } from './round-offsets.ts'
import type { Route } from './routes.ts'
import type { Session } from './session.ts'
import type { KafkaWire } from './wire.ts'

export function withLookBack(
  { wire, routes }: Session,
  recovered: Recovered,
  told: (error: unknown) => unknown,
): Recovered {
  const { partitions } = recovered
  const looking = new Map<string, RecoveredPartition>(partitions)
  for (const route of routes.values()) {
    const glanceAt = route.mapping.kind === 'identity' ? glanceAtLane(wire, route) : glanceAtAll(wire, route)
    for (let partition = 0; partition < route.partitions; partition++) {
      const key = partitionKey(route.stream, partition)
      const glance = () =>
        glanceAt(partition).catch((error) => {
          throw told(error)
        })
      looking.set(key, { ...partitions.get(key)!, lookBack: glance })
    }
  }
  return { ...recovered, partitions: looking }
}

type Glance = (partition: number) => Promise<LookBack>

function glanceAtLane(wire: KafkaWire, { lanes }: Route): Glance {
  return (partition) => lookBack(wire, lanes[partition]!, GLANCE_BYTES_MAX)
}

function glanceAtAll(wire: KafkaWire, route: Route): Glance {
  const wanted = new Set(Array.from({ length: route.partitions }, (_, partition) => partition))
  let seen: Promise<Seen[]> | null = null
  return async (partition) => {
    // What it finds is written beside an offset of each lane.
    if (route.lanes.length > WATCHED_LANES_MAX) {
      return { kind: 'unknown', reason: `it has more than ${WATCHED_LANES_MAX} partitions` }
    }
    try {
      seen ??= Promise.all(route.lanes.map((lane) => lastSeen(wire, lane, wanted, GLANCE_BYTES_MAX)))
      return standing(route, partition, await seen)
    } catch (error) {
      if (!isReadRefused(error)) throw error
      return { kind: 'unknown', reason: MAY_NOT_READ }
    }
  }
}

function standing(route: Route, partition: number, seen: readonly Seen[]): LookBack {
  const nexts = seen.map((lane) => lane.nexts.get(partition))
  if (nexts.every((next) => next === undefined)) {
    if (seen.every(({ isRead }) => isRead)) return { kind: 'none' }
    const bytes = seen.reduce((sum, lane) => sum + lane.bytes, 0)
    return { kind: 'unknown', reason: `it is not in the last ${bytes} bytes` }
  }
  const end = Math.max(...nexts.map((next) => next ?? 0))
  const reached = new Map<number, number>()
  for (const [lane, { isWhole }] of seen.entries()) {
    const next = nexts[lane] ?? (isWhole ? 0 : end)
    if (next < end) reached.set(lane, next)
  }
  if (reached.size === 0) return { kind: 'found', next: end }
  route.repair ??= new Repair()
  const next = route.repair.add(partition, end, reached)
  for (const lane of reached.keys()) route.lanes[lane]!.sources.add(partition)
  route.positions.set(partition, { next: end, proof: null, isUneven: true })
  return { kind: 'found', next, end }
}
