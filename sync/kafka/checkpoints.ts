/**
 * Where the log stands upstream: read at the start, from the offsets of the edge's own group (round-offsets.ts writes them).
 * What stands beside an offset (checkpoint-metadata.ts) also says how its stream is mapped.
 */
import { type LogIdentity, partitionKey } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { CheckpointMismatchError, type UpstreamError } from '../errors.ts'
import { unlessRefused } from '../refused-streams.ts'
import type { Recovered, RecoveredPartition } from '../upstream.ts'
import { type ParsedMetadata, parseMetadata } from './checkpoint-metadata.ts'
import { COORDINATOR_ANSWERS, patiently } from './retry.ts'
import {
  chooseMapping,
  type Lane,
  type LastRecord,
  type Mapping,
  openRoute,
  type Partitioning,
  type Position,
  type RouteFacts,
} from './routes.ts'
import { type KnownSession, type Session, type SessionOptions, settling } from './session.ts'
import type { MappedTopic } from './topics.ts'
import { type ClusterInfo, type FetchedOffset, WireAnswerError } from './wire.ts'

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
    const { recorded, positions, lanes } = readOffsets(offsets, owner, session.id, options.bootstrap)
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
    for (const [partition, { last, sources, isBehind }] of lanes) {
      const lane = route.lanes[partition]
      if (lane === undefined) continue
      lane.last = last
      lane.end = last?.at ?? -1
      for (const source of sources) lane.sources.add(source)
      lane.isBehind = isBehind
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

/** Where offsets can stand: by key in any partition of the topic. */
function placesOf(cluster: ClusterInfo, topics: ReadonlyMap<string, MappedTopic>): Map<string, number[]> {
  const places = [...topics.values()].map(({ topic }) => {
    const { length } = cluster.topics.get(topic)!.partitions
    return [topic, Array.from({ length }, (_, partition) => partition)] as const
  })
  return new Map(places)
}

export function ownerOf(
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

/** What all that stands beside an offset says of whose it is. */
export interface Owner {
  readonly incarnation: string
  readonly stream: string
  readonly cluster: string
  readonly topicId: string
}

/** What stands beside the offsets of one stream. */
interface Offsets {
  readonly recorded: Mapping | null
  readonly positions: Map<number, Position>
  readonly lanes: Map<number, Pick<Lane, 'last' | 'sources' | 'isBehind'>>
}

function readOffsets(
  offsets: readonly FetchedOffset[],
  owner: Owner,
  group: string,
  bootstrap: string,
): Offsets {
  const reset = `stop this edge and give it another name with headwater rename; or, to send this log to where its own records end there, stop it and delete the group: kafka-consumer-groups.sh --bootstrap-server ${bootstrap} --delete --group ${group}`
  let recorded: Mapping | null = null
  const positions = new Map<number, Position>()
  const lanes: Offsets['lanes'] = new Map()
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
      const position = { next: offset, proof: parsed.proof }
      positions.set(partition, position)
      lanes.set(partition, { last: lastOf(parsed, position), sources: new Set(), isBehind: false })
    } else {
      for (const [local, position] of parsed.positions) positions.set(local, position)
      const { sources, isBehind } = parsed
      lanes.set(partition, { last: lastOf(parsed, null), sources: new Set(sources), isBehind })
    }
  }
  return { recorded, positions, lanes }
}

function lastOf({ at, epoch }: ParsedMetadata, position: Position | null): LastRecord | null {
  const isKnown = Number.isSafeInteger(at) && at >= 0 && Number.isSafeInteger(epoch) && epoch >= 0
  return isKnown ? { at, epoch, position } : null
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
