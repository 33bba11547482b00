/** The part of the configuration's schema that is about clients: where they connect, who they may be, what they may hold. */
import { Type } from '@sinclair/typebox'

const closed = { additionalProperties: false } as const
/** No limit: the largest number that MQTT has for it. */
const NEVER_SECONDS = 0xffff_ffff

const TlsSchema = Type.Object(
  {
    certFile: Type.String({
      description:
        "The broker's certificate and those between it and its authority, PEM. Read again when it changes.",
      minLength: 1,
      path: true,
      shape: 'a file',
      examples: ['/etc/headwater/tls/broker.crt'],
    }),
    keyFile: Type.String({
      description: 'Its private key, PEM.',
      minLength: 1,
      path: true,
      shape: 'a file',
      examples: ['/etc/headwater/tls/broker.key'],
    }),
    clientCaFile: Type.Optional(
      Type.String({
        description:
          "The authorities of clients' certificates, PEM. With it clients are asked for one, and its common name is " +
          'the name of the user; without it nobody is asked.',
        minLength: 1,
        path: true,
        shape: 'a file',
        examples: ['/etc/headwater/tls/devices.crt'],
      }),
    ),
    clientCertificate: Type.Optional(
      Type.Union([Type.Literal('require'), Type.Literal('request')], {
        description:
          'With clientCaFile. require, which is what counts without this key: a client without a certificate is ' +
          'refused. request: it may give its user name and password instead.',
        shape: 'require or request',
        examples: ['require'],
      }),
    ),
  },
  { ...closed, description: 'TLS, version 1.2 and above. Without it: plain TCP.' },
)

const WebSocketSchema = Type.Object(
  {
    path: Type.String({
      description: 'The path of the URL that clients connect to.',
      pattern: '^/[A-Za-z0-9._~/-]{0,255}$',
      shape: 'a path such as /mqtt',
      default: '/mqtt',
    }),
  },
  { ...closed, description: 'MQTT over WebSocket, for browsers; with tls: secure WebSocket.' },
)

const ListenerSchema = Type.Object(
  {
    address: Type.String({
      description:
        'Where to listen: host:port, [IPv6]:port, or a port alone for every interface of this machine. ' +
        '127.0.0.1 and [::1] are reached from this machine only.',
      examples: ['0.0.0.0:1883'],
      shape: 'host:port, [IPv6]:port or a port',
    }),
    tls: Type.Optional(TlsSchema),
    webSocket: Type.Optional(WebSocketSchema),
  },
  {
    ...closed,
    description: 'one address to listen on',
    shape: 'host:port, or { address: host:port } with tls and webSocket where they are wanted',
  },
)

const filters = (description: string, example: string) =>
  Type.Array(Type.String({ minLength: 1 }), {
    description,
    maxItems: 1000,
    default: [],
    examples: [[example]],
  })

const PermissionSchema = Type.Object(
  {
    users: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
      description:
        'Names of users; "*" in one stands for any characters. anonymous: clients without a name. Without this key: all.',
      minItems: 1,
      maxItems: 1000,
      default: ['*'],
      examples: [['sensor-*']],
    }),
    publish: filters(
      'Topics that they may publish to, as filters. %u is the name of the user, %c the client id.',
      'plant/%u/#',
    ),
    subscribe: filters(
      'Topics that they may subscribe to. A subscription is granted where a filter covers all of it.',
      'plant/%u/command',
    ),
  },
  { ...closed, description: 'what some users may do' },
)

