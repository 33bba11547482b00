/** The requests that read a topic's log: where it begins and ends, where an epoch of its leaders ends, and what is in it. */
import {
  decodeFetch,
  encodeFetch,
  FETCH_API,
  FETCH_VERSION,
  type FetchRequest,
  type Isolation,
} from './fetch-codec.ts'
import type { Requests } from './requests.ts'
import {
  type BrokerNode,
  EARLIEST,
  type EpochAsked,
  type FetchedFrom,
  type KafkaWire,
  LATEST,
  type ListedOffset,
  type LogBounds,
  type TopicPartitions,
  WireAnswerError,
} from './wire.ts'

/** Not a replica, and no epoch to be checked. */
const NONE = -1
/** Kafka's code for an answer that it did not give. */
const MISSING = -1
const EPOCH_API = 23
const EPOCH_VERSION = 4

export type LogWire = Pick<KafkaWire, 'listOffsets' | 'bounds' | 'askLeader' | 'epochEnds' | 'fetch'>

export class LogRequests implements LogWire {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
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
    const { listOffsetsV7 } = this.#requests.codecs
    const response = await this.#requests.ask(
      node,
      listOffsetsV7.api,
      -1,
      isolation === 'read_committed' ? 1 : 0,
      topics,
    )
    return response.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode, offset }) => {
        return {
          answer: this.#requests.name(errorCode),
          topic: name,
          partition: partitionIndex,
          offset: Number(offset),
        }
      }),
    )
  }

  async bounds(node: BrokerNode, topic: string, partition: number): Promise<LogBounds> {
    const [start, stable, end] = await Promise.all([
      this.#offset(node, topic, partition, EARLIEST, 'read_uncommitted'),
      this.#offset(node, topic, partition, LATEST, 'read_committed'),
      this.#offset(node, topic, partition, LATEST, 'read_uncommitted'),
    ])
    return { start, stable, end }
  }

  async askLeader(node: BrokerNode, topic: string, partition: number): Promise<string> {
    const [listed] = await this.listOffsets(node, 'read_uncommitted', new Map([[topic, [partition]]]), LATEST)
    return listed?.answer ?? this.#requests.name(MISSING)
  }

  async epochEnds(node: BrokerNode, asked: readonly EpochAsked[]): Promise<number[]> {
    const { offsetForLeaderEpochV4, Reader } = this.#requests.codecs
    const topics = [...new Set(asked.map(({ topic }) => topic))].map((name) => {
      const partitions = asked
        .filter(({ topic }) => topic === name)
        .map(({ partition, epoch }) => ({
          partitionIndex: partition,
          currentLeaderEpoch: NONE,
          leaderEpoch: epoch,
        }))
      return { name, partitions }
    })
    const request = offsetForLeaderEpochV4.createRequest(NONE, topics)
    const found = await this.#requests.exchange(node, EPOCH_API, EPOCH_VERSION, request.buffers, (answer) => {
      const reader = Reader.from(answer)
      reader.readInt32() // throttle time
      const parts = reader.readArray((r) => {
        const topic = r.readString()
        // The library's own parser takes the partition for the error: it reads the two in the other order.
        return r.readArray((inner) => ({
          topic,
          code: inner.readInt16(),
          partition: inner.readInt32(),
          epoch: inner.readInt32(),
          end: Number(inner.readInt64()),
        }))
      })
      return parts.flat()
    })
    return asked.map(({ topic, partition }) => {
      const one = found.find((other) => other.topic === topic && other.partition === partition)
      this.#requests.check('OffsetForLeaderEpoch', one?.code ?? MISSING)
      return one!.end
    })
  }

  async fetch(node: BrokerNode, request: FetchRequest): Promise<FetchedFrom[]> {
    const body = [encodeFetch(request)]
    const { errorCode, partitions } = await this.#requests.exchange(
      node,
      FETCH_API,
      FETCH_VERSION,
      body,
      decodeFetch,
    )
    this.#requests.check('Fetch', errorCode)
    return partitions.map((partition) => ({
      ...partition,
      answer: this.#requests.name(partition.errorCode),
    }))
  }

  async #offset(
    node: BrokerNode,
    topic: string,
    partition: number,
    when: number,
    isolation: Isolation,
  ): Promise<number> {
    const [found] = await this.listOffsets(node, isolation, new Map([[topic, [partition]]]), when)
    const answer = found?.answer ?? this.#requests.name(MISSING)
    if (answer !== 'NONE') throw new WireAnswerError(answer, 'ListOffsets')
    return found!.offset
  }
}
