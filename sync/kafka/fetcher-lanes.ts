/** The partitions that a fetcher reads, and who leads them. */
import { partitionKey } from '../../broker/index.ts'
import { TopicNotAllowedError, TopicOffsetGoneError, TopicRecreatedError } from '../errors.ts'
import type { Isolation } from './fetch-codec.ts'
import type { FetchFrom } from './fetcher.ts'
import {
  type BrokerNode,
  EARLIEST,
  type FetchWire,
  LATEST,
  type TopicInfo,
  type TopicPartitions,
  WireAnswerError,
} from './wire.ts'

export interface Lane {
  readonly topic: string
  readonly partition: number
  readonly until: number
  /** Empty until metadata has been seen; then it stays. */
  topicId: string
  leader: BrokerNode | null
  leaderEpoch: number
  position: number
  /** A Fetch for it is on its way. */
  asked: boolean
  done: boolean
  /** The error in the last answer. */
  trouble: string | null
  /** Answers in a row that brought nothing although the topic goes on. */
  empty: number
}

/** The leader is moving, starting, or behind; or a batch was damaged on its way. */
export const PASSING_ANSWERS: ReadonlySet<string> = new Set([
  'CORRUPT_MESSAGE',
  'FENCED_LEADER_EPOCH',
  'KAFKA_STORAGE_ERROR',
  'LEADER_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'NOT_LEADER_OR_FOLLOWER',
  'OFFSET_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'REQUEST_TIMED_OUT',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
])
/** The topic may be another one now: the next metadata tells. */
export const RECREATED_ANSWERS: ReadonlySet<string> = new Set(['INCONSISTENT_TOPIC_ID', 'UNKNOWN_TOPIC_ID'])

export function newLane(from: FetchFrom): Lane {
  const { topic, topicId = '', partition, offset, until = Number.POSITIVE_INFINITY } = from
  return {
    topic,
    partition,
    until,
    topicId,
    leader: null,
    leaderEpoch: -1,
    position: offset,
    asked: false,
    done: offset >= until,
    trouble: null,
    empty: 0,
  }
}

/** Leaders as one metadata answer tells them. */
export class LeaderMap {
  readonly #wire: FetchWire

  constructor(wire: FetchWire) {
    this.#wire = wire
  }

  async topic(topic: string): Promise<TopicInfo> {
    const { topics } = await this.#wire.metadata([topic])
    return checked(topic, topics.get(topic))
  }

  /** @throws TopicRecreatedError */
  async find(lanes: readonly Lane[]): Promise<void> {
    const names = new Set(lanes.filter(({ done }) => !done).map(({ topic }) => topic))
    const cluster = await this.#wire.metadata([...names])
    for (const lane of lanes) {
      if (lane.done) continue
      const { topicId, partitions } = checked(lane.topic, cluster.topics.get(lane.topic))
      if (lane.topicId !== '' && lane.topicId !== topicId) throw new TopicRecreatedError(lane.topic)
      const found = partitions.find(({ partition }) => partition === lane.partition)
      const during = `Metadata of ${lane.topic}/${lane.partition}`
      if (found === undefined) throw new WireAnswerError('UNKNOWN_TOPIC_OR_PARTITION', during)
      const leader = cluster.nodes.get(found.leader)
      if (leader === undefined) throw new WireAnswerError('LEADER_NOT_AVAILABLE', during)
      lane.topicId = topicId
      lane.leader = leader
      lane.leaderEpoch = found.leaderEpoch
    }
  }

  byLeader(lanes: readonly Lane[]): [BrokerNode, Lane[]][] {
    const led = new Map<number, [BrokerNode, Lane[]]>()
    for (const lane of lanes) {
      if (lane.done || lane.leader === null) continue
      const entry = led.get(lane.leader.id)
      if (entry === undefined) led.set(lane.leader.id, [lane.leader, [lane]])
      else entry[1].push(lane)
    }
    return [...led.values()]
  }

  async offsets(topics: TopicPartitions, isolation: Isolation, when: number): Promise<Map<string, number>> {
    const lanes = [...topics].flatMap(([topic, partitions]) =>
      partitions.map((partition) => newLane({ topic, partition, offset: 0 })),
    )
    await this.find(lanes)
    const answers = await Promise.all(
      this.byLeader(lanes).map(([node, led]) => {
        const asked = new Map<string, number[]>()
        for (const { topic, partition } of led) asked.set(topic, [...(asked.get(topic) ?? []), partition])
        return this.#wire.listOffsets(node, isolation, asked, when)
      }),
    )
    const offsets = new Map<string, number>()
    for (const { answer, topic, partition, offset } of answers.flat()) {
      if (answer !== 'NONE') throw new WireAnswerError(answer, `ListOffsets of ${topic}/${partition}`)
      offsets.set(partitionKey(topic, partition), offset)
    }
    return offsets
  }
}

function checked(topic: string, info: TopicInfo | undefined): TopicInfo {
  const answer = info?.answer ?? 'UNKNOWN_TOPIC_OR_PARTITION'
  if (answer === 'TOPIC_AUTHORIZATION_FAILED') {
    const hint = `allow it: kafka-acls.sh --add --operation Describe --operation Read --topic ${topic} --allow-principal User:NAME`
    throw new TopicNotAllowedError(topic, 'this user may not read it', hint)
  }
  if (info === undefined || answer !== 'NONE') throw new WireAnswerError(answer, `Metadata of ${topic}`)
  return info
}

/** What is to be said of a position outside of what the topic holds. */
export async function offsetGone(
  wire: FetchWire,
  isolation: Isolation,
  topics: TopicPartitions,
  { topic, partition, position }: Lane,
): Promise<TopicOffsetGoneError> {
  const leaders = new LeaderMap(wire)
  const key = partitionKey(topic, partition)
  const start = (await leaders.offsets(topics, isolation, EARLIEST)).get(key) ?? 0
  const end = (await leaders.offsets(topics, isolation, LATEST)).get(key) ?? 0
  return new TopicOffsetGoneError(topic, partition, position, start, end)
}