export const MqttSchema = Type.Object(
  {
    listeners: Type.Array(ListenerSchema, {
      description:
        'The addresses on which MQTT clients connect. One without tls and webSocket can be plain text: ["127.0.0.1:1883"].',
      minItems: 1,
      maxItems: 16,
      default: [{ address: '127.0.0.1:1883' }],
      environment: 'address',
      examples: [[{ address: '127.0.0.1:1883' }]],
    }),
    anonymous: Type.Boolean({
      description:
        'Whether clients without user name and certificate are let in. Until users (`headwater users add`) or ' +
        'permissions are there, those of this machine are, whatever is said here, and may do everything.',
      default: false,
    }),
    permissions: Type.Array(PermissionSchema, {
      description:
        'Who may do what. Once there are users or permissions, what none of them allows is denied. ' +
        'Users are not kept here: see `headwater users --help`. Such as sensors that have a topic each, machines that ' +
        'also read setpoints, the one controller that sets them (see writer, of streams), and a dashboard that reads all:',
      maxItems: 1000,
      default: [],
      examples: [
        [
          {
            users: ['sensor-*'],
            publish: ['plant/sensors/%u/#'],
            subscribe: ['plant/sensors/%u/command'],
          },
          { users: ['machine-*'], publish: ['plant/machines/%u/#'], subscribe: ['plant/setpoints/#'] },
          { users: ['plc-1'], publish: ['plant/setpoints/#'] },
          { users: ['dashboard'], subscribe: ['plant/#', '$replay/#', '$SYS/#'] },
        ],
      ],
    }),
    holdPublishersBack: Type.Boolean({
      description:
        'Whether publishers of QoS 1 and 2 wait for a connected subscriber whose queue is half full, as long as it takes ' +
        'limits.subscriberRateMin messages a second. Where not, a subscriber that is slower than they are is disconnected ' +
        'at limits.queuedMessagesMax, or misses messages there if its session stays.',
      default: true,
    }),
    sysIntervalSeconds: Type.Integer({
      description:
        'How often what has changed is published on $SYS/broker/..., in the names that mosquitto has; 0: never.',
      minimum: 0,
      maximum: 86_400,
      default: 10,
    }),
  },
  { ...closed, description: 'The MQTT side, where sensors publish.', default: {} },
)

const integer = (description: string, minimum: number, maximum: number, value: number) =>
  Type.Integer({ description, minimum, maximum, default: value })
const noLimit = (description: string, minimum: number, maximum: number, example: number) =>
  Type.Optional(
    Type.Integer({
      description: `${description} Without this key: no limit.`,
      minimum,
      maximum,
      examples: [example],
    }),
  )

