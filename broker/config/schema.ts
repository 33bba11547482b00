/**
 * The configuration's one source: types, defaults, checks, the commented template and the documentation all come from
 * this schema. Two keywords are ours: `path: true` marks a path that is relative to the file that names it;
 * `environment` marks a list that one environment variable can give, as values of that key separated by commas.
 *
 * Loading TypeBox takes 8 MB of memory. The running broker imports the types of this file alone, never its values:
 * the configuration is read by a process that ends (cli.ts).
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { HttpSchema } from './http-schema.ts'
import { LimitsSchema, MqttSchema } from './mqtt-schema.ts'

const closed = { additionalProperties: false } as const
const STREAM_NAME = '^[A-Za-z0-9._-]{1,200}$'
export const EDGE_NAME = '^[A-Za-z0-9._-]{1,64}$'

const DiskSchema = Type.Object(
  {
    bytesMax: Type.Optional(
      Type.Integer({
        description:
          'Bytes that the log may take on the disk. Room is made in time: first from what every upstream has, the ' +
          'lowest priority first, then from streams whose retention says drop-oldest. For a moment it can be a sixteenth more (1 MiB ' +
          'at least), and twice limits.admittedBytesMax: what was admitted is still written. Without it: what the disk has.',
        minimum: 8_388_608,
        examples: [8_589_934_592],
      }),
    ),
    reserveBytes: Type.Integer({
      description:
        'Bytes of the disk that are left free. When they are reached and nothing can go, publishers wait, ' +
        'and are refused after a while: nothing is lost without a word, and a restart still works.',
      minimum: 1_048_576,
      default: 134_217_728,
    }),
    enduranceBytes: Type.Optional(
      Type.Integer({
        description:
          'Bytes that may be written to the card or disk before it wears out, as its maker says (TBW); or its capacity times 1,000 for ' +
          'plain SD cards, times 3,000 for industrial ones. With it the metrics and an alarm tell how long a new one lasts.',
        minimum: 1_000_000_000,
        examples: [32_000_000_000_000],
      }),
    ),
  },
  { ...closed, description: 'What the log may take of the disk.', default: {} },
)

const CompactionSchema = Type.Object(
  {
    schedule: Type.String({
      description: 'When to look for streams to compact: minute, hour, day, month, weekday, as in cron.',
      shape: 'five fields as in cron, such as "*/10 * * * *"',
      minLength: 9,
      maxLength: 200,
      default: '*/10 * * * *',
    }),
    dirtyShare: Type.Number({
      description:
        'A stream is compacted once this share of its bytes came since the last time. Less keeps the disk ' +
        'tidier and writes more.',
      minimum: 0.01,
      maximum: 1,
      default: 0.5,
    }),
  },
  { ...closed, description: 'Streams whose cleanup is compact.', default: {} },
)

const LogSchema = Type.Object(
  {
    segmentBytes: Type.Integer({
      description: 'A segment of the log is sealed at this size, in bytes, and never written again.',
      minimum: 1_048_576,
      maximum: 1_073_741_824,
      default: 33_554_432,
    }),
    disk: DiskSchema,
    compaction: CompactionSchema,
  },
  { ...closed, description: 'The log on this disk.', default: {} },
)

const RetentionSchema = Type.Object(
  {
    bytes: Type.Optional(
      Type.Integer({
        description: 'Keep the newest bytes, at least so many, of all partitions together; older records go.',
        minimum: 1_048_576,
        examples: [1_073_741_824],
      }),
    ),
    seconds: Type.Optional(
      Type.Integer({
        description:
          'Keep records at least this long; older ones go. It stands still while the clock is not to be trusted.',
        minimum: 1,
        examples: [604_800],
      }),
    ),
    unsynced: Type.Union([Type.Literal('keep'), Type.Literal('drop-oldest')], {
      description:
        'What to do with records that an upstream has not got when they would have to go, or when the disk is full. ' +
        'keep: they stay, and new ones are refused on a full disk. drop-oldest: they go, counted and logged.',
      default: 'keep',
    }),
  },
  {
    ...closed,
    description: 'How long records are kept; without bytes and seconds as long as the disk allows.',
    default: {},
  },
)

