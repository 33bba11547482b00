/**
 * What one `recover` establishes and all rounds until the next error use: who writes (producer id and epoch), who
 * coordinates, who leads. Nothing of it survives an error.
 */
import { type LogIdentity, type PartitionState, partitionKey } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { CheckpointMismatchError, FencedError } from '../errors.ts'
import { originPrefix } from '../origin-header.ts'
import type { Recovered, RecoveredPartition } from '../upstream.ts'
import { FENCED_ANSWERS } from './answers.ts'
import { type CheckpointMetadata, parseMetadata } from './checkpoint-metadata.ts'
import { COORDINATOR_ANSWERS, type Patience, patiently } from './retry.ts'
import { truncated } from './truncation.ts'
import {
  type BrokerNode,
  type ClusterInfo,
  type FetchedOffset,
  type KafkaWire,
  type Producer,
  WireAnswerError,
} from './wire.ts'

/** The last acknowledged record of a lane: where it stands in the topic, and the checkpoint behind it. */
export interface LastRecord {
  readonly at: number
  readonly epoch: number
  readonly next: number
  readonly proof: number | null
}

export interface Lane {
  readonly stream: string
  readonly partition: number
  readonly topic: string
  readonly topicId: string
  /** Of this log's hw.origin in this partition. */
  readonly prefix: string
  leader: BrokerNode
  leaderEpoch: number
  last: LastRecord | null
  /** The next batch's base sequence; sequences begin at 0 with each epoch. */
  sequence: number
}

export interface Session {
  readonly wire: KafkaWire
  readonly clusterId: string
  /** Group and transactional id. */
  readonly id: string
  producer: Producer
  transactionCoordinator: BrokerNode
  groupCoordinator: BrokerNode
  /** By `partitionKey`. */
  readonly lanes: ReadonlyMap<string, Lane>
  /** When the leaders and the topics' ids were looked up, monotonic, and how many connections had gone away by then. */
  looked: { readonly at: number; readonly lostConnections: number }
}

export interface SessionOptions {
  readonly bootstrap: string
  readonly id: string
  readonly transactionTimeoutMs: number
}

/** A producer of an earlier session of this process, and whether its last transaction may have been left open. */
export interface FormerProducer {
  readonly producer: Producer
  readonly transactionOpen: boolean
}

/** How long the last transaction of this producer may take to end: its timeout, and the coordinator's next look at it. */
const SETTLE_EXTRA_MS = 20_000
const FETCH_ANSWERS = new Set([...COORDINATOR_ANSWERS, 'UNSTABLE_OFFSET_COMMIT'])

export async function openSession(
  wire: KafkaWire,
  clock: Clock,
  options: SessionOptions,
  cluster: ClusterInfo,
  topics: ReadonlyMap<string, { topic: string }>,
  partitions: readonly PartitionState[],
  identity: LogIdentity,
  former: FormerProducer | null,
  aboutToInit: () => void,
): Promise<Session> {
  const { id } = options
  const { clusterId } = cluster
  const looked = { at: clock.monotonic(), lostConnections: wire.lostConnections }
  const [transactionCoordinator, groupCoordinator] = await Promise.all([
    findCoordinator(wire, clock, options, 'transaction'),
    findCoordinator(wire, clock, options, 'group'),
  ])
  const lanes = new Map<string, Lane>()
  for (const { stream, partition } of partitions) {
    const { topic } = topics.get(stream)!
    const { topicId, leader, leaderEpoch } = findLeader(cluster, topic, partition)
    const prefix = originPrefix(identity, stream, partition)
    const place = { stream, partition, topic, topicId, prefix }
    const lane: Lane = { ...place, leader, leaderEpoch, last: null, sequence: 0 }
    lanes.set(partitionKey(stream, partition), lane)
  }
  const known = { wire, clusterId, id, groupCoordinator, lanes, looked }
  if (former !== null) await refuseTakeover(wire, transactionCoordinator, former, 'at recovery')
  else await refuseToFence(known, identity, options)
  aboutToInit()
  const { producer, coordinator } = await initProducer(wire, clock, options, transactionCoordinator)
  return { ...known, producer, transactionCoordinator: coordinator }
}

/**
 * A log that upstream will refuse must not fence the edge whose name it has: a restored backup would stop the original
 * along with itself. Only a look: an open transaction, or a coordinator that is not ready, is for the real question later.
 */
