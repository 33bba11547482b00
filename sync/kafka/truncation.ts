/**
 * Whether records that the cluster acknowledged are still there. An unclean leader election throws them away, and then the group's
 * offset, which lives in another partition, still says that they were sent.
 *
 *   OffsetForLeaderEpoch(epoch of the last record) ends behind the record and its marker   -> all there
 *   a reader sees this log's record at the offset that the checkpoint names                -> all there; the epoch was an older one
 *   else: settle (a transaction of nothing, aborted), look back for this log's last record -> sent again from behind it; by key for
 *   the last one of each of the stream's partitions that has any there, and only what goes there is sent again (repair.ts)
 *
 * Settling: where the election threw the commit's marker away and left records of its transaction, that transaction is open for
 * ever in this partition, and the marker of any later one would decide over them, too. An abort takes them out of sight,
 * so that what is sent again is there once.
 */
import { partitionKey } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { PositionUnknownError, UpstreamTimeoutError } from '../errors.ts'
import { unlessRefused } from '../refused-streams.ts'
import type { Recovered, RecoveredPartition } from '../upstream.ts'
import { holds, isReadRefused, lastSeen, MAY_NOT_READ, type Seen } from './look-back.ts'
import { Repair } from './repair.ts'
import { COORDINATOR_ANSWERS, patiently } from './retry.ts'
import { type Lane, type LastRecord, lanesOf, type Route } from './routes.ts'
import type { Session, TransactionalSession } from './session.ts'
import type { KafkaWire } from './wire.ts'

export interface TruncationOptions {
  readonly transactionTimeoutMs: number
  readonly provenance: 'record' | 'none'
}

/** The last record of a transaction is followed by the marker that ends it; one without transactions by nothing. */
const MARKERS = { transactional: 1, plain: 0 }
const POLL_MS = 50
/** A new leader does not tell where it ends until it knows what its followers have. */
export const NEW_LEADER = { answers: new Set(['OFFSET_NOT_AVAILABLE', 'LEADER_NOT_AVAILABLE']), msMax: 5000 }

/** Lanes whose last acknowledged record a reader does not see any more. One request to each leader where all is well. */
export async function truncated(session: Session, clock: Clock, lanes: Iterable<Lane>): Promise<Lane[]> {
  const { wire } = session
  const markers = isTransactional(session) ? MARKERS.transactional : MARKERS.plain
  const written: (Written & { last: LastRecord })[] = []
  for (const lane of lanes) {
    const { last } = lane
    if (last !== null) written.push({ lane, at: last.at, epoch: last.epoch, last })
  }
  const doubtful = await patiently(clock, NEW_LEADER, () => endedBefore(wire, written, markers))
  const judged = doubtful.map(async ({ lane, last }) => {
    const isThere = await patiently(clock, NEW_LEADER, () => holds(wire, lane, last)).catch((error) => {
      // What is done about it says why it cannot be told.
      if (isReadRefused(error)) return false
      throw error
    })
    return isThere ? null : lane
  })
  return (await Promise.all(judged)).filter((lane) => lane !== null)
}

/** A record that the cluster took at an offset of a lane, as far as known under this epoch. */
export interface Written {
  readonly lane: Lane
  readonly at: number
  readonly epoch: number
}

/** Those whose epoch ends at the record or at the markers behind it. */
export async function endedBefore<T extends Written>(
  wire: KafkaWire,
  written: readonly T[],
  markers: number,
): Promise<T[]> {
  const byLeader = new Map<number, T[]>()
  for (const item of written) {
    const { id } = item.lane.leader
    byLeader.set(id, [...(byLeader.get(id) ?? []), item])
  }
  const asked = [...byLeader.values()].map(async (led) => {
    const epochs = led.map(({ lane: { topic, partition }, epoch }) => ({ topic, partition, epoch }))
    const ends = await wire.epochEnds(led[0]!.lane.leader, epochs)
    return led.filter(({ at }, index) => ends[index]! <= at + markers)
  })
  return (await Promise.all(asked)).flat()
}

/** What was found by `recover`, with the positions corrected to what is there; a stream is refused where that cannot be told. */
export async function correctTruncated(
  session: Session,
  clock: Clock,
  options: TruncationOptions,
  recovered: Recovered,
): Promise<Recovered> {
  const cut = new Set(await truncated(session, clock, lanesOf(session)))
  const lacking = lanesOf(session).filter((lane) => cut.has(lane) || lane.isBehind)
  if (lacking.length === 0) return recovered
  if (isTransactional(session)) await endOpen(session, clock, options, lacking)
  const partitions = new Map(recovered.partitions)
  const refused = new Map(recovered.refused)
  const until = clock.monotonic() + options.transactionTimeoutMs
  for (const route of session.routes.values()) {
    const lanes = lacking.filter((lane) => route.lanes[lane.partition] === lane)
    if (lanes.length === 0) continue
    await unlessRefused(refused, async () => {
      for (const lane of lanes) await settle(session.wire, clock, lane, until)
      const found =
        route.mapping.kind === 'identity'
          ? await identityLeft(session, options, lanes)
          : await keyLeft(session, options, route, lanes, cut)
      for (const [partition, left] of found) {
        const key = partitionKey(route.stream, partition)
        partitions.set(key, { ...partitions.get(key)!, ...left })
      }
      for (const lane of lanes) {
        lane.last = null
        lane.end = -1
      }
    })
  }
  return { partitions, refused }
}

