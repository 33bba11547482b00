/** Which topic a stream goes to, and that it is there. */
import type { LogIdentity, PartitionState } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import {
  TopicConflictError,
  TopicMissingError,
  TopicNotAllowedError,
  UpstreamTimeoutError,
} from '../errors.ts'
import { answerError } from './answers.ts'
import type { ClusterInfo, KafkaWire, NewTopic, TopicInfo } from './wire.ts'

export interface TopicOptions {
  readonly bootstrap: string
  /** `{edge}` and `{stream}` stand for their names. */
  readonly topic: string
  readonly createTopics: boolean
  readonly replicationFactor: number
  readonly topicConfig: Readonly<Record<string, string>>
}

/** A stream's topic, and how many partitions the stream has. */
export interface MappedTopic {
  readonly topic: string
  readonly partitions: number
}

const NAME_MAX = 249
/** How long a new topic may take until all its partitions have leaders. */
const LEADERS_MS_MAX = 15_000
const POLL_MS = 50
const MISSING = 'UNKNOWN_TOPIC_OR_PARTITION'
const LEADERLESS = new Set(['LEADER_NOT_AVAILABLE', 'NOT_LEADER_OR_FOLLOWER'])
/** Since Kafka 3.6. Without it Kafka refuses records of a device whose clock is more than an hour ahead. */
const AFTER_MAX = 'message.timestamp.after.max.ms'
const NO_LIMIT = '9223372036854775807'

export function topicName(template: string, identity: LogIdentity, stream: string): string {
  return template.replaceAll('{edge}', identity.edge).replaceAll('{stream}', stream)
}

/** Topic by stream. @throws TopicConflictError, TopicNotAllowedError */
export function mapTopics(
  template: string,
  identity: LogIdentity,
  partitions: readonly PartitionState[],
): Map<string, { topic: string; partitions: number }> {
  const mapped = new Map<string, { topic: string; partitions: number }>()
  const streamOf = new Map<string, string>()
  for (const { stream } of partitions) {
    const known = mapped.get(stream)
    if (known !== undefined) {
      known.partitions++
      continue
    }
    const topic = topicName(template, identity, stream)
    if (topic.length > NAME_MAX || !/^[a-zA-Z0-9._-]+$/.test(topic) || topic === '.' || topic === '..') {
      throw new TopicNotAllowedError(
        topic,
        'Kafka does not allow this name',
        'use letters, digits, ".", "_" and "-" in the topic template, the edge id and stream names',
      )
    }
    const other = streamOf.get(topic)
    if (other !== undefined) throw new TopicConflictError(topic, [other, stream])
    streamOf.set(topic, stream)
    mapped.set(stream, { topic, partitions: 1 })
  }
  return mapped
}

/** @returns the cluster with all topics of the streams, created where that is allowed: with as many partitions as the stream. */
export async function prepareTopics(
  wire: KafkaWire,
  clock: Clock,
  options: TopicOptions,
  streams: ReadonlyMap<string, MappedTopic>,
): Promise<ClusterInfo> {
  const topics = [...streams.values()].map(({ topic }) => topic)
  let cluster = await wire.metadata(topics)
  const missing = [...streams.values()].filter(({ topic }) => cluster.topics.get(topic)?.answer === MISSING)
  if (missing.length > 0) await create(wire, cluster, options, missing)
  const until = clock.monotonic() + LEADERS_MS_MAX
  const created = new Set(missing.map(({ topic }) => topic))
  const isReady = async (topic: string) =>
    hasLeaders(cluster.topics.get(topic)) && (!created.has(topic) || leadersKnow(wire, cluster, topic))
  while (!(await Promise.all(topics.map(isReady))).every((answer) => answer)) {
    for (const topic of topics) check(topic, cluster.topics.get(topic))
    if (clock.monotonic() > until) {
      throw new UpstreamTimeoutError(`a partition has no leader, in one of the topics ${topics.join(', ')}`)
    }
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve))
    cluster = await wire.metadata(topics)
  }
  return cluster
}

/** The cluster names leaders of a new topic a little before they take records. */
async function leadersKnow(wire: KafkaWire, cluster: ClusterInfo, topic: string): Promise<boolean> {
  const { partitions } = cluster.topics.get(topic)!
  const answers = await Promise.all(
    partitions.map(({ leader, partition }) => {
      const node = cluster.nodes.get(leader)
      return node === undefined ? 'LEADER_NOT_AVAILABLE' : wire.askLeader(node, topic, partition)
    }),
  )
  return answers.every((answer) => answer === 'NONE')
}