async function refuseToFence(
  known: Pick<Session, 'wire' | 'id' | 'clusterId' | 'groupCoordinator' | 'lanes'>,
  identity: LogIdentity,
  options: SessionOptions,
): Promise<void> {
  let offsets: FetchedOffset[]
  try {
    offsets = await known.wire.offsetFetch(known.groupCoordinator, known.id, topicPartitions(known.lanes))
  } catch (error) {
    if (error instanceof WireAnswerError) return
    throw error
  }
  for (const lane of known.lanes.values()) {
    const found = offsets.find(({ topic, partition }) => topic === lane.topic && partition === lane.partition)
    if (found?.answer === 'NONE') readCheckpoint(known, lane, found, identity, options)
  }
}

function topicPartitions(lanes: ReadonlyMap<string, Lane>): Map<string, number[]> {
  const wanted = new Map<string, number[]>()
  for (const { topic, partition } of lanes.values()) {
    wanted.set(topic, [...(wanted.get(topic) ?? []), partition])
  }
  return wanted
}

function findLeader(cluster: ClusterInfo, topic: string, partition: number) {
  const info = cluster.topics.get(topic)
  const found = info?.partitions.find((candidate) => candidate.partition === partition)
  const leader = cluster.nodes.get(found?.leader ?? -1)
  if (info === undefined || found === undefined || leader === undefined) {
    throw new WireAnswerError('LEADER_NOT_AVAILABLE', `Metadata of ${topic}/${partition}`)
  }
  return { topicId: info.topicId, leader, leaderEpoch: found.leaderEpoch }
}

/**
 * Looks for the leaders again.
 * @throws when a topic is another one now, or a new leader lacks what was acknowledged: that is for `recover` to judge
 */
export async function refreshLeaders(session: Session, clock: Clock): Promise<void> {
  const lanes = [...session.lanes.values()]
  const looked = { at: clock.monotonic(), lostConnections: session.wire.lostConnections }
  const cluster = await session.wire.metadata([...new Set(lanes.map(({ topic }) => topic))])
  const moved: Lane[] = []
  for (const lane of lanes) {
    const { topicId, leader, leaderEpoch } = findLeader(cluster, lane.topic, lane.partition)
    if (topicId !== lane.topicId) throw new WireAnswerError('UNKNOWN_TOPIC_ID', `Metadata of ${lane.topic}`)
    if (leaderEpoch !== lane.leaderEpoch) moved.push(lane)
    lane.leader = leader
    lane.leaderEpoch = leaderEpoch
  }
  const [first] = await truncated(session, clock, moved)
  if (first !== undefined) {
    const what = `${first.topic}/${first.partition}, whose leader changed and lacks records that were acknowledged`
    throw new WireAnswerError('OFFSET_OUT_OF_RANGE', `OffsetForLeaderEpoch of ${what}`)
  }
  session.looked = looked
}

function settling({ transactionTimeoutMs }: SessionOptions): Patience {
  return { answers: COORDINATOR_ANSWERS, msMax: transactionTimeoutMs + SETTLE_EXTRA_MS }
}

function findCoordinator(
  wire: KafkaWire,
  clock: Clock,
  options: SessionOptions,
  kind: 'group' | 'transaction',
): Promise<BrokerNode> {
  return patiently(clock, settling(options), () => wire.findCoordinator(kind, options.id))
}

/** Takes the next epoch: earlier processes of this edge are fenced, and a transaction that one left open is aborted. */
export async function initProducer(
  wire: KafkaWire,
  clock: Clock,
  options: SessionOptions,
  known: BrokerNode,
): Promise<{ producer: Producer; coordinator: BrokerNode }> {
  let coordinator = known
  const producer = await patiently(
    clock,
    settling(options),
    () => wire.initProducerId(coordinator, options.id, options.transactionTimeoutMs),
    async () => {
      coordinator = await findCoordinator(wire, clock, options, 'transaction')
    },
  )
  return { producer, coordinator }
}

/**
 * Another process that was initialised as this producer is not fenced in turn: two clones would fence each other for ever.
 * The coordinator raises the epoch, too, when it gives up on a transaction that was left open; that is told apart here.
 */
