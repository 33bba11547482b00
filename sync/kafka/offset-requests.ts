/** The requests for a group's offsets: asked, and committed with a transaction or by themselves. */
import type { Requests } from './requests.ts'
import type {
  BrokerNode,
  CommittedOffset,
  FetchedOffset,
  KafkaWire,
  Producer,
  TopicPartitions,
} from './wire.ts'

/** Offsets that no member of the group commits: generation, member, instance. */
const NO_MEMBER = [-1, '', null] as const

export type OffsetWire = Pick<KafkaWire, 'offsetFetch' | 'txnOffsetCommit' | 'offsetCommit'>

export class OffsetRequests implements OffsetWire {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
  }

  async offsetFetch(
    node: BrokerNode,
    group: string,
    partitions: TopicPartitions,
    pending: 'wait' | 'ignore',
  ): Promise<FetchedOffset[]> {
    const topics = [...partitions].map(([name, indexes]) => ({ name, partitionIndexes: [...indexes] }))
    const { offsetFetchV8 } = this.#requests.codecs
    const response = await this.#requests.ask(
      node,
      offsetFetchV8.api,
      [{ groupId: group, memberEpoch: -1, topics }],
      pending === 'wait',
    )
    const [found] = response.groups
    if (found === undefined) return []
    this.#requests.check('OffsetFetch', found.errorCode)
    return found.topics.flatMap((topic) =>
      topic.partitions.map((partition) => ({
        answer: this.#requests.name(partition.errorCode),
        topic: topic.name,
        partition: partition.partitionIndex,
        offset: Number(partition.committedOffset),
        metadata: partition.metadata ?? '',
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
    const { api } = this.#requests.codecs.txnOffsetCommitV3
    const response = await this.#requests.ask(
      node,
      api,
      transactionalId,
      group,
      producerId,
      epoch,
      ...NO_MEMBER,
      topics,
    )
    this.#requests.checkTopics('TxnOffsetCommit', response.topics.map(codesOf))
  }

  async offsetCommit(node: BrokerNode, group: string, offsets: readonly CommittedOffset[]): Promise<void> {
    const { api } = this.#requests.codecs.offsetCommitV8
    const response = await this.#requests.ask(node, api, group, ...NO_MEMBER, offsetsByTopic(offsets))
    this.#requests.checkTopics('OffsetCommit', response.topics.map(codesOf))
  }
}

function codesOf({ name, partitions }: { name: string; partitions: readonly { errorCode: number }[] }) {
  return { name, codes: partitions.map(({ errorCode }) => errorCode) }
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
