/**
 * What one `recover` establishes and all rounds until the next error use: who writes (producer id and epoch), who
 * coordinates, where each stream goes. Nothing of it survives an error.
 */
import type { Clock } from '../clock.ts'
import { FencedError } from '../errors.ts'
import { FENCED_ANSWERS } from './answers.ts'
import { COORDINATOR_ANSWERS, type Patience, patiently } from './retry.ts'
import { findLeader, type Lane, lanesOf, type Route } from './routes.ts'
import { endedBefore, NEW_LEADER, truncated } from './truncation.ts'
import {
  type BrokerNode,
  type ClusterInfo,
  type KafkaWire,
  type Producer,
  WireAnswerError,
  type WriterIdentity,
} from './wire.ts'

export interface Session {
  readonly wire: KafkaWire
  readonly clusterId: string
  /** Of the group, and the transactional id where there are transactions. */
  readonly id: string
  producer: WriterIdentity
  groupCoordinator: BrokerNode
  /** By stream; `openRoutes` (checkpoints.ts) fills it in. */
  readonly routes: Map<string, Route>
  /** When the leaders and the topics' ids were looked up, monotonic, and how many connections had gone away by then. */
  looked: { readonly at: number; readonly lostConnections: number }
}

/** What is known of a session before anybody writes. */
export type KnownSession = Pick<Session, 'wire' | 'id' | 'clusterId' | 'groupCoordinator'>

/** One that writes transactions. */
export interface TransactionalSession extends Session {
  producer: Producer
  transactionCoordinator: BrokerNode
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

export async function openSession(
  wire: KafkaWire,
  clock: Clock,
  options: SessionOptions,
  cluster: ClusterInfo,
  former: FormerProducer | null,
  refuseToFence: (known: KnownSession) => Promise<void>,
  aboutToInit: () => void,
): Promise<TransactionalSession> {
  const { id } = options
  const looked = { at: clock.monotonic(), lostConnections: wire.lostConnections }
  const [known, groupCoordinator] = await Promise.all([
    findCoordinator(wire, clock, options, 'transaction'),
    findCoordinator(wire, clock, options, 'group'),
  ])
  const { clusterId } = cluster
  if (former !== null) await refuseTakeover(wire, known, former, 'at recovery')
  else await refuseToFence({ wire, id, clusterId, groupCoordinator })
  aboutToInit()
  const { producer, coordinator } = await initProducer(wire, clock, options, known)
  const routes = new Map<string, Route>()
  const session = { wire, clusterId, id, producer, groupCoordinator, routes, looked }
  return { ...session, transactionCoordinator: coordinator }
}

/** One without transactions: nobody is fenced, and nothing has to end first. */
export async function openFleetSession(
  wire: KafkaWire,
  clock: Clock,
  options: SessionOptions,
  cluster: ClusterInfo,
): Promise<Session> {
  const { id } = options
  const looked = { at: clock.monotonic(), lostConnections: wire.lostConnections }
  const [node] = cluster.nodes.values()
  if (node === undefined) throw new WireAnswerError('BROKER_NOT_AVAILABLE', 'InitProducerId')
  const [producer, groupCoordinator] = await Promise.all([
    patiently(clock, settling(options), () => wire.newProducerId(node)),
    findCoordinator(wire, clock, options, 'group'),
  ])
  return { wire, clusterId: cluster.clusterId, id, producer, groupCoordinator, routes: new Map(), looked }
}

/**
 * Looks for the leaders again.
 * @throws when a topic is another one now, or a new leader lacks what was acknowledged: that is for `recover` to judge
 */
export async function refreshLeaders(session: Session, clock: Clock): Promise<void> {
  const lanes = lanesOf(session)
  const looked = { at: clock.monotonic(), lostConnections: session.wire.lostConnections }
  const cluster = await session.wire.metadata([...new Set(lanes.map(({ topic }) => topic))])
  const found = lanes.map((lane) => ({ lane, ...findLeader(cluster, lane.topic, lane.partition) }))
  for (const { lane, topicId } of found) {
    if (topicId !== lane.topicId) throw new WireAnswerError('UNKNOWN_TOPIC_ID', `Metadata of ${lane.topic}`)
  }
  const moved = found.filter(({ lane, leaderEpoch }) => leaderEpoch !== lane.leaderEpoch)
  for (const { lane, leader } of found) lane.leader = leader
  const [first] = await truncatedUnder(
    session,
    clock,
    moved.map(({ lane }) => lane),
  )
  if (first !== undefined) {
    const what = `${first.topic}/${first.partition}, whose leader changed and lacks records that were acknowledged`
    throw new WireAnswerError('OFFSET_OUT_OF_RANGE', `OffsetForLeaderEpoch of ${what}`)
  }
  // only now: whoever looks again after an error has to ask the same leaders the same
  for (const { lane, leaderEpoch } of moved) lane.leaderEpoch = leaderEpoch
  session.looked = looked
}

/** Lanes that lack what the last checkpoint, or the round under way, has there. */
async function truncatedUnder(session: Session, clock: Clock, moved: readonly Lane[]): Promise<Lane[]> {
  const lanes = await truncated(session, clock, moved)
  // A transaction that loses records is aborted and sent again; without one, what was acknowledged is not.
  if (lanes.length > 0 || session.producer.transactionalId !== null) return lanes
  const written = moved
    .filter(({ at }) => at >= 0)
    .map((lane) => ({ lane, at: lane.at, epoch: lane.leaderEpoch }))
  const lost = await patiently(clock, NEW_LEADER, () => endedBefore(session.wire, written, 0))
  return lost.map(({ lane }) => lane)
}

export function settling({ transactionTimeoutMs }: SessionOptions): Patience {
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

/** True for an answer that says that this producer may no longer write. */
export function isFenced(error: unknown): boolean {
  return error instanceof WireAnswerError && FENCED_ANSWERS.has(error.answer)
}
