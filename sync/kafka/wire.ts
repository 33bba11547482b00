/**
 * What the Kafka upstream asks of a Kafka client: single requests, no state but connections. The library stands behind it, a
 * test puts a faulty one in front. An answer is Kafka's name for an error code, 'NONE' for success.
 */
import type { UpstreamError } from '../errors.ts'
import type { FetchedPartition, FetchRequest, Isolation } from './fetch-codec.ts'

export interface BrokerNode {
  readonly id: number
  readonly host: string
  readonly port: number
}

export interface TopicPartitionInfo {
  readonly answer: string
  readonly partition: number
  /** Node id; -1 when there is none. */
  readonly leader: number
  readonly leaderEpoch: number
}

export interface TopicInfo {
  readonly answer: string
  readonly topicId: string
  readonly partitions: readonly TopicPartitionInfo[]
}

export interface ClusterInfo {
  readonly clusterId: string
  readonly controller: number
  readonly nodes: ReadonlyMap<number, BrokerNode>
  readonly topics: ReadonlyMap<string, TopicInfo>
}

export interface NewTopic {
  readonly topic: string
  readonly partitions: number
  /** -1: the cluster's default. */
  readonly replicationFactor: number
  readonly configs: Readonly<Record<string, string>>
}

/** The identity under which a producer writes: answered by InitProducerId. */
export interface WriterIdentity {
  /** null: it writes without transactions, and nobody fences it. */
  readonly transactionalId: string | null
  readonly producerId: bigint
  readonly epoch: number
}

/** One that writes transactions: fenced by the next InitProducerId of its transactional id. */
export interface Producer extends WriterIdentity {
  readonly transactionalId: string
}

export interface TransactionInfo {
  /** Kafka's name: Empty, Ongoing, PrepareAbort, CompleteAbort, ... */
  readonly state: string
  readonly producerId: bigint
  readonly epoch: number
}

export interface FetchedOffset {
  readonly answer: string
  readonly topic: string
  readonly partition: number
  /** -1 when there is none. */
  readonly offset: number
  readonly metadata: string
}

export interface CommittedOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly metadata: string
}

export interface ProducePart {
  readonly topic: string
  readonly partition: number
  /** One RecordBatch. */
  readonly bytes: Buffer
}

export interface ProduceAnswer {
  readonly topic: string
  readonly partition: number
  readonly answer: string
  readonly message: string | null
  /** Where the batch stands in the topic. */
  readonly baseOffset: number
}

/** Where a partition's log begins and ends. `stable` is where the first open transaction begins, or `end`. */
export interface LogBounds {
  readonly start: number
  readonly stable: number
  readonly end: number
}

export interface EpochAsked {
  readonly topic: string
  readonly partition: number
  readonly epoch: number
}

export type TopicPartitions = ReadonlyMap<string, readonly number[]>

export interface ListedOffset {
  readonly answer: string
  readonly topic: string
  readonly partition: number
  /** -1 when no record is as young as the time asked for. */
  readonly offset: number
}

/** What reading takes. Every method throws WireAnswerError or WireConnectionError. */
export interface FetchWire {
  /** Asks any broker that can be reached; never creates a topic. */
  metadata(topics: readonly string[]): Promise<ClusterInfo>
  /**
   * @param when ms since 1970, or EARLIEST or LATEST
   * @param isolation under read_committed the latest is the last stable offset
   */
  listOffsets(
    node: BrokerNode,
    isolation: Isolation,
    partitions: TopicPartitions,
    when: number,
  ): Promise<ListedOffset[]>
  fetch(node: BrokerNode, request: FetchRequest): Promise<FetchedFrom[]>
  /** Breaks all connections at once; what is under way fails. */
  close(): void
}

/** A partition's part of a Fetch answer. */
export interface FetchedFrom extends FetchedPartition {
  readonly answer: string
}

export const EARLIEST = -2
export const LATEST = -1