const ClockSchema = Type.Object(
  {
    trust: Type.Union([Type.Literal('auto'), Type.Literal('always'), Type.Literal('never')], {
      description:
        "Whether this machine's clock is to be trusted. auto: while a time service keeps it, or a hardware clock set it, or " +
        'nothing speaks against it. always and never ask nobody. While it is not trusted, retention by time stands still and ' +
        'records say so when they are read.',
      shape: 'auto, always or never',
      default: 'auto',
    }),
  },
  { ...closed, description: 'The clock of this machine.', default: {} },
)

const StreamKeySchema = Type.Union(
  [
    Type.Literal('topic'),
    Type.Literal('none'),
    Type.Object(
      {
        levels: Type.Array(Type.Integer({ minimum: 0, maximum: 127 }), {
          description: 'Levels of the topic, counted from 0; joined by "/" they are the key.',
          minItems: 1,
          maxItems: 16,
          uniqueItems: true,
        }),
      },
      closed,
    ),
    Type.Object(
      {
        pointer: Type.String({
          description: 'A JSON pointer (RFC 6901) to a text, number or boolean in the payload.',
          pattern: '^(/([^~/]|~[01])*)+$',
          maxLength: 256,
          shape: 'a JSON pointer such as /device/id',
        }),
      },
      closed,
    ),
  ],
  {
    description:
      'What orders records: those with one key stay in order, in one partition. topic: the MQTT topic. ' +
      'none: no key, partitions in turn. { levels: [1, 3] }: these levels of the topic, counted from 0. ' +
      '{ pointer: /device/id }: this field of a JSON payload.',
    shape: 'topic, none, { levels: [0, 2] } or { pointer: /device/id }',
    default: 'topic',
  },
)

const StreamSchema = Type.Object(
  {
    name: Type.String({
      description: "The stream's name, also the name of its Kafka topic unless an upstream says otherwise.",
      pattern: STREAM_NAME,
      shape: '1 to 200 letters, digits, ".", "_" or "-"',
      examples: ['alarms'],
    }),
    topics: Type.Array(Type.String(), {
      description:
        'MQTT topic filters. "+" stands for one level, "#" at the end for all that follow. Topics that begin ' +
        'with "$" are never recorded.',
      minItems: 1,
      maxItems: 1000,
      examples: [['plant/+/alarm']],
    }),
    key: StreamKeySchema,
    partitions: Type.Integer({
      description:
        'Into how many partitions the stream is split, each ordered by itself. It cannot change once the stream exists.',
      minimum: 1,
      maximum: 1024,
      default: 4,
    }),
    cleanup: Type.Union([Type.Literal('delete'), Type.Literal('compact'), Type.Literal('compact,delete')], {
      description:
        'How old records go. delete: by retention. compact: the newest record of each key stays, and an empty ' +
        'message is a tombstone that removes its key. compact,delete: both.',
      default: 'delete',
    }),
    retention: RetentionSchema,
    tombstoneSeconds: Type.Integer({
      description:
        'How long a tombstone is still seen by readers once the older values of its key are gone. ' +
        'It never goes before every upstream has it.',
      minimum: 0,
      default: 86_400,
    }),
    priority: Type.Integer({
      description: 'When the disk is full, streams with a lower priority give way first.',
      minimum: 0,
      maximum: 9,
      default: 5,
    }),
    table: Type.Boolean({
      description:
        'Whether the latest value of every key is kept at hand on disk, for `headwater table`: the state of each entity. ' +
        'It is built from the log, again whenever it has to be, and takes about the room of one record a key.',
      default: false,
    }),
    writer: Type.Optional(
      Type.String({
        description:
          'The one user that may publish to this stream; nobody else may, whatever the permissions say. ' +
          'Without it: all who have the permission.',
        minLength: 1,
        maxLength: 128,
        examples: ['plc-1'],
      }),
    ),
  },
  { ...closed, description: 'one stream' },
)

