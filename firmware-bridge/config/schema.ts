/**
 * The bridge's configuration, put together of what each part knows of its own keys. Types, defaults, checks and the template of
 * `headwater-bridge init` come from it. What runs imports the types of this file alone: TypeBox takes 8 MB.
 */
import { type Static, Type } from '@sinclair/typebox'
import { VersionSchema } from '../../broker/config/schema.ts'
import { BodySchema } from '../bodies/config.ts'
import { AllowSchema, GatewaySchema, TopicsSchema } from '../gateway/config.ts'
import { LineLinkSchema } from '../lines/config.ts'
import { SerialLinkSchema, UdpLinkSchema } from '../links/config.ts'
import { ModbusLinkSchema } from '../modbus/config.ts'
import { BrokerSchema, ClientIdPrefixSchema, SessionsSchema, WindowSchema } from '../uplink/config.ts'

const closed = { additionalProperties: false } as const

/** One entry of `links`. */
export const LinkSchema = Type.Union([SerialLinkSchema, LineLinkSchema, ModbusLinkSchema, UdpLinkSchema])

const DevicesSchema = Type.Object(
  {
    allow: AllowSchema,
    bodies: Type.Array(BodySchema, {
      description: 'What bodies mean; without an entry that fits they are bytes that go through as they are.',
      maxItems: 1000,
      default: [],
    }),
  },
  { ...closed, description: 'Which devices may come, and what their messages hold.', default: {} },
)

const StatusSchema = Type.Object(
  {
    address: Type.String({
      description:
        'Where Prometheus finds /metrics, and `headwater-bridge status` asks, as address:port. It shows the ids of devices to whoever can reach it.',
      pattern: '^.{1,255}:[0-9]{1,5}$',
      shape: 'address:port',
      default: '127.0.0.1:9465',
    }),
    topicPrefix: Type.String({
      description:
        'Retained messages about the bridge go to <prefix>/<gateway id>/state and .../devices/<client id>; "" for none.',
      pattern: '^[^+#\\u0000]{0,200}$',
      shape: 'the beginning of a topic, without + and #',
      default: 'headwater-bridge',
    }),
    publishSeconds: Type.Integer({
      description: 'How often these messages are brought up to date; a change of state is told at once.',
      minimum: 1,
      maximum: 86_400,
      default: 60,
    }),
  },
  { ...closed, description: 'How the bridge tells how it is.', default: {} },
)

export const BridgeSchema = Type.Object(
  {
    configVersion: VersionSchema,
    data: Type.String({
      description:
        'The directory of what the bridge must remember over a restart: the last messages of each device.',
      path: true,
      minLength: 1,
      default: './bridge-data',
    }),
    broker: BrokerSchema,
    sessions: SessionsSchema,
    clientIdPrefix: ClientIdPrefixSchema,
    window: WindowSchema,
    gateway: Type.Object(GatewaySchema.properties, {
      ...closed,
      description: GatewaySchema.description!,
      default: {},
    }),
    topics: Type.Object(TopicsSchema.properties, {
      ...closed,
      description: TopicsSchema.description!,
      default: {},
    }),
    links: Type.Array(LinkSchema, {
      description:
        'Where devices are: serial ports and UDP addresses. Without one the bridge has nothing to do.',
      maxItems: 64,
      default: [],
    }),
    devices: DevicesSchema,
    status: StatusSchema,
  },
  closed,
)

export type BridgeConfig = Static<typeof BridgeSchema>
export type LinkConfig = Static<typeof LinkSchema>
