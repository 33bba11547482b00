/** A NATS server's or cluster's configuration. */
import { type Static, Type } from '@sinclair/typebox'
import { addresses, backoff, closed, named, round } from './common.ts'
import { link } from './link.ts'
import { file, password, secret, tls, variable } from './security.ts'

const login = Type.Object(
  {
    user: Type.Optional(Type.String({ description: 'The user, together with a password.', minLength: 1 })),
    ...password,
    tokenFile: file('A file with a token; read for each connection.'),
    tokenEnv: variable('The environment variable with a token.'),
    token: secret('The token itself; better one of the two above.'),
    nkeyFile: file("A file with the seed of this device's NKey."),
    credsFile: file('A credentials file (JWT and seed), as `nsc generate creds` writes it.'),
  },
  {
    ...closed,
    description:
      'Who logs in: a user with its password, a token, an NKey or a credentials file; one of them.',
  },
)

const newStream = Type.Object(
  {
    replicas: Type.Integer({
      description:
        'Servers that hold the stream. With 3 an acknowledgement outlives the power of any one of them.',
      minimum: 1,
      maximum: 5,
      default: 1,
    }),
    storage: Type.Union([Type.Literal('file'), Type.Literal('memory')], {
      description: 'file: on disk. memory: gone when its servers restart.',
      default: 'file',
    }),
    bytesMax: Type.Integer({
      description: 'Bytes that the stream holds, -1 for no limit; the oldest messages go first.',
      minimum: -1,
      maximum: Number.MAX_SAFE_INTEGER,
      default: -1,
    }),
    ageHoursMax: Type.Integer({
      description: 'Hours that the stream keeps a message, 0 for ever.',
      minimum: 0,
      maximum: 876_000,
      default: 0,
    }),
  },
  { ...closed, description: 'What a stream that is created is like.', default: {} },
)

const NAME_TEMPLATE = '^([A-Za-z0-9_-]|\\{edge\\}|\\{stream\\}){1,200}$'

const subject = {
  pattern: '^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$',
  maxLength: 200,
  shape: 'words of letters, digits, "_" and "-", joined by dots',
}

export const NatsUpstreamSchema = Type.Object(
  {
    name: named('jetstream'),
    kind: Type.Literal('nats', { description: 'NATS JetStream 2.9 or newer, exactly once.' }),
    servers: addresses(
      'Servers of one cluster, as host:port; one that answers is enough.',
      'nats.example.org:4222',
    ),
    stream: Type.String({
      description: 'The JetStream stream; {edge} and {stream} stand for their names, with %2E for each dot.',
      pattern: NAME_TEMPLATE,
      shape: 'letters, digits, "_", "-", {edge} and {stream}',
      default: 'headwater',
    }),
    subjectPrefix: Type.String({
      description:
        'Messages go to the subject PREFIX.EDGE.STREAM.PARTITION, with %2E for each dot in a name.',
      ...subject,
      default: 'headwater',
    }),
    createStream: Type.Boolean({
      description: 'Create a JetStream stream that does not exist, as newStream says.',
      default: false,
    }),
    newStream,
    domain: Type.Optional(
      Type.String({
        description: 'The JetStream domain, where the stream is behind a leaf node.',
        pattern: '^[A-Za-z0-9_-]{1,100}$',
        shape: 'letters, digits, "_" and "-"',
      }),
    ),
    inboxPrefix: Type.String({
      description:
        'Answers come to subjects below this; users who may not subscribe to _INBOX.> need another.',
      ...subject,
      default: '_INBOX',
    }),
    messageBytesMax: Type.Integer({
      description:
        "Bytes of one message, within the server's max_payload. A partition has one message on its way at a time: " +
        'over a long link larger ones are faster.',
      minimum: 1024,
      maximum: 67_108_864,
      default: 524_288,
    }),
    ackMs: Type.Integer({
      description: 'How long an answer of the server may take, in ms.',
      minimum: 1000,
      maximum: 900_000,
      default: 10_000,
    }),
    tls: Type.Optional(tls),
    login: Type.Optional(login),
    round: round(4_194_304, 100, 'Each partition in a round is at least one message.'),
    backoff,
    ...link,
  },
  { ...closed, description: 'NATS JetStream' },
)

export type NatsUpstreamConfig = Static<typeof NatsUpstreamSchema>
