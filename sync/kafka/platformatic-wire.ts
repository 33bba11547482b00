/**
 * KafkaWire on the low-level exports of @platformatic/kafka, which is loaded when the first wire is opened: an edge
 * without Kafka does not pay for it. Its Producer is not used: KAFKA.md lists why (PID 0 instead of -1, brokers-only
 * AddPartitionsToTxn v4, sequences in memory without wrap).
 */
import type { Connection } from '@platformatic/kafka'
import { type Clock, systemClock } from '../clock.ts'
import { Connections, type Link } from './connections.ts'
import { type Credentials, noCredentials } from './credentials.ts'
import {
  decodeFetch,
  encodeFetch,
  FETCH_API,
  FETCH_VERSION,
  type FetchRequest,
  type Isolation,
} from './fetch-codec.ts'
import { type Library, loadLibrary } from './library.ts'
import type { LinkMeter } from './link-meter.ts'
import { LogRequests } from './log-requests.ts'
import {
  type BrokerNode,
  type ClusterInfo,
  type CommittedOffset,
  type EpochAsked,
  type FetchedFrom,
  type FetchedLog,
  type FetchedOffset,
  type KafkaWire,
  LATEST,
  type ListedOffset,
  type LogBounds,
  type NewTopic,
  type ProduceAnswer,
  type ProducePart,
  type Producer,
  type TopicPartitions,
  type TransactionInfo,
  WireAnswerError,
  WireConnectionError,
  type WriterIdentity,
} from './wire.ts'

export interface WireOptions {
  readonly clientId: string
  readonly bootstrap: readonly { readonly host: string; readonly port: number }[]
  /** For a connection to stand, and for an answer to come. */
  readonly connectMs: number
  readonly requestMs: number
  /** TLS and login; none by default. */
  readonly credentials?: Credentials
  readonly clock?: Clock
  /** As in connections.ts. */
  readonly onRenewFailed?: (error: unknown) => void
  readonly onRenewed?: () => void
  /** Told of each connection that is used. */
  readonly meter?: LinkMeter
}

const PRODUCE_API = 0
const PRODUCE_VERSION = 9
const ACKS_ALL = -1
const NO_TRANSACTION_MS = 2 ** 31 - 1
/** Kafka keeps the last five batches of a producer: with more in flight a retry could not be recognised. */
const IN_FLIGHT_MAX = 5
/** Offsets that no member of the group commits: generation, member, instance. */
const NO_MEMBER = [-1, '', null] as const
const LATEST_KEY_TYPE = { group: 0, transaction: 1 } as const

export async function openWire(options: WireOptions): Promise<KafkaWire> {
  return new PlatformaticWire(await loadLibrary(), options)
}

type ProduceResponse = ReturnType<Library['produceV9']['parseResponse']>

interface Api<Args extends unknown[], Response> {
  async(connection: Connection, ...args: Args): Promise<Response>
}

class PlatformaticWire implements KafkaWire {
  readonly #library: Library
  readonly #options: WireOptions
  readonly #connections: Connections
  readonly #log: LogRequests
  /** Brokers that the cluster named: asked when no configured one answers. */
  #known: readonly BrokerNode[] = []

