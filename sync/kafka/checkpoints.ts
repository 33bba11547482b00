/**
 * Where the log stands upstream: read at the start, from the offsets of the edge's own group, and written with each round.
 * What stands beside an offset (checkpoint-metadata.ts) also says how its stream is mapped.
 */
import { type LogIdentity, partitionKey } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { CheckpointMismatchError, type UpstreamError } from '../errors.ts'
import { partProof } from '../proof.ts'
import { unlessRefused } from '../refused-streams.ts'
import type { Recovered, RecoveredPartition, Round, RoundPart } from '../upstream.ts'
import {
  encodeMetadata,
  encodePackedMetadata,
  type ParsedMetadata,
  parseMetadata,
} from './checkpoint-metadata.ts'
import { carriersOf } from './packed-positions.ts'
import { COORDINATOR_ANSWERS, patiently } from './retry.ts'
import {
  byStream,
  chooseMapping,
  type Lane,
  type LastRecord,
  type Mapping,
  openRoute,
  type Partitioning,
  type Position,
  type Route,
  type RouteFacts,
} from './routes.ts'
import { type KnownSession, type Session, type SessionOptions, settling } from './session.ts'
import type { MappedTopic } from './topics.ts'
import { type ClusterInfo, type CommittedOffset, type FetchedOffset, WireAnswerError } from './wire.ts'

/** How long a first checkpoint that is under way is waited for, to see whose it is: its markers take moments. */
const FIRST_CHECKPOINT = { answers: new Set(['UNSTABLE_OFFSET_COMMIT']), msMax: 2000 }
const FETCH_ANSWERS = new Set([...COORDINATOR_ANSWERS, 'UNSTABLE_OFFSET_COMMIT'])

/** Asks where the log stands, compares what was written beside each offset with what there is now, and opens the routes. */
export async function openRoutes(
  session: Session,
  clock: Clock,
  options: SessionOptions & { readonly partitioning: Partitioning },
  cluster: ClusterInfo,
  topics: ReadonlyMap<string, MappedTopic>,
  identity: LogIdentity,
): Promise<Recovered> {
  const fetched = await fetchOffsets(session, clock, options, placesOf(cluster, topics))
  const recovered = new Map<string, RecoveredPartition>()
  const refused = new Map<string, UpstreamError>()
  const open = (stream: string, { topic, partitions }: MappedTopic) => {
    const info = cluster.topics.get(topic)!
    const owner = ownerOf(session, identity, stream, info.topicId)
    const offsets = fetched.filter((found) => found.topic === topic && found.offset >= 0)
    const { recorded, positions, last } = readOffsets(offsets, owner, session.id, options.bootstrap)
    const facts: RouteFacts = { stream, topic, partitions, topicPartitions: info.partitions.length, recorded }
    const route = openRoute(
      facts,
      chooseMapping(options.partitioning, facts, options.bootstrap),
      cluster,
      identity,
    )
    const place = `${session.clusterId}/${info.topicId}`
    for (let partition = 0; partition < partitions; partition++) {
      const found = positions.get(partition)
      if (found !== undefined) route.positions.set(partition, found)
      recovered.set(partitionKey(stream, partition), {
        next: found?.next ?? null,
        proof: found?.proof ?? null,
        place,
      })
    }
    for (const [partition, record] of last) {
      const lane = route.lanes[partition]!
      lane.last = record
      lane.end = record.at
    }
    session.routes.set(stream, route)
  }
  for (const [stream, mapped] of topics) await unlessRefused(refused, () => open(stream, mapped))
  return { partitions: recovered, refused }
}

/**
 * A log that upstream will refuse must not fence the edge whose name it has: a restored backup would stop the original
 * along with itself. What the original has under way changes nothing of whose the checkpoint is. Only a look: a coordinator that is
 * not ready is for the real question later.
 */
export async function refuseForeign(
  known: KnownSession,
  clock: Clock,
  options: SessionOptions,
  cluster: ClusterInfo,
  topics: ReadonlyMap<string, MappedTopic>,
  identity: LogIdentity,
): Promise<void> {
  let offsets: FetchedOffset[]
  try {
    offsets = await lastCommitted(known, clock, placesOf(cluster, topics))
  } catch (error) {
    if (error instanceof WireAnswerError) return
    throw error
  }
  const refused = new Map<string, UpstreamError>()
  for (const [stream, { topic }] of topics) {
    const owner = ownerOf(known, identity, stream, cluster.topics.get(topic)!.topicId)
    const found = offsets.filter((item) => item.topic === topic && item.answer === 'NONE' && item.offset >= 0)
    await unlessRefused(refused, () => void readOffsets(found, owner, known.id, options.bootstrap))
  }
  // A stream that is refused is for `openRoutes`, unless there is nothing else.
  const [first] = refused.values()
  if (first !== undefined && refused.size === topics.size) throw first
}

