/** The configuration of the bridge's side of MQTT. */
import { type Static, Type } from '@sinclair/typebox'

const closed = { additionalProperties: false } as const
const file = (description: string, example: string) =>
  Type.Optional(
    Type.String({ description, minLength: 1, path: true, shape: 'the path of a file', examples: [example] }),
  )

const TlsSchema = Type.Object(
  {
    caFile: file(
      'Certificates of the authorities to trust, PEM. Without it: those that Node.js knows.',
      '/etc/headwater/ca.pem',
    ),
    certFile: file(
      "The bridge's own certificate, PEM, where the broker asks for one.",
      '/etc/headwater/bridge.pem',
    ),
    keyFile: file('Its private key, PEM.', '/etc/headwater/bridge-key.pem'),
  },
  { ...closed, description: 'Encryption, for mqtts://. The files are read at each connection.', default: {} },
)

export const BrokerSchema = Type.Object(
  {
    url: Type.String({
      description: 'The MQTT broker: mqtt://host:port, or mqtts://host:port with encryption.',
      pattern: '^mqtts?://[^/@\\s]+/?$',
      shape: 'mqtt://host:port or mqtts://host:port, without a user',
      default: 'mqtt://127.0.0.1:1883',
    }),
    user: Type.Optional(
      Type.String({
        description: 'The user that the broker knows the bridge by.',
        minLength: 1,
        examples: ['bridge'],
      }),
    ),
    passwordFile: file(
      'A file whose first line is the password. It is read at each connection.',
      '/etc/headwater/bridge-password',
    ),
    tls: TlsSchema,
    keepAliveSeconds: Type.Integer({
      description: 'A connection to the broker that is silent for one and a half times this is given up.',
      minimum: 5,
      maximum: 3600,
      default: 60,
    }),
    connectSeconds: Type.Integer({
      description: 'Time that the broker has for its answer to a connection.',
      minimum: 1,
      maximum: 120,
      default: 10,
    }),
    sessionExpirySeconds: Type.Integer({
      description:
        "Time that the broker keeps a device's subscriptions and messages while its bridge is away (MQTT 5).",
      minimum: 60,
      maximum: 4_294_967_294,
      default: 604_800,
    }),
    receiveMax: Type.Integer({
      description:
        'Messages to one device that the broker may send ahead of its acknowledgements (MQTT 5); the rest stays with the broker.',
      minimum: 1,
      maximum: 1000,
      default: 8,
    }),
  },
  { ...closed, description: 'The MQTT broker.', default: {} },
)

export const SessionsSchema = Type.Union([Type.Literal('device'), Type.Literal('aggregated')], {
  description:
    'device: each device has its own session at the broker, with its own rights, queue and will. ' +
    'aggregated: all devices share one, which costs less memory there and needs one more write a message here.',
  default: 'device',
})

export const ClientIdPrefixSchema = Type.String({
  description: "Put before each device's client id towards the broker.",
  maxLength: 64,
  pattern: '^[^\\u0000-\\u001f]*$',
  shape: 'at most 64 characters',
  default: '',
})

export const WindowSchema = Type.Object(
  {
    messages: Type.Integer({
      description:
        'The last messages of a device that are known again when it repeats them, also after a restart.',
      minimum: 1,
      maximum: 255,
      default: 16,
    }),
    clientsMax: Type.Integer({
      description: 'Devices that are remembered; past it the one that was silent longest is forgotten.',
      minimum: 1,
      maximum: 1_000_000,
      default: 10_000,
    }),
  },
  { ...closed, description: 'What makes a repeated message one message.', default: {} },
)

export type BrokerConfig = Static<typeof BrokerSchema>
export type SessionsMode = Static<typeof SessionsSchema>

export interface UplinkConfig {
  readonly broker: BrokerConfig
  readonly sessions: SessionsMode
  readonly clientIdPrefix: string
  /** The bridge's own client id: `headwater-bridge-<gateway id>`. */
  readonly bridgeClientId: string
  readonly window: Static<typeof WindowSchema>
}
