/**
 * One entry of the configuration's `upstreams`: types, defaults, checks and documentation from one schema. The keyword
 * `path: true` marks a path that is relative to the file that names it.
 *
 * Loading TypeBox takes 8 MB of memory: what runs imports this file's types alone, and index.ts does not export it. The
 * command line imports it where configuration is loaded.
 */
import { type Static, Type } from '@sinclair/typebox'

const closed = { additionalProperties: false } as const

const name = Type.String({
  description:
    'Names this upstream in status, logs and commands; what is remembered of it is kept under this name.',
  pattern: '^[A-Za-z0-9._-]{1,64}$',
  shape: '1 to 64 letters, digits, ".", "_" or "-"',
  examples: ['central'],
})

const backoff = Type.Object(
  {
    firstMs: Type.Integer({
      description: 'Wait after a first failure, in ms; it doubles with each further one.',
      minimum: 10,
      maximum: 60_000,
      default: 1000,
    }),
    msMax: Type.Integer({
      description: 'The longest wait, in ms: a link that comes back is used within it.',
      minimum: 100,
      maximum: 3_600_000,
      default: 20_000,
    }),
  },
  { ...closed, description: 'How long to wait before trying again.', default: {} },
)

function round(bytesMax: number, lingerMs: number, why: string) {
  return Type.Object(
    {
      bytesMax: Type.Integer({
        description:
          'Bytes that are sent and acknowledged at once, at most; memory is bounded by about four times as much. ' +
          'Rounds are smaller on a link on which they would take longer than two seconds.',
        minimum: 16_384,
        maximum: 67_108_864,
        default: bytesMax,
      }),
      lingerMs: Type.Integer({
        description: `How long records gather after the first one when upstream is up to date, in ms. ${why}`,
        minimum: 0,
        maximum: 3_600_000,
        default: lingerMs,
      }),
    },
    { ...closed, description: 'What is sent at once.', default: {} },
  )
}

export const ArchiveUpstreamSchema = Type.Object(
  {
    name,
    kind: Type.Literal('archive', { description: 'Batch files in a directory or on a mounted disk.' }),
    directory: Type.String({
      description: 'Where the files go. It belongs to one edge; files below the newest may be carried away.',
      minLength: 1,
      path: true,
      shape: 'a directory',
      examples: ['/mnt/usb/headwater'],
    }),
    fileBytesMax: Type.Integer({
      description: 'A batch file is closed once it has this many bytes.',
      minimum: 65_536,
      maximum: 4_294_967_296,
      default: 67_108_864,
    }),
    round: round(4_194_304, 1000, 'Each round costs three fsyncs.'),
    backoff,
  },
  { ...closed, description: 'an archive' },
)

const tls = Type.Object(
  {
    caFile: Type.Optional(
      Type.String({
        description: "The certificate authority of the cluster, PEM; without it the system's own.",
        minLength: 1,
        path: true,
      }),
    ),
    certFile: Type.Optional(
      Type.String({ description: "This device's certificate, PEM.", minLength: 1, path: true }),
    ),
    keyFile: Type.Optional(
      Type.String({ description: "This device's private key, PEM.", minLength: 1, path: true }),
    ),
    serverName: Type.Optional(
      Type.String({
        description: "The name in the brokers' certificates, where it is not that of their address.",
        minLength: 1,
      }),
    ),
  },
  { ...closed, description: 'Encrypted connections; {} uses what the system trusts.' },
)

const sasl = Type.Object(
  {
    mechanism: Type.Union(
      [Type.Literal('PLAIN'), Type.Literal('SCRAM-SHA-256'), Type.Literal('SCRAM-SHA-512')],
      {
        description: 'How to log in.',
        default: 'SCRAM-SHA-512',
      },
    ),
    username: Type.String({ description: 'The user.', minLength: 1 }),
    passwordFile: Type.Optional(
      Type.String({
        description: 'A file with the password; read for each connection, so that it can change.',
        minLength: 1,
        path: true,
      }),
    ),
    passwordEnv: Type.Optional(
      Type.String({ description: 'The environment variable with the password.', minLength: 1 }),
    ),
    password: Type.Optional(
      Type.String({ description: 'The password itself; better one of the two above.', minLength: 1 }),
    ),
  },
  { ...closed, description: 'Credentials; one of passwordFile, passwordEnv and password.' },
)

export const KafkaUpstreamSchema = Type.Object(
  {
    name,
    kind: Type.Literal('kafka', { description: 'Apache Kafka 3.0 or newer, exactly once.' }),
    bootstrap: Type.Array(
      Type.String({ pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\s]+):[0-9]{1,5}$', shape: 'host:port' }),
      {
        description: 'Brokers to ask first, as host:port.',
        minItems: 1,
        maxItems: 32,
        examples: [['kafka.example.org:9092']],
      },
    ),
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
        'consumer can audit or deduplicate. none: records go as they are.',
      default: 'record',
    }),
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
      description: "Bytes of one batch; a topic's max.message.bytes is 1048588 unless changed there.",
      minimum: 1024,
      maximum: 67_108_864,
      default: 1_000_000,
    }),
    tls: Type.Optional(tls),
    sasl: Type.Optional(sasl),
    round: round(8_388_608, 100, 'Each round is a transaction.'),
    backoff,
  },
  { ...closed, description: 'a Kafka cluster' },
)

export const UpstreamSchema = Type.Union([ArchiveUpstreamSchema, KafkaUpstreamSchema], {
  description: 'one upstream',
})

export type ArchiveUpstreamConfig = Static<typeof ArchiveUpstreamSchema>
export type KafkaUpstreamConfig = Static<typeof KafkaUpstreamSchema>
export type UpstreamConfig = Static<typeof UpstreamSchema>
