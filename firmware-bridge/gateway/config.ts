/**
 * The keys `gateway` and `topics` of the bridge's configuration, and which devices may come. Loading TypeBox takes memory: what runs imports
 * this file's types alone.
 */
import { type Static, Type } from '@sinclair/typebox'
import { PREDEFINED_ID_MAX } from './predefined-topics.ts'

const closed = { additionalProperties: false } as const

export const GatewaySchema = Type.Object(
  {
    id: Type.Integer({
      description: 'This gateway among those that devices can hear (ADVERTISE, GWINFO).',
      minimum: 0,
      maximum: 255,
      default: 1,
    }),
    advertiseSeconds: Type.Integer({
      description: 'How often the gateway tells of itself (ADVERTISE). 0: never.',
      minimum: 0,
      maximum: 65_535,
      default: 900,
    }),
    gatewayInfoMs: Type.Integer({
      description:
        'On UDP an answer to SEARCHGW waits at random up to this long: devices that start together get one, and gateways do not answer all at once.',
      minimum: 0,
      maximum: 5_000,
      default: 500,
    }),
    retrySeconds: Type.Number({
      description:
        'A message to a device that is not answered is repeated after this long (T_RETRY). A link may have its own.',
      minimum: 0.05,
      maximum: 600,
      default: 10,
    }),
    retries: Type.Integer({
      description:
        'So often (N_RETRY). After that the gateway waits until it hears of the device; what was not answered is not given up.',
      minimum: 0,
      maximum: 100,
      default: 3,
    }),
    devicesMax: Type.Integer({
      description:
        'Devices known at a time. One more takes the place of one that is gone, or has said nothing since its CONNECT; if none is, it is told to come later.',
      minimum: 1,
      maximum: 100_000,
      default: 1_000,
    }),
    sleepingMessagesMax: Type.Integer({
      description:
        'Messages kept for a device that sleeps or is slow. One more of QoS 0 takes the place of the oldest of QoS 0; others stay with the broker.',
      minimum: 1,
      maximum: 10_000,
      default: 100,
    }),
    awakeMs: Type.Integer({
      description:
        'A device that has been given messages after its PINGREQ is kept awake this much longer, for those that the broker still has.',
      minimum: 0,
      maximum: 10_000,
      default: 250,
    }),
    topicsPerDeviceMax: Type.Integer({
      description: 'Topic ids that a device can have registered. One more is refused with congestion.',
      minimum: 1,
      maximum: 10_000,
      default: 200,
    }),
    publishesInFlightMax: Type.Integer({
      description:
        'Messages of a device that wait for the broker at a time. One more is refused with congestion.',
      minimum: 1,
      maximum: 1_000,
      default: 16,
    }),
    messagesPerSecondMax: Type.Integer({
      description:
        'From one peer (a port, an address), twice as many in one second. What is above is refused with congestion.',
      minimum: 1,
      maximum: 100_000,
      default: 200,
    }),
    duplicateMs: Type.Integer({
      description:
        'On UDP a PUBLISH of QoS 1 or 2 that comes again within this time, byte for byte and without DUP, is taken for a copy that the network made. 0: never.',
      minimum: 0,
      maximum: 10_000,
      default: 200,
    }),
    clientIdCharactersMax: Type.Integer({
      description:
        'Of a client id. MQTT-SN has 23; clients exist that take more. A device with a longer one is refused.',
      minimum: 1,
      maximum: 200,
      default: 23,
    }),
    onCollision: Type.Union([Type.Literal('take-over'), Type.Literal('refuse')], {
      description:
        'What happens when a device connects with the client id of one that is connected from elsewhere. take-over: the new one has it, as in MQTT. refuse: it is told to come later.',
      shape: 'take-over or refuse',
      default: 'take-over',
    }),
    unconnectedPublish: Type.Optional(
      Type.Boolean({
        description:
          'Whether messages of QoS -1 are taken, of devices that never connect and have no client id. Without this key: where every client id is allowed.',
        examples: [true],
      }),
    ),
  },
  { ...closed, description: 'How the bridge speaks MQTT-SN with devices.' },
)

export const TopicsSchema = Type.Object(
  {
    predefined: Type.Record(Type.String({ pattern: '^[0-9]{1,5}$' }), Type.String({ minLength: 1 }), {
      description: `Topics whose ids (1 to ${PREDEFINED_ID_MAX}) devices know beforehand. %c is the device's client id.`,
      default: {},
      examples: [{ 1: 'plant/%c/temperature' }],
    }),
    priority: Type.Array(Type.String({ minLength: 1 }), {
      description:
        'Topic filters, the most urgent first: messages to a device that match go before those that do not.',
      default: [],
      maxItems: 100,
      examples: [['+/stop']],
    }),
  },
  { ...closed, description: 'Topics that the bridge knows beforehand.' },
)

export const AllowSchema = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
  description: 'Client ids of devices that may connect; * stands for any characters.',
  default: ['*'],
  maxItems: 10_000,
  examples: [['pump-*']],
})

export type GatewayConfig = Static<typeof GatewaySchema>
export type TopicsConfig = Static<typeof TopicsSchema>