type Left = Pick<RecoveredPartition, 'next' | 'proof' | 'acknowledged' | 'isPartly'>

function isTransactional(session: Session): session is TransactionalSession {
  return session.producer.transactionalId !== null
}

/** Aborts what this producer left open. Without transactions there is nothing. */
async function endOpen(
  session: TransactionalSession,
  clock: Clock,
  options: TruncationOptions,
  lanes: readonly Lane[],
): Promise<void> {
  const { wire, producer, transactionCoordinator: coordinator } = session
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of lanes) topics.set(topic, [...(topics.get(topic) ?? []), partition])
  const patience = { answers: COORDINATOR_ANSWERS, msMax: options.transactionTimeoutMs }
  await patiently(clock, patience, () => wire.addPartitionsToTxn(coordinator, producer, topics))
  await patiently(clock, patience, () => wire.endTxn(coordinator, producer, false))
}

/** A reader sees no further than the first open transaction, whose ever it is: waits for those that are there now. */
async function settle(wire: KafkaWire, clock: Clock, lane: Lane, until: number): Promise<void> {
  const { leader, topic, partition, stream } = lane
  const { end } = await wire.bounds(leader, topic, partition)
  while ((await wire.bounds(leader, topic, partition)).stable < end) {
    if (clock.monotonic() > until) {
      throw new UpstreamTimeoutError(`transactions in ${topic}/${partition} do not end`).of(stream)
    }
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve))
  }
}

async function identityLeft(
  session: Session,
  options: TruncationOptions,
  lanes: readonly Lane[],
): Promise<Map<number, Left>> {
  const found = new Map<number, Left>()
  for (const lane of lanes) {
    const { partition, positions } = lane
    const { nexts } = await seenIn(session, options, lane, new Set([partition]))
    const next = nexts.get(partition) ?? null
    found.set(partition, { next, proof: null, acknowledged: positions.get(partition)!.next })
  }
  return found
}

/** Each lane that is behind gets from where it ends, the others from the position that they have (repair.ts). */
async function keyLeft(
  session: Session,
  options: TruncationOptions,
  route: Route,
  lanes: readonly Lane[],
  cut: ReadonlySet<Lane>,
): Promise<Map<number, Left>> {
  const { positions } = route
  const reached = new Map<number, Map<number, number>>()
  for (const lane of lanes) {
    // One that was behind before has all of the partitions that were even.
    const doubtful = [...positions].filter(([, { isUneven }]) => cut.has(lane) || isUneven)
    const wanted = new Set(doubtful.map(([local]) => local).filter((local) => lane.sources.has(local)))
    const { nexts } = await seenIn(session, options, lane, wanted)
    for (const local of wanted) {
      const next = nexts.get(local) ?? 0
      if (next >= positions.get(local)!.next) continue
      const byLane = reached.get(local) ?? new Map<number, number>()
      reached.set(local, byLane.set(lane.partition, next))
    }
  }
  route.repair = reached.size === 0 ? null : new Repair()
  const found = new Map<number, Left>()
  for (const [local, { next, proof }] of [...positions]) {
    const byLane = reached.get(local)
    if (byLane === undefined) {
      positions.set(local, { next, proof })
      continue
    }
    const from = route.repair!.add(local, next, byLane)
    // Without transactions nothing is marked: the position itself falls back, before anything else is committed.
    positions.set(
      local,
      isTransactional(session) ? { next, proof, isUneven: true } : { next: from, proof: null },
    )
    const isGone = from === 0
    found.set(local, { next: isGone ? null : from, proof: null, acknowledged: next, isPartly: true })
  }
  return found
}

/** @throws PositionUnknownError where the topic does not tell */
async function seenIn(
  session: Session,
  { provenance }: TruncationOptions,
  lane: Lane,
  wanted: ReadonlySet<number>,
): Promise<Seen> {
  const what = `topic ${lane.topic}, partition ${lane.partition}, lost records of ${lane.stream} that it acknowledged`
  if (provenance === 'none') throw new PositionUnknownError(what, 'provenance is none').of(lane.stream)
  // Without transactions a round that met the loss stands behind it, and readers see it: what lies before is not told by it.
  const below = isTransactional(session) ? Number.POSITIVE_INFINITY : await endOfEpoch(session, lane)
  try {
    return await lastSeen(session.wire, lane, wanted, Number.POSITIVE_INFINITY, below)
  } catch (error) {
    if (!isReadRefused(error)) throw error
    throw new PositionUnknownError(what, MAY_NOT_READ).of(lane.stream)
  }
}

async function endOfEpoch({ wire }: Session, { leader, topic, partition, last }: Lane): Promise<number> {
  // Marked as behind by an edge that wrote transactions then: nothing stands behind the loss.
  if (last === null) return Number.POSITIVE_INFINITY
  const [end] = await wire.epochEnds(leader, [{ topic, partition, epoch: last.epoch }])
  return Math.max(end!, 0)
}
