/** The requests that tell and make topics. */
import type { Requests } from './requests.ts'
import type { BrokerNode, ClusterInfo, KafkaWire, NewTopic } from './wire.ts'

export type TopicWire = Pick<KafkaWire, 'metadata' | 'createTopics'>

export class TopicRequests implements TopicWire {
  readonly #requests: Requests
  /** What the cluster is given to make a topic. */
  readonly #requestMs: number

  constructor(requests: Requests, requestMs: number) {
    this.#requests = requests
    this.#requestMs = requestMs
  }

  async metadata(topics: readonly string[]): Promise<ClusterInfo> {
    const response = await this.#requests.askAny(
      this.#requests.codecs.metadataV12.api,
      [...topics],
      false,
      false,
    )
    const nodes = new Map(
      response.brokers.map(({ nodeId, host, port }) => [nodeId, { id: nodeId, host, port }] as const),
    )
    this.#requests.known = [...nodes.values()]
    const infos = response.topics.map((topic) => {
      const partitions = topic.partitions.map((partition) => ({
        answer: this.#requests.name(partition.errorCode),
        partition: partition.partitionIndex,
        leader: partition.leaderId,
        leaderEpoch: partition.leaderEpoch,
      }))
      const info = { answer: this.#requests.name(topic.errorCode), topicId: topic.topicId, partitions }
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
    const { createTopicsV7 } = this.#requests.codecs
    const response = await this.#requests.ask(node, createTopicsV7.api, specs, this.#requestMs, false)
    const refused = response.topics.filter(({ errorCode }) => errorCode !== 0)
    return new Map(
      refused.map(({ name, errorCode, errorMessage }) => {
        const answer = this.#requests.name(errorCode)
        return [name, { answer, message: errorMessage ?? answer }] as const
      }),
    )
  }
}
