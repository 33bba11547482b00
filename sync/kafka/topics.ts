/** Which topic a stream goes to, and that it is there. */
import type { LogIdentity, PartitionState } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import {
  TopicConflictError,
  TopicMissingError,
  TopicNotAllowedError,
  type UpstreamError,
  UpstreamTimeoutError,
} from '../errors.ts'
import type { RefusedStreams } from '../refused-streams.ts'
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

/** By stream: the topics that are there, and why others are not. */
export interface MappedStreams {
  readonly topics: ReadonlyMap<string, MappedTopic>
  readonly refused: RefusedStreams
}

const NAME_MAX = 249
/** How long a new topic may take until all its partitions have leaders. */
const LEADERS_MS_MAX = 15_000
/** How long topics that have them wait for one that had them before. */
const OTHERS_MS_MAX = 2000
const POLL_MS = 50
const MISSING = 'UNKNOWN_TOPIC_OR_PARTITION'
const LEADERLESS = new Set(['LEADER_NOT_AVAILABLE', 'NOT_LEADER_OR_FOLLOWER'])
/** Since Kafka 3.6. Without it Kafka refuses records of a device whose clock is more than an hour ahead. */
const AFTER_MAX = 'message.timestamp.after.max.ms'
const NO_LIMIT = '9223372036854775807'

export function topicName(template: string, identity: LogIdentity, stream: string): string {
  return template.replaceAll('{edge}', identity.edge).replaceAll('{stream}', stream)
}

export function mapTopics(
  template: string,
  identity: LogIdentity,
  partitions: readonly PartitionState[],
): MappedStreams {
  const topics = new Map<string, { topic: string; partitions: number }>()
  const streamsOf = new Map<string, string[]>()
  for (const { stream } of partitions) {
    const known = topics.get(stream)
    if (known !== undefined) {
      known.partitions++
      continue
    }
    const topic = topicName(template, identity, stream)
    topics.set(stream, { topic, partitions: 1 })
    streamsOf.set(topic, [...(streamsOf.get(topic) ?? []), stream])
  }
  const refused = new Map<string, UpstreamError>()
  for (const [topic, streams] of streamsOf) {
    const isNamed = topic.length <= NAME_MAX && /^[a-zA-Z0-9._-]+$/.test(topic) && !/^\.\.?$/.test(topic)
    if (isNamed && streams.length === 1) continue
    for (const stream of streams) {
      const hint = 'use letters, digits, ".", "_" and "-" in the topic template, the edge id and stream names'
      const error = isNamed
        ? new TopicConflictError(topic, streams)
        : new TopicNotAllowedError(topic, 'Kafka does not allow this name', hint)
      refused.set(stream, error.of(stream))
      topics.delete(stream)
    }
  }
  return { topics, refused }
}

/** @returns the cluster with the topics of all streams that are not refused, created where that is allowed: with as many partitions as the stream. */
export async function prepareTopics(
  wire: KafkaWire,
  clock: Clock,
  options: TopicOptions,
  mapped: MappedStreams,
): Promise<MappedStreams & { readonly cluster: ClusterInfo }> {
  const open = new Map(mapped.topics)
  const refused = new Map(mapped.refused)
  const refuse = (stream: string, error: UpstreamError) => {
    open.delete(stream)
    refused.set(stream, error.of(stream))
  }
  const look = () => wire.metadata([...open.values()].map(({ topic }) => topic))
  let cluster = await look()
  const missing = new Map([...open].filter(([, { topic }]) => cluster.topics.get(topic)?.answer === MISSING))
  if (missing.size > 0) {
    for (const [stream, error] of await create(wire, cluster, options, missing)) refuse(stream, error)
  }
  const startedAt = clock.monotonic()
  for (;;) {
    for (const [stream, { topic }] of open) {
      const error = faultOf(topic, cluster.topics.get(topic))
      if (error !== null) refuse(stream, error)
    }
    const waiting = await unready(wire, cluster, open, missing)
    if (waiting.length === 0) return { cluster, topics: open, refused }
    const isNew = waiting.some((stream) => missing.has(stream)) || waiting.length === open.size
    if (clock.monotonic() - startedAt > (isNew ? LEADERS_MS_MAX : OTHERS_MS_MAX)) {
      for (const stream of waiting) {
        refuse(
          stream,
          new UpstreamTimeoutError(`a partition of topic ${open.get(stream)!.topic} has no leader`),
        )
      }
      return { cluster, topics: open, refused }
    }
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve))
    cluster = await look()
  }
}