function hasLeaders(info: TopicInfo | undefined): boolean {
  if (info?.answer !== 'NONE' || info.partitions.length === 0) return false
  return info.partitions.every(({ answer, leader }) => leader >= 0 && !LEADERLESS.has(answer))
}

/** Throws what waiting does not mend. */
function check(topic: string, info: TopicInfo | undefined): void {
  const answer = info?.answer ?? MISSING
  if (answer === 'TOPIC_AUTHORIZATION_FAILED') {
    const hint = `allow this user Describe and Write on it: kafka-acls.sh --add --operation Describe --operation Write --topic ${topic} --allow-principal User:NAME`
    throw new TopicNotAllowedError(topic, 'this user may not see it', hint)
  }
  if (answer === 'INVALID_TOPIC_EXCEPTION') {
    throw new TopicNotAllowedError(topic, 'Kafka does not allow this name', 'change the topic template')
  }
  if (answer !== 'NONE' && answer !== MISSING && !LEADERLESS.has(answer)) {
    throw answerError(answer, `Metadata of ${topic}`)
  }
}

function createCommand(
  { bootstrap, replicationFactor }: TopicOptions,
  topic: string,
  partitions: number,
): string {
  const replicas = replicationFactor > 0 ? ` --replication-factor ${replicationFactor}` : ''
  return `kafka-topics.sh --bootstrap-server ${bootstrap} --create --topic ${topic} --partitions ${partitions}${replicas} --config ${AFTER_MAX}=${NO_LIMIT}`
}

async function create(
  wire: KafkaWire,
  cluster: ClusterInfo,
  options: TopicOptions,
  missing: readonly { topic: string; partitions: number }[],
): Promise<void> {
  if (!options.createTopics) {
    const [{ topic, partitions }] = missing as [{ topic: string; partitions: number }]
    throw new TopicMissingError(topic, createCommand(options, topic, partitions))
  }
  const node = cluster.nodes.get(cluster.controller) ?? [...cluster.nodes.values()][0]
  if (node === undefined) throw answerError('BROKER_NOT_AVAILABLE', 'CreateTopics')
  const specs = (configs: Record<string, string>): NewTopic[] =>
    missing.map(({ topic, partitions }) => ({
      topic,
      partitions,
      replicationFactor: options.replicationFactor,
      configs,
    }))
  const { topicConfig } = options
  const timed = Object.keys(topicConfig).some((name) => name.startsWith('message.timestamp.'))
  let refused = await wire.createTopics(
    node,
    specs(timed ? topicConfig : { [AFTER_MAX]: NO_LIMIT, ...topicConfig }),
  )
  const unknownConfig = [...refused.values()].some(({ answer }) => answer === 'INVALID_CONFIG')
  // A cluster before 3.6 does not know the setting, and does not need it.
  if (unknownConfig && !timed) refused = await wire.createTopics(node, specs(topicConfig))
  for (const [topic, { answer, message }] of refused) {
    if (answer === 'TOPIC_ALREADY_EXISTS') continue
    const partitions = missing.find((item) => item.topic === topic)?.partitions ?? 1
    throw refusal(options, topic, partitions, answer, message)
  }
}

function refusal(
  options: TopicOptions,
  topic: string,
  partitions: number,
  answer: string,
  message: string,
): Error {
  const command = createCommand(options, topic, partitions)
  switch (answer) {
    case 'TOPIC_AUTHORIZATION_FAILED':
    case 'CLUSTER_AUTHORIZATION_FAILED':
      return new TopicNotAllowedError(
        topic,
        'this user may not create it',
        `let someone who may do it: ${command}`,
      )
    case 'INVALID_REPLICATION_FACTOR':
    case 'INVALID_CONFIG':
    case 'POLICY_VIOLATION':
    case 'INVALID_PARTITIONS':
      return new TopicNotAllowedError(
        topic,
        `the cluster does not create it so: ${message}`,
        `change replicationFactor or topicConfig of this upstream, or create it by hand: ${command}`,
      )
    default:
      return answerError(answer, `CreateTopics of ${topic} (${message})`)
  }
}