/** Every method throws WireAnswerError or WireConnectionError. */
export interface KafkaWire extends FetchWire {
  /** How many connections have gone away by themselves; a request opens the next one. */
  readonly lostConnections: number
  /** @returns an answer for each topic that was not made, with the cluster's words */
  createTopics(
    node: BrokerNode,
    topics: readonly NewTopic[],
  ): Promise<Map<string, { answer: string; message: string }>>
  /** @returns the answer of a partition's leader when it is asked where the partition ends */
  askLeader(node: BrokerNode, topic: string, partition: number): Promise<string>
  bounds(node: BrokerNode, topic: string, partition: number): Promise<LogBounds>
  /**
   * @returns for each of `asked`, where the leader's log of its epoch ends: what was written in it from there on is gone.
   * -1: it knows no such epoch
   */
  epochEnds(node: BrokerNode, asked: readonly EpochAsked[]): Promise<number[]>
  findCoordinator(kind: 'group' | 'transaction', key: string): Promise<BrokerNode>
  initProducerId(node: BrokerNode, transactionalId: string, timeoutMs: number): Promise<Producer>
  /** A producer id that nobody had, without transactions; any broker gives it. */
  newProducerId(node: BrokerNode): Promise<WriterIdentity>
  describeTransaction(node: BrokerNode, transactionalId: string): Promise<TransactionInfo>
  /**
   * @param pending `wait`: only offsets that no open transaction can change any more, the answer says where one can. `ignore`:
   * what was committed last, whatever is under way
   */
  offsetFetch(
    node: BrokerNode,
    group: string,
    partitions: TopicPartitions,
    pending: 'wait' | 'ignore',
  ): Promise<FetchedOffset[]>
  addPartitionsToTxn(node: BrokerNode, producer: Producer, partitions: TopicPartitions): Promise<void>
  addOffsetsToTxn(node: BrokerNode, producer: Producer, group: string): Promise<void>
  /** Waits for all in-sync replicas. The batches may be changed once it has answered. */
  produce(
    node: BrokerNode,
    writer: WriterIdentity,
    parts: readonly ProducePart[],
    timeoutMs: number,
  ): Promise<ProduceAnswer[]>
  txnOffsetCommit(
    node: BrokerNode,
    producer: Producer,
    group: string,
    offsets: readonly CommittedOffset[],
  ): Promise<void>
  endTxn(node: BrokerNode, producer: Producer, commit: boolean): Promise<void>
  /** Outside of transactions. */
  offsetCommit(node: BrokerNode, group: string, offsets: readonly CommittedOffset[]): Promise<void>
}

/** The broker answered, and the answer is an error. */
export class WireAnswerError extends Error {
  readonly answer: string
  readonly during: string
  /** The topic that it is about, where it is about one alone. */
  readonly topic: string | null
  constructor(answer: string, during: string, message?: string, topic: string | null = null) {
    super(message ?? `${during}: ${answer}`)
    this.answer = answer
    this.during = during
    this.topic = topic
  }
}

export type ConnectionFault =
  | 'refused'
  | 'name'
  | 'route'
  | 'timeout'
  | 'broken'
  | 'auth'
  | 'tls'
  | 'protocol'

/** No answer: whether the request took effect is not known. */
export class WireConnectionError extends Error {
  readonly fault: ConnectionFault
  /** host:port */
  readonly address: string
  /** The address came from the cluster and not from the configuration. */
  readonly advertised: boolean
  /** The error for people, where more is known than the fault says; `place` names the address. */
  readonly explained: ((place: string) => UpstreamError) | null
  constructor(
    fault: ConnectionFault,
    address: string,
    advertised: boolean,
    message: string,
    cause: unknown,
    explained: ((place: string) => UpstreamError) | null = null,
  ) {
    super(message, { cause })
    this.explained = explained
    this.fault = fault
    this.address = address
    this.advertised = advertised
  }
}