/** Not what is under way, but where nothing was committed yet. */
async function lastCommitted(
  { wire, groupCoordinator, id }: KnownSession,
  clock: Clock,
  places: ReadonlyMap<string, readonly number[]>,
): Promise<FetchedOffset[]> {
  const committed = await wire.offsetFetch(groupCoordinator, id, places, 'ignore')
  if (committed.some(({ offset }) => offset >= 0)) return committed
  return patiently(clock, FIRST_CHECKPOINT, async () => {
    const offsets = await wire.offsetFetch(groupCoordinator, id, places, 'wait')
    throwFailed(offsets)
    return offsets
  })
}

function throwFailed(offsets: readonly FetchedOffset[]): void {
  const failed = offsets.find(({ answer }) => answer !== 'NONE')
  if (failed !== undefined) throw new WireAnswerError(failed.answer, 'OffsetFetch')
}

/** Where offsets can stand; carriers are never more than the stream's partitions. */
function placesOf(cluster: ClusterInfo, topics: ReadonlyMap<string, MappedTopic>): Map<string, number[]> {
  const places = [...topics.values()].map(({ topic, partitions }) => {
    const length = Math.min(cluster.topics.get(topic)!.partitions.length, partitions)
    return [topic, Array.from({ length }, (_, partition) => partition)] as const
  })
  return new Map(places)
}

function ownerOf(
  { clusterId: cluster }: KnownSession,
  { incarnation }: LogIdentity,
  stream: string,
  topicId: string,
): Owner {
  return { incarnation, stream, cluster, topicId }
}

async function fetchOffsets(
  session: Session,
  clock: Clock,
  options: SessionOptions,
  wanted: ReadonlyMap<string, readonly number[]>,
): Promise<FetchedOffset[]> {
  const { wire, id } = session
  return patiently(
    clock,
    { ...settling(options), answers: FETCH_ANSWERS },
    async () => {
      const offsets = await wire.offsetFetch(session.groupCoordinator, id, wanted, 'wait')
      throwFailed(offsets)
      return offsets
    },
    async () => {
      session.groupCoordinator = await wire.findCoordinator('group', id)
    },
  ).catch((error) => {
    // A group that was never written to: Kafka answers with offsets of -1, emulators with this.
    if (error instanceof WireAnswerError && error.answer === 'GROUP_ID_NOT_FOUND') return []
    throw error
  })
}

interface Owner {
  readonly incarnation: string
  readonly stream: string
  readonly cluster: string
  readonly topicId: string
}

function readOffsets(
  offsets: readonly FetchedOffset[],
  owner: Owner,
  group: string,
  bootstrap: string,
): { recorded: Mapping | null; positions: Map<number, Position>; last: Map<number, LastRecord> } {
  const reset = `stop this edge and give it another name with headwater rename; or, to send this log to where its own records end there, stop it and delete the group: kafka-consumer-groups.sh --bootstrap-server ${bootstrap} --delete --group ${group}`
  let recorded: Mapping | null = null
  const positions = new Map<number, Position>()
  const last = new Map<number, LastRecord>()
  for (const { partition, offset, metadata } of offsets) {
    const what = `the checkpoint of ${owner.stream}/${partition} in group ${group}`
    const ofLog = (reason: string) => new CheckpointMismatchError(`${what} ${reason}`, reset)
    const mismatch = (reason: string) => ofLog(reason).of(owner.stream)
    const parsed = parseMetadata(metadata)
    if (parsed === null) throw mismatch('was not written by Headwater')
    const fault = difference(parsed, owner)
    if (fault !== null) throw ofLog(fault)
    if (parsed.stream !== owner.stream) throw mismatch(`belongs to stream ${parsed.stream}`)
    // The topic was deleted and made anew, and Kafka has not yet forgotten the offset, which it does by itself.
    if (parsed.topicId !== owner.topicId) continue
    const mapping: Mapping =
      parsed.kind === 'single' ? { kind: 'identity' } : { kind: 'key', width: parsed.width }
    if (recorded !== null && describe(recorded) !== describe(mapping)) {
      throw mismatch(`is mapped ${describe(mapping)}, another one ${describe(recorded)}`)
    }
    recorded = mapping
    if (parsed.kind === 'single') {
      const { proof, at, epoch } = parsed
      positions.set(partition, { next: offset, proof })
      const isKnown = Number.isSafeInteger(at) && at >= 0 && Number.isSafeInteger(epoch) && epoch >= 0
      if (isKnown) last.set(partition, { at, epoch, next: offset, proof })
    } else for (const [local, position] of parsed.positions) positions.set(local, position)
  }
  return { recorded, positions, last }
}

