/** A downlink's configuration: a Kafka topic whose records are published to local MQTT clients. */
import { type Static, Type } from '@sinclair/typebox'
import { backoff, closed } from './common.ts'
import { sasl, tls } from './security.ts'

const connection = Type.Object(
  {
    bootstrap: Type.Array(
      Type.String({ pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\s]+):[0-9]{1,5}$', shape: 'host:port' }),
      { description: 'Brokers to ask first, as host:port.', minItems: 1, maxItems: 32 },
    ),
    tls: Type.Optional(tls),
    sasl: Type.Optional(sasl),
  },
  { ...closed, description: 'A cluster that is no upstream.' },
)

const filter = Type.Object(
  {
    keyPrefixes: Type.Array(Type.String({ minLength: 1, maxLength: 1000 }), {
      description:
        'Records whose key begins with one of these; {edge} stands for the name of this edge. Empty: any key.',
      maxItems: 100,
      default: [],
      examples: [['{edge}/', 'all/']],
    }),
    headers: Type.Record(Type.String(), Type.String(), {
      description:
        'Records that have all of these headers with these values; {edge} stands for the name of this edge.',
      default: {},
    }),
  },
  { ...closed, description: 'Which records are for this edge; without it all are.', default: {} },
)

export const DownlinkSchema = Type.Object(
  {
    name: Type.String({
      description:
        'Names this downlink in status, logs and commands; how far it has read is kept under this name. No upstream has it.',
      pattern: '^[A-Za-z0-9._-]{1,64}$',
      shape: '1 to 64 letters, digits, ".", "_" or "-"',
      examples: ['commands'],
    }),
    upstream: Type.Optional(
      Type.String({
        description: 'The upstream, of kind kafka, whose cluster has the topic; else say connection.',
        examples: ['central'],
      }),
    ),
    connection: Type.Optional(connection),
    topic: Type.String({
      description: 'The Kafka topic; {edge} stands for the name of this edge.',
      minLength: 1,
      maxLength: 249,
      examples: ['commands'],
    }),
    filter,
    mqttTopic: Type.String({
      description:
        'The MQTT topic of a record: {key}, {rest} (the key behind the prefix that matched), {header:NAME}, {edge} and {partition} ' +
        'stand for what the record has. A record that gives no legal topic is passed over and counted.',
      minLength: 1,
      maxLength: 1000,
      default: 'commands/{key}',
    }),
    retain: Type.Union(
      [
        Type.Boolean(),
        Type.Object(
          { header: Type.String({ description: 'A header; its value true or 1 means yes.', minLength: 1 }) },
          closed,
        ),
      ],
      {
        description:
          'Whether the broker keeps the message for those who subscribe later: true, false, or by a header of the record. ' +
          'Retained messages are in memory.',
        shape: 'true, false or { header: NAME }',
        default: false,
      },
    ),
    payloadBytesMax: Type.Integer({
      description: 'Larger values are passed over and counted.',
      minimum: 1,
      maximum: 67_108_864,
      default: 262_144,
    }),
    maxAgeSeconds: Type.Optional(
      Type.Integer({
        description:
          'Older records are passed over and counted: a command of yesterday is better not carried out. It has no effect while ' +
          'the clock of this device is not to be trusted.',
        minimum: 1,
        examples: [3600],
      }),
    ),
    start: Type.Union([Type.Literal('earliest'), Type.Literal('latest')], {
      description:
        'Where to begin the first time: with the oldest record there is, or with what comes from then on.',
      default: 'latest',
    }),
    outOfRange: Type.Union([Type.Literal('earliest'), Type.Literal('latest'), Type.Literal('stop')], {
      description:
        'What to do when the topic no longer has the next record, by its retention for example: go on with the oldest there is, ' +
        'with what comes from now on, or stop until a person has looked.',
      default: 'earliest',
    }),
    ownRecords: Type.Union([Type.Literal('drop'), Type.Literal('deliver')], {
      description:
        'Records that this edge itself sent upstream, by their header hw.origin. drop: a topic that is both written and read does ' +
        'not loop. deliver: where a program answers with the headers of the question.',
      default: 'drop',
    }),
    hopsMax: Type.Integer({
      description:
        'A record that has come through so many downlinks, by its header hw.hops, is not taken again. 1 is right where edges write ' +
        'and read one topic; chains of clusters need more.',
      minimum: 1,
      maximum: 16,
      default: 1,
    }),
    graceSeconds: Type.Integer({
      description:
        'After a start of the broker a message that nobody subscribes waits so long for a subscriber: clients need time to come back.',
      minimum: 0,
      maximum: 3600,
      default: 10,
    }),
    backoff,
  },
  { ...closed, description: 'a downlink' },
)

export type DownlinkConfig = Static<typeof DownlinkSchema>