/** Streams whose topics lack leaders, or leaders that take records. @param created streams whose topics were not there a moment ago */
async function unready(
  wire: KafkaWire,
  cluster: ClusterInfo,
  streams: ReadonlyMap<string, MappedTopic>,
  created: ReadonlyMap<string, MappedTopic>,
): Promise<string[]> {
  const asked = [...streams].map(async ([stream, { topic }]) => {
    if (!hasLeaders(cluster.topics.get(topic))) return stream
    return !created.has(stream) || (await leadersKnow(wire, cluster, topic)) ? null : stream
  })
  return (await Promise.all(asked)).filter((stream) => stream !== null)
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

/** What waiting does not mend. */
function faultOf(topic: string, info: TopicInfo | undefined): UpstreamError | null {
  const answer = info?.answer ?? MISSING
  if (answer === 'TOPIC_AUTHORIZATION_FAILED') {
    const hint = `allow this user Describe, Write and Read on it: kafka-acls.sh --add --operation Describe --operation Write --operation Read --topic ${topic} --allow-principal User:NAME`
    return new TopicNotAllowedError(topic, 'this user may not see it', hint)
  }
  if (answer === 'INVALID_TOPIC_EXCEPTION') {
    return new TopicNotAllowedError(topic, 'Kafka does not allow this name', 'change the topic template')
  }
  const passes = answer === 'NONE' || answer === MISSING || LEADERLESS.has(answer)
  return passes ? null : answerError(answer, `Metadata of ${topic}`)
}

function createCommand(
  { bootstrap, replicationFactor }: TopicOptions,
  topic: string,
  partitions: number,
): string {
  const replicas = replicationFactor > 0 ? ` --replication-factor ${replicationFactor}` : ''
  return `kafka-topics.sh --bootstrap-server ${bootstrap} --create --topic ${topic} --partitions ${partitions}${replicas} --config ${AFTER_MAX}=${NO_LIMIT}`
}

/** @param missing by stream @returns why topics were not created, by stream */
async function create(
  wire: KafkaWire,
  cluster: ClusterInfo,
  options: TopicOptions,
  missing: ReadonlyMap<string, MappedTopic>,
): Promise<Map<string, UpstreamError>> {
  const refused = new Map<string, UpstreamError>()
  if (!options.createTopics) {
    for (const [stream, { topic, partitions }] of missing) {
      refused.set(stream, new TopicMissingError(topic, createCommand(options, topic, partitions)))
    }
    return refused
  }
  const node = cluster.nodes.get(cluster.controller) ?? [...cluster.nodes.values()][0]
  if (node === undefined) throw answerError('BROKER_NOT_AVAILABLE', 'CreateTopics')
  const specs = (configs: Record<string, string>): NewTopic[] =>
    [...missing.values()].map(({ topic, partitions }) => ({
      topic,
      partitions,
      replicationFactor: options.replicationFactor,
      configs,
    }))
  const { topicConfig } = options
  const timed = Object.keys(topicConfig).some((name) => name.startsWith('message.timestamp.'))
  let answers = await wire.createTopics(
    node,
    specs(timed ? topicConfig : { [AFTER_MAX]: NO_LIMIT, ...topicConfig }),
  )
  const unknownConfig = [...answers.values()].some(({ answer }) => answer === 'INVALID_CONFIG')
  // A cluster before 3.6 does not know the setting, and does not need it.
  if (unknownConfig && !timed) answers = await wire.createTopics(node, specs(topicConfig))
  for (const [stream, { topic, partitions }] of missing) {
    const found = answers.get(topic)
    if (found === undefined || found.answer === 'TOPIC_ALREADY_EXISTS') continue
    refused.set(stream, refusal(options, topic, partitions, found.answer, found.message))
  }
  return refused
}

function refusal(
  options: TopicOptions,
  topic: string,
  partitions: number,
  answer: string,
  message: string,
): UpstreamError {
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