function describe(mapping: Mapping): string {
  return mapping.kind === 'identity' ? 'by identity' : `by key over ${mapping.width} partitions`
}

/** What says that all of the log is another one, or elsewhere. */
function difference(found: ParsedMetadata, owner: Owner): string | null {
  if (found.incarnation !== owner.incarnation) {
    return `belongs to incarnation ${found.incarnation}, this log is ${owner.incarnation}`
  }
  if (found.cluster !== owner.cluster) return `belongs to cluster ${found.cluster}, this is ${owner.cluster}`
  return null
}

/** What a round commits, and what to do once it has. */
export interface RoundOffsets {
  readonly offsets: readonly CommittedOffset[]
  committed(): void
}

/** The positions after a round, as they are committed with it. */
export function roundOffsets(session: Session, identity: LogIdentity, round: Round): RoundOffsets {
  const streams = [...byStream(round)].map(([stream, parts]) => {
    const route = session.routes.get(stream)!
    const positions = new Map(route.positions)
    for (const part of parts) {
      positions.set(part.partition, { next: part.nextOffset, proof: partProof(part) })
    }
    const owner = ownerOf(session, identity, stream, route.topicId)
    const offsets =
      route.mapping.kind === 'identity'
        ? parts.map((part) => singleOffset(route, owner, part, positions))
        : packedOffsets(route, route.mapping.width, owner, parts, positions)
    return { route, parts, positions, offsets }
  })
  return {
    offsets: streams.flatMap(({ offsets }) => offsets),
    committed() {
      for (const { route, parts, positions } of streams) {
        for (const [partition, position] of positions) route.positions.set(partition, position)
        for (const lane of route.lanes) lane.end = Math.max(lane.end, lane.at)
        if (route.mapping.kind === 'key') continue
        for (const { partition } of parts) {
          const lane = route.lanes[partition]!
          lane.last = lastOf(lane, positions)
        }
      }
    },
  }
}

function singleOffset(
  { topic, lanes }: Route,
  owner: Owner,
  part: RoundPart,
  positions: ReadonlyMap<number, Position>,
): CommittedOffset {
  const { next, proof } = positions.get(part.partition)!
  const { at, epoch } = lastOf(lanes[part.partition]!, positions) ?? { at: -1, epoch: -1 }
  const metadata = encodeMetadata({ ...owner, proof, at, epoch })
  return { topic, partition: part.partition, offset: next, metadata }
}

/**
 * Where the last record of a lane stands after a round; one that moves a position alone leaves it. A rewind goes in front of it:
 * it says nothing of where the log stands any more.
 */
function lastOf(lane: Lane, positions: ReadonlyMap<number, Position>): LastRecord | null {
  const position = positions.get(lane.partition)!
  if (lane.at >= 0) return { at: lane.at, epoch: lane.leaderEpoch, ...position }
  return lane.last !== null && position.next < lane.last.next ? null : lane.last
}

/** Of each carrier in which a part stands, all positions: a committed offset replaces the one before. */
function packedOffsets(
  { topic, partitions }: Route,
  width: number,
  owner: Owner,
  parts: readonly RoundPart[],
  positions: ReadonlyMap<number, Position>,
): CommittedOffset[] {
  const carriers = carriersOf(partitions)
  return [...new Set(parts.map(({ partition }) => partition % carriers))].map((carrier) => {
    const carried = new Map([...positions].filter(([partition]) => partition % carriers === carrier))
    const offset = [...carried.values()].reduce((sum, { next }) => sum + next, 0)
    return {
      topic,
      partition: carrier,
      offset,
      metadata: encodePackedMetadata({ ...owner, width, positions: carried }),
    }
  })
}