export async function refuseTakeover(
  wire: KafkaWire,
  coordinator: BrokerNode,
  former: FormerProducer,
  during: string,
): Promise<'same' | 'timed-out' | 'unknown'> {
  const { transactionalId, producerId, epoch } = former.producer
  let seen: { state: string; producerId: bigint; epoch: number }
  try {
    seen = await wire.describeTransaction(coordinator, transactionalId)
  } catch (error) {
    // Not permitted, not supported, or forgotten after a week: nothing speaks against going on.
    if (error instanceof WireAnswerError) return 'unknown'
    throw error
  }
  if (seen.producerId === producerId && seen.epoch === epoch) return 'same'
  const aborted = ['PrepareEpochFence', 'PrepareAbort', 'CompleteAbort'].includes(seen.state)
  if (former.transactionOpen && aborted && seen.producerId === producerId && seen.epoch === epoch + 1) {
    return 'timed-out'
  }
  throw new FencedError(transactionalId, `${during}: epoch ${epoch} was followed by ${seen.epoch}`)
}

/** Asks where the log stands, and compares what was written beside each offset with what there is now. */
export async function fetchCheckpoints(
  session: Session,
  clock: Clock,
  options: SessionOptions,
  identity: LogIdentity,
): Promise<Recovered> {
  const { wire, id, lanes } = session
  const wanted = topicPartitions(lanes)
  const fetched = await patiently(
    clock,
    { ...settling(options), answers: FETCH_ANSWERS },
    async () => {
      const offsets = await wire.offsetFetch(session.groupCoordinator, id, wanted)
      const failed = offsets.find(({ answer }) => answer !== 'NONE')
      if (failed !== undefined) throw new WireAnswerError(failed.answer, 'OffsetFetch')
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
  const partitions = new Map<string, RecoveredPartition>()
  for (const [key, lane] of lanes) {
    const found = fetched.find(({ topic, partition }) => topic === lane.topic && partition === lane.partition)
    const { recovered, last } = readCheckpoint(session, lane, found, identity, options)
    lane.last = last
    partitions.set(key, recovered)
  }
  return { partitions }
}

function readCheckpoint(
  session: Pick<Session, 'clusterId' | 'id'>,
  lane: Lane,
  found: FetchedOffset | undefined,
  identity: LogIdentity,
  options: SessionOptions,
): { recovered: RecoveredPartition; last: Lane['last'] } {
  const place = `${session.clusterId}/${lane.topicId}`
  const nothing = { recovered: { next: null, proof: null, place }, last: null }
  if (found === undefined || found.offset < 0) return nothing
  const what = `the checkpoint of ${lane.stream}/${lane.partition} in group ${session.id}`
  const metadata = parseMetadata(found.metadata)
  const reset = `stop this edge and give it another name with headwater rename; or, to send this log to where its own records end there, stop it and delete the group: kafka-consumer-groups.sh --bootstrap-server ${options.bootstrap} --delete --group ${session.id}`
  const mismatch = (reason: string) => new CheckpointMismatchError(`${what} ${reason}`, reset)
  if (metadata === null) throw mismatch('was not written by Headwater')
  const fault = difference(metadata, session, lane, identity)
  if (fault !== null) throw mismatch(fault)
  // The topic was deleted and made anew, and Kafka has not yet forgotten the offset, which it does by itself.
  if (metadata.topicId !== lane.topicId) return nothing
  const { proof, at, epoch } = metadata
  const isKnown = Number.isSafeInteger(at) && at >= 0 && Number.isSafeInteger(epoch) && epoch >= 0
  return {
    recovered: { next: found.offset, proof, place },
    last: isKnown ? { at, epoch, next: found.offset, proof } : null,
  }
}

function difference(
  metadata: CheckpointMetadata,
  session: Pick<Session, 'clusterId'>,
  lane: Lane,
  identity: LogIdentity,
): string | null {
  if (metadata.incarnation !== identity.incarnation) {
    return `belongs to incarnation ${metadata.incarnation}, this log is ${identity.incarnation}`
  }
  if (metadata.stream !== lane.stream) return `belongs to stream ${metadata.stream}`
  if (metadata.cluster !== session.clusterId) {
    return `belongs to cluster ${metadata.cluster}, this is ${session.clusterId}`
  }
  return null
}

/** True for an answer that says that this producer may no longer write. */
export function isFenced(error: unknown): boolean {
  return error instanceof WireAnswerError && FENCED_ANSWERS.has(error.answer)
}
