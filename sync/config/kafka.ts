/** A Kafka cluster's configuration. */
import { type Static, Type } from '@sinclair/typebox'
import { addresses, backoff, closed, name, round } from './common.ts'
import { link } from './link.ts'
import { sasl, tls } from './security.ts'

export const KafkaUpstreamSchema = Type.Object(
  {
    name,
    kind: Type.Literal('kafka', { description: 'Apache Kafka 3.0 or newer, exactly once.' }),
    bootstrap: addresses('Brokers to ask first, as host:port.', 'kafka.example.org:9092'),
    topic: Type.String({
      description: 'The topic of a stream; {stream} and {edge} stand for their names.',
      minLength: 1,
      maxLength: 249,
      default: '{stream}',
    }),
    createTopics: Type.Boolean({
      description: 'Create a topic that does not exist, with as many partitions as its stream has.',
      default: false,
    }),
    replicationFactor: Type.Integer({
      description: "Replicas of a topic that is created; -1 is the cluster's default.",
      minimum: -1,
      maximum: 32_767,
      default: -1,
    }),
    topicConfig: Type.Record(Type.String(), Type.String(), {
      description:
        'Settings of a topic that is created. Unless a message.timestamp setting is given, ' +
        'message.timestamp.after.max.ms is set to no limit, so that a device whose clock is ahead is not refused.',
      default: {},
    }),
    provenance: Type.Union([Type.Literal('record'), Type.Literal('none')], {
      description:
        'record: each record gets the header hw.origin, edge/incarnation/stream/partition/offset, by which any ' +
        'consumer can audit or deduplicate. none: records go as they are; they ' +
        'cannot be verified, and by key nobody can tell whether the cluster lost some.',
      default: 'record',
    }),
    mode: Type.Union([Type.Literal('exactly-once'), Type.Literal('fleet')], {
      description:
        'exactly-once: each round is a transaction. fleet: without transactions, for topics that many edges share; a ' +
        'crash can repeat the last round, which shows by hw.origin, so that provenance is record then. Nobody is ' +
        'fenced: that a clone of this device writes, too, is not noticed.',
      default: 'exactly-once',
    }),
    partitioning: Type.Union([Type.Literal('auto'), Type.Literal('identity'), Type.Literal('key')], {
      description:
        "identity: a stream's partitions are those of its topic, one to one. key: each record goes where Kafka's clients " +
        'put its key (murmur2), records without one by their own partition. auto: identity where both have as many ' +
        'partitions, else key. What the first round used stays, also when the topic gets more partitions later.',
      default: 'auto',
    }),
    compression: Type.Union(
      [
        Type.Literal('none'),
        Type.Literal('gzip'),
        Type.Literal('lz4'),
        Type.Literal('snappy'),
        Type.Literal('zstd'),
      ],
      {
        description:
          'How batches are compressed on their way and in the topic. gzip makes the fewest bytes on Node.js 20, lz4 costs ' +
          'the least time; zstd needs Node.js 22.15.',
        default: 'none',
      },
    ),
    compressionLevel: Type.Optional(
      Type.Integer({
        description: 'Of gzip, 1 to 9 (1 unless given), or zstd, 1 to 22 (3 unless given).',
        minimum: 1,
        maximum: 22,
      }),
    ),
    groupPrefix: Type.String({
      description:
        "This and the edge's name are the consumer group that holds its checkpoint, and its transactional id. " +
        'Two upstreams of one edge on one cluster need different ones.',
      pattern: '^[A-Za-z0-9._-]{0,150}$',
      shape: 'at most 150 letters, digits, ".", "_" or "-"',
      default: 'headwater.',
    }),
    transactionTimeoutMs: Type.Integer({
      description:
        'After this the cluster gives up on a round, in ms. While one is open it hides later records of other edges in the ' +
        'same partitions from readers.',
      minimum: 1000,
      maximum: 900_000,
      default: 10_000,
    }),
    batchBytesMax: Type.Integer({
      description:
        "Bytes of one batch before it is compressed; a topic's max.message.bytes is 1048588 unless changed there.",
      minimum: 1024,
      maximum: 67_108_864,
      default: 1_000_000,
    }),
    tls: Type.Optional(tls),
    sasl: Type.Optional(sasl),
    round: round(8_388_608, 100, 'Each round is a transaction.'),
    backoff,
    ...link,
  },
  { ...closed, description: 'a Kafka cluster' },
)

export type KafkaUpstreamConfig = Static<typeof KafkaUpstreamSchema>