  constructor(library: Library, options: WireOptions) {
    this.#library = library
    this.#options = options
    const { clientId, clock = systemClock, credentials = noCredentials(clock) } = options
    this.#connections = new Connections(library.Connection, {
      clientId,
      connection: {
        connectTimeout: options.connectMs,
        requestTimeout: options.requestMs,
        maxInflights: IN_FLIGHT_MAX,
      },
      configured: new Set(options.bootstrap.map(({ host, port }) => `${host}:${port}`)),
      credentials,
      clock,
      onRenewFailed: options.onRenewFailed ?? (() => {}),
      onRenewed: options.onRenewed ?? (() => {}),
    })
    this.#log = new LogRequests(
      library,
      (node, api, ...args) => this.#ask(node, api as never, ...args),
      (node, ...request) => this.#exchange(node, ...request),
    )
  }

  get lostConnections(): number {
    return this.#connections.lost
  }

  async metadata(topics: readonly string[]): Promise<ClusterInfo> {
    const response = await this.#askAny(this.#library.metadataV12.api, [...topics], false, false)
    const nodes = new Map(
      response.brokers.map(({ nodeId, host, port }) => [nodeId, { id: nodeId, host, port }] as const),
    )
    this.#known = [...nodes.values()]
    const infos = response.topics.map((topic) => {
      const partitions = topic.partitions.map((partition) => ({
        answer: this.#name(partition.errorCode),
        partition: partition.partitionIndex,
        leader: partition.leaderId,
        leaderEpoch: partition.leaderEpoch,
      }))
      const info = { answer: this.#name(topic.errorCode), topicId: topic.topicId, partitions }
      return [topic.name ?? '', info] as const
    })
    const { clusterId, controllerId } = response
    return { clusterId: clusterId ?? '', controller: controllerId, nodes, topics: new Map(infos) }
  }

  async createTopics(node: BrokerNode, topics: readonly NewTopic[]) {
    const specs = topics.map(({ topic, partitions, replicationFactor, configs }) => ({
      name: topic,
      numPartitions: partitions,
      replicationFactor,
      assignments: [],
      configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
    }))
    const { createTopicsV7 } = this.#library
    const response = await this.#ask(node, createTopicsV7.api, specs, this.#options.requestMs, false)
    const refused = response.topics.filter(({ errorCode }) => errorCode !== 0)
    return new Map(
      refused.map(({ name, errorCode, errorMessage }) => {
        const answer = this.#name(errorCode)
        return [name, { answer, message: errorMessage ?? answer }] as const
      }),
    )
  }

  async askLeader(node: BrokerNode, topic: string, partition: number): Promise<string> {
    const [listed] = await this.listOffsets(node, 'read_uncommitted', new Map([[topic, [partition]]]), LATEST)
    return listed?.answer ?? this.#name(-1)
  }

  bounds(node: BrokerNode, topic: string, partition: number): Promise<LogBounds> {
    return this.#log.bounds(node, topic, partition)
  }

  epochEnds(node: BrokerNode, asked: readonly EpochAsked[]): Promise<number[]> {
    return this.#log.epochEnds(node, asked)
  }

  fetchLog(
    node: BrokerNode,
    topic: string,
    partition: number,
    offset: number,
    bytesMax: number,
  ): Promise<FetchedLog> {
    return this.#log.fetch(node, topic, partition, offset, bytesMax)
  }

  async findCoordinator(kind: 'group' | 'transaction', key: string): Promise<BrokerNode> {
    const { findCoordinatorV4 } = this.#library
    const response = await this.#askAny(findCoordinatorV4.api, LATEST_KEY_TYPE[kind], [key])
    const [found] = response.coordinators
    if (found === undefined) throw new WireAnswerError('COORDINATOR_NOT_AVAILABLE', 'FindCoordinator')
    this.#check('FindCoordinator', found.errorCode)
    return { id: found.nodeId, host: found.host, port: found.port }
  }

  async initProducerId(node: BrokerNode, transactionalId: string, timeoutMs: number): Promise<Producer> {
    const { initProducerIdV4 } = this.#library
    // -1, -1: "whoever I was before". The library's own producer says 0, 0, which Kafka takes for producer 0.
    const response = await this.#ask(node, initProducerIdV4.api, transactionalId, timeoutMs, -1n, -1)
    this.#check('InitProducerId', response.errorCode)
    return { transactionalId, producerId: response.producerId, epoch: response.producerEpoch }
  }

  async newProducerId(node: BrokerNode): Promise<WriterIdentity> {
    const { initProducerIdV4 } = this.#library
    // The timeout is that of transactions, which it does not begin.
    const response = await this.#ask(node, initProducerIdV4.api, null, NO_TRANSACTION_MS, -1n, -1)
    this.#check('InitProducerId', response.errorCode)
    return { transactionalId: null, producerId: response.producerId, epoch: response.producerEpoch }
  }

  async describeTransaction(node: BrokerNode, transactionalId: string): Promise<TransactionInfo> {
    const { describeTransactionsV0 } = this.#library
    const response = await this.#ask(node, describeTransactionsV0.api, [transactionalId])
    const [found] = response.transactionStates
    if (found === undefined) throw new WireAnswerError('TRANSACTIONAL_ID_NOT_FOUND', 'DescribeTransactions')
    this.#check('DescribeTransactions', found.errorCode)
    return { state: found.transactionState, producerId: found.producerId, epoch: found.producerEpoch }
  }

  async offsetFetch(
    node: BrokerNode,
    group: string,
    partitions: TopicPartitions,
    pending: 'wait' | 'ignore',
  ): Promise<FetchedOffset[]> {
    const topics = [...partitions].map(([name, indexes]) => ({ name, partitionIndexes: [...indexes] }))
    const { offsetFetchV8 } = this.#library
    const response = await this.#ask(
      node,
      offsetFetchV8.api,
      [{ groupId: group, memberEpoch: -1, topics }],
      pending === 'wait',
    )
    const [found] = response.groups
    if (found === undefined) return []
    this.#check('OffsetFetch', found.errorCode)
    return found.topics.flatMap((topic) =>
      topic.partitions.map((partition) => ({
        answer: this.#name(partition.errorCode),
        topic: topic.name,
        partition: partition.partitionIndex,
        offset: Number(partition.committedOffset),
        metadata: partition.metadata ?? '',
      })),
    )
  }

  async addPartitionsToTxn(node: BrokerNode, producer: Producer, partitions: TopicPartitions): Promise<void> {
    const topics = [...partitions].map(([name, indexes]) => ({ name, partitions: [...indexes] }))
    const { transactionalId, producerId, epoch } = producer
    const transaction = { transactionalId, producerId, producerEpoch: epoch, verifyOnly: false, topics }
    const { addPartitionsToTxnV3 } = this.#library
    const response = await this.#ask(node, addPartitionsToTxnV3.api, [transaction])
    for (const result of response.resultsByTransaction) {
      for (const topic of result.topicResults) {
        this.#checkFirst(
          'AddPartitionsToTxn',
          topic.name,
          topic.resultsByPartition,
          (p) => p.partitionErrorCode,
        )
      }
    }
  }

  async addOffsetsToTxn(node: BrokerNode, producer: Producer, group: string): Promise<void> {
    const { transactionalId, producerId, epoch } = producer
    const { addOffsetsToTxnV3 } = this.#library
    const response = await this.#ask(node, addOffsetsToTxnV3.api, transactionalId, producerId, epoch, group)
    this.#check('AddOffsetsToTxn', response.errorCode)
  }

  async produce(
    node: BrokerNode,
    writer: WriterIdentity,
    parts: readonly ProducePart[],
    timeoutMs: number,
  ): Promise<ProduceAnswer[]> {
    const byTopic = new Map<string, ProducePart[]>()
    for (const part of parts) byTopic.set(part.topic, [...(byTopic.get(part.topic) ?? []), part])
    const body = this.#library.Writer.create()
      .appendString(writer.transactionalId)
      .appendInt16(ACKS_ALL)
      .appendInt32(timeoutMs)
      .appendArray([...byTopic], (writer, [topic, items]) => {
        writer.appendString(topic).appendArray(items, (inner, part) => {
          inner.appendInt32(part.partition).appendBytes(part.bytes)
        })
      })
      .appendTaggedFields()
    const response = await this.#send(node, body.buffers)
    return response.responses.flatMap((topic) =>
      topic.partitionResponses.map((partition) => ({
        topic: topic.name,
        partition: partition.index,
        answer: this.#name(partition.errorCode),
        message: partition.recordErrors[0]?.batchIndexErrorMessage ?? partition.errorMessage ?? null,
        baseOffset: Number(partition.baseOffset),
      })),
    )
  }

  async txnOffsetCommit(
    node: BrokerNode,
    producer: Producer,
    group: string,
    offsets: readonly CommittedOffset[],
  ): Promise<void> {
    const topics = offsetsByTopic(offsets)
    const { transactionalId, producerId, epoch } = producer
    const { api } = this.#library.txnOffsetCommitV3
    const response = await this.#ask(
      node,
      api,
      transactionalId,
      group,
      producerId,
      epoch,
      ...NO_MEMBER,
      topics,
    )
    for (const topic of response.topics) {
      this.#checkFirst('TxnOffsetCommit', topic.name, topic.partitions, (p) => p.errorCode)
    }
  }

  async offsetCommit(node: BrokerNode, group: string, offsets: readonly CommittedOffset[]): Promise<void> {
    const { api } = this.#library.offsetCommitV8
    const response = await this.#ask(node, api, group, ...NO_MEMBER, offsetsByTopic(offsets))
    for (const topic of response.topics) {
      this.#checkFirst('OffsetCommit', topic.name, topic.partitions, (p) => p.errorCode)
    }
  }

  async endTxn(node: BrokerNode, producer: Producer, commit: boolean): Promise<void> {
    const { transactionalId, producerId, epoch } = producer
    const response = await this.#ask(
      node,
      this.#library.endTxnV3.api,
      transactionalId,
      producerId,
      epoch,
      commit,
    )
    this.#check('EndTxn', response.errorCode)
  }

  async listOffsets(
    node: BrokerNode,
    isolation: Isolation,
    partitions: TopicPartitions,
    when: number,
  ): Promise<ListedOffset[]> {
    const ask = { currentLeaderEpoch: -1, timestamp: BigInt(when) }
    const topics = [...partitions].map(([name, indexes]) => ({
      name,
      partitions: indexes.map((partitionIndex) => ({ partitionIndex, ...ask })),
    }))
    const { listOffsetsV7 } = this.#library
    const response = await this.#ask(
      node,
      listOffsetsV7.api,
      -1,
      isolation === 'read_committed' ? 1 : 0,
      topics,
    )
    return response.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode, offset }) => {
        return {
          answer: this.#name(errorCode),
          topic: name,
          partition: partitionIndex,
          offset: Number(offset),
        }
      }),
    )
  }

  async fetch(node: BrokerNode, request: FetchRequest): Promise<FetchedFrom[]> {
    const { frames } = await this.#link(node)
    try {
      const body = await frames.request(FETCH_API, FETCH_VERSION, [encodeFetch(request)])
      const { errorCode, partitions } = decodeFetch(body)
      this.#check('Fetch', errorCode)
      return partitions.map((partition) => ({ ...partition, answer: this.#name(partition.errorCode) }))
    } catch (error) {
      if (error instanceof WireAnswerError) throw error
      throw await this.#connections.explain(`${node.host}:${node.port}`, error)
    }
  }

  close(): void {
    this.#connections.close()
  }

  // -- asking -----------------------------------------------------------------------------------------------------------

  /** The first broker that can be reached answers: the configured ones, then those that the cluster named. */
  async #askAny<Args extends unknown[], Response>(
    api: Api<Args, Response>,
    ...args: Args
  ): Promise<Response> {
    const configured = this.#options.bootstrap.map(({ host, port }) => ({ id: -1, host, port }))
    let first: unknown
    for (const node of [...configured, ...this.#known]) {
      try {
        return await this.#ask(node, api, ...args)
      } catch (error) {
        if (!(error instanceof WireConnectionError)) throw error
        first ??= error
      }
    }
    throw first
  }

  async #ask<Args extends unknown[], Response>(
    node: BrokerNode,
    api: Api<Args, Response>,
    ...args: Args
  ): Promise<Response> {
    const { connection } = await this.#link(node)
    try {
      return await api.async(connection, ...args)
    } catch (error) {
      // The library throws when any part of an answer is an error; the answer says which.
      const { response } = error as { response?: Response }
      if (response !== undefined) return response
      throw await this.#connections.explain(`${node.host}:${node.port}`, error)
    }
  }

  async #link(node: { readonly host: string; readonly port: number }): Promise<Link> {
    const link = await this.#connections.get(node.host, node.port)
    this.#options.meter?.add(link.frames)
    return link
  }

  /** A Produce request, its batches uncopied. */
  async #send(node: BrokerNode, pieces: readonly Buffer[]): Promise<ProduceResponse> {
    const { frames } = await this.#link(node)
    const { Reader, produceV9 } = this.#library
    try {
      const answer = await frames.request(PRODUCE_API, PRODUCE_VERSION, pieces)
      return produceV9.parseResponse(0, PRODUCE_API, PRODUCE_VERSION, Reader.from(answer))
    } catch (error) {
      const { response } = error as { response?: ProduceResponse }
      if (response !== undefined) return response
      throw await this.#connections.explain(`${node.host}:${node.port}`, error)
    }
  }

  async #exchange(node: BrokerNode, apiKey: number, apiVersion: number, body: readonly Buffer[]) {
    const { frames } = await this.#connections.get(node.host, node.port)
    try {
      return await frames.request(apiKey, apiVersion, body)
    } catch (error) {
      throw await this.#connections.explain(`${node.host}:${node.port}`, error)
    }
  }

  #name(code: number): string {
    return this.#library.protocolErrorsCodesById[code as 0] ?? `error ${code}`
  }

  #check(during: string, code: number): void {
    if (code !== 0) throw new WireAnswerError(this.#name(code), during)
  }

  #checkFirst<T>(during: string, topic: string, items: readonly T[], code: (item: T) => number): void {
    const failed = items.map(code).filter((value) => value !== 0)
    // Kafka marks the partitions that were not at fault so, next to the one that was.
    const first = failed.find((value) => this.#name(value) !== 'OPERATION_NOT_ATTEMPTED') ?? failed[0]
    if (first !== undefined) {
      throw new WireAnswerError(this.#name(first), during, `${during} of ${topic}: ${this.#name(first)}`)
    }
  }
}

function offsetsByTopic(offsets: readonly CommittedOffset[]) {
  const byTopic = new Map<string, CommittedOffset[]>()
  for (const item of offsets) byTopic.set(item.topic, [...(byTopic.get(item.topic) ?? []), item])
  return [...byTopic].map(([name, items]) => ({
    name,
    partitions: items.map(({ partition, offset, metadata }) => ({
      partitionIndex: partition,
      committedOffset: BigInt(offset),
      committedLeaderEpoch: -1,
      committedMetadata: metadata,
    })),
  }))
}