export const LimitsSchema = Type.Object(
  {
    recordBytesMax: integer(
      'The largest record that is taken: key, payload and headers, in bytes.',
      256,
      67_108_864,
      1_048_576,
    ),
    admittedBytesMax: integer(
      'Bytes accepted and not yet on disk, and so the largest commit (one fsync). When they are reached the ' +
        'broker stops reading its sockets until a commit is done: publishers wait instead of memory growing.',
      65_536,
      268_435_456,
      2_097_152,
    ),
    connectionsMax: integer('MQTT connections at one time; one more is refused.', 1, 100_000, 1000),
    connectionsPerAddressMax: noLimit(
      'MQTT connections at one time from one address; one more is refused. Of IPv6 a /64 is one address.',
      1,
      100_000,
      100,
    ),
    connectsPerSecond: noLimit('New connections a second; what is above is refused.', 1, 100_000, 200),
    connectsPerSecondPerAddress: integer(
      'New connections a second from one address, after twice connectionsMax at once; what is above is refused. ' +
        'Of IPv6 a /64 is one address; clients of this machine are not counted. 0: no limit.',
      0,
      100_000,
      100,
    ),
    messagesPerSecondPerClient: noLimit(
      'Packets a second that are read from one client. A faster one waits; nothing of it is lost. Each filter of a SUBSCRIBE counts as a packet.',
      1,
      10_000_000,
      1000,
    ),
    bytesPerSecondPerClient: noLimit(
      'Bytes a second that are read from one client. A faster one waits; nothing of it is lost.',
      1024,
      10_000_000_000,
      1_048_576,
    ),
    messagesPerSecondPerUser: noLimit(
      'Packets a second that are read from all clients of one user together; clients without a name count by their address. So new client ids bring no new ' +
        'budget. What is above waits; nothing of it is lost.',
      1,
      10_000_000,
      5000,
    ),
    bytesPerSecondPerUser: noLimit(
      'Bytes a second that are read from all clients of one user together; clients without a name count by their address.',
      1024,
      10_000_000_000,
      4_194_304,
    ),
    connectSecondsMax: integer('A client that has not said CONNECT after so long is refused.', 1, 300, 10),
    keepAliveSecondsMax: integer(
      'The longest keep alive; an MQTT 5 client that asks for more, or none, gets this one. 0: as the client likes.',
      0,
      65_535,
      0,
    ),
    topicBytesMax: integer('The longest topic, in bytes.', 16, 65_535, 1024),
    topicLevelsMax: integer('The most levels of a topic.', 1, 10_000, 100),
    clientIdBytesMax: integer('The longest client id, in bytes.', 23, 65_535, 256),
    receiveMaximum: integer(
      'Messages of QoS 1 and 2 that an MQTT 5 client may send before it has their acknowledgement; some send more ' +
        'than they are told, and are disconnected.',
      1,
      65_535,
      1_000,
    ),
    inFlightMax: integer(
      'Messages of QoS 1 and 2 that a client gets before it has acknowledged them; it can ask for fewer.',
      1,
      65_535,
      100,
    ),
    outboxBytesMax: integer(
      'Bytes that wait for a client to take them. At them messages of QoS 0 to it are dropped, others queued.',
      16_384,
      268_435_456,
      1_048_576,
    ),
    outboxesBytesMax: integer(
      'The same for all clients together. At them each client may have 64 KiB that wait: clients that do not read must not take ' +
        'the memory of the others.',
      1_048_576,
      4_294_967_296,
      67_108_864,
    ),
    unfinishedBytesMax: integer(
      'What packets take that are not whole yet, of all clients together; two of the largest fit in any case. At it somebody is disconnected: of ' +
        'the user or address that holds most, the one whose packet began first.',
      1_048_576,
      4_294_967_296,
      33_554_432,
    ),
    queuedMessagesMax: integer(
      'Messages of QoS 1 and 2 that wait for a client. At them one that is connected without a session that ' +
        'stays is disconnected; for others new messages are dropped, counted and logged. Each takes 24 bytes of ' +
        'memory: the log has the rest.',
      1,
      1_000_000,
      20_000,
    ),
    subscriberRateMin: integer(
      'Messages a second that a subscriber takes at least, for publishers to wait for it (mqtt.holdPublishersBack): no ' +
        'subscriber slows them down to less. A slower one is not waited for.',
      1,
      1_000_000,
      1_000,
    ),
    subscriberStallSecondsMax: integer(
      'Over so long that is measured. Publishers wait at most so long for a subscriber that acknowledges nothing.',
      1,
      300,
      5,
    ),
    subscriptionsPerClientMax: integer('Subscriptions of one client.', 1, 100_000, 1000),
    filtersPerPacketMax: integer('Topic filters of one SUBSCRIBE or UNSUBSCRIBE.', 1, 100_000, 1000),
    userPropertiesMax: integer('User properties of one packet (MQTT 5).', 0, 10_000, 100),
    replaysPerClientMax: integer(
      'Subscriptions of one client to the history of a stream ($replay/STREAM/...).',
      0,
      1000,
      8,
    ),
    replaysMax: integer(
      'The same of all clients that are connected; each holds 64 KiB and a batch of each partition. One user has half of them at most. One more is ' +
        'refused; that of a session which comes back waits until another one ends.',
      0,
      100_000,
      100,
    ),
    sessionsMax: integer(
      'Sessions that stay when their connection ends. For one more the one of the same user ends that has been away for longest.',
      1,
      1_000_000,
      10_000,
    ),
    sessionsPerUserMax: Type.Optional(
      Type.Integer({
        description:
          'The same of one user, where there are users; clients without a name are one. Without this key: a tenth of sessionsMax.',
        minimum: 1,
        maximum: 1_000_000,
        examples: [1000],
      }),
    ),
    sessionExpirySecondsMax: integer(
      `How long a session stays without a connection, at most; ${NEVER_SECONDS}: for ever.`,
      0,
      NEVER_SECONDS,
      NEVER_SECONDS,
    ),
    willsBytesMax: integer(
      'Bytes of all wills, topics and properties included; the wills of one user are a tenth of it at most. A client whose will is more is refused.',
      0,
      4_294_967_296,
      16_777_216,
    ),
    retainedMessagesMax: integer('Topics that have a retained message.', 0, 10_000_000, 10_000),
    retainedBytesMax: integer('Bytes of all retained messages.', 0, 4_294_967_296, 67_108_864),
  },
  { ...closed, description: 'What the broker takes at most, so that memory stays bounded.', default: {} },
)