/** Beside the schema of any program's file. */
export const VersionSchema = Type.Optional(
  Type.Integer({
    description:
      'The version of this file: what its keys are called and mean. An older one is read all the same, a newer one is refused.',
    minimum: 1,
    examples: [1],
    // of the file: no variable says what a file's keys mean
    environment: false,
  }),
)

/** What the broker knows by itself; the entries of `upstreams` and `downlinks` are sync's (see `configSchema`). */
const BrokerSchema = Type.Object(
  {
    configVersion: VersionSchema,
    edge: Type.String({
      description:
        "This device's name upstream: it must be unique among the edges of one cluster and never change. " +
        'auto: the host name at the first start, remembered in the data directory.',
      pattern: EDGE_NAME,
      shape: '1 to 64 letters, digits, ".", "_" or "-"',
      default: 'auto',
    }),
    data: Type.String({
      description:
        'The directory that holds the log and all that the broker remembers. One process uses it at a time.',
      minLength: 1,
      path: true,
      shape: 'a directory',
      default: './data',
    }),
    mqtt: MqttSchema,
    http: HttpSchema,
    limits: LimitsSchema,
    log: LogSchema,
    clock: ClockSchema,
    streams: Type.Array(StreamSchema, {
      description:
        'The streams. A message goes to the first stream that has a filter for its topic, so the order matters: put ' +
        'special ones above general ones. A message that no stream takes is passed to live subscribers and not recorded.',
      minItems: 1,
      maxItems: 1000,
      default: [{ name: 'events', topics: ['#'], key: 'topic', partitions: 4 }],
    }),
  },
  closed,
)

/** An upstream as the broker sees it; the rest of its keys are sync's. */
export interface UpstreamEntry {
  readonly name: string
  readonly kind: string
  readonly [key: string]: unknown
}

/** A downlink as the broker sees it; the rest of its keys are sync's. */
export interface DownlinkEntry {
  readonly name: string
  readonly [key: string]: unknown
}

export type BrokerConfig = Static<typeof BrokerSchema>
export type StreamConfig = Static<typeof StreamSchema>
export type StreamKey = Static<typeof StreamKeySchema>
export interface Config extends BrokerConfig {
  upstreams: UpstreamEntry[]
  downlinks: DownlinkEntry[]
}

/**
 * @param upstreamEntry the schema of one entry of `upstreams`: sync's, handed in by the command line.
 * @param downlinkEntry the same of `downlinks`
 */
export function configSchema(
  upstreamEntry: TSchema = AnyUpstreamSchema,
  downlinkEntry: TSchema = AnyDownlinkSchema,
) {
  return Type.Object(
    {
      ...BrokerSchema.properties,
      upstreams: Type.Array(upstreamEntry, {
        description:
          'Where the log is replicated to, each record once and in order; several at once are independent. ' +
          'Without this key it is the archive below, in the data directory; [] is none.',
        maxItems: 16,
        default: [{ name: 'archive', kind: 'archive', directory: './data/upstream' }],
      }),
      downlinks: Type.Array(downlinkEntry, {
        description:
          'Kafka topics, of commands or configuration for example, whose records are published to the MQTT clients of this ' +
          'broker with QoS 1, and recorded where a stream takes their topic.',
        maxItems: 16,
        default: [],
      }),
    },
    closed,
  )
}

const AnyUpstreamSchema = Type.Object(
  { name: Type.String({ minLength: 1 }), kind: Type.String({ minLength: 1 }) },
  { additionalProperties: true },
)

const AnyDownlinkSchema = Type.Object({ name: Type.String({ minLength: 1 }) }, { additionalProperties: true })
