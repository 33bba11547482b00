/** How a connection upstream is encrypted, and who logs in. `secret: true` marks a value that no output shows. */
import { type Static, Type } from '@sinclair/typebox'
import { closed } from './common.ts'

export const file = (description: string) =>
  Type.Optional(Type.String({ description, minLength: 1, path: true }))
export const variable = (description: string) => Type.Optional(Type.String({ description, minLength: 1 }))
export const secret = (description: string) =>
  Type.Optional(Type.String({ description, minLength: 1, secret: true }))

/** One of them is given. */
export const password = {
  passwordFile: file('A file with the password; read for each connection, so that it can change.'),
  passwordEnv: variable('The environment variable with the password.'),
  password: secret('The password itself; better one of the two above.'),
}

export const tls = Type.Object(
  {
    caFile: file(
      "The certificate authorities that sign the other side's certificates, PEM; without it the system's own.",
    ),
    certFile: file("This device's certificate and the chain to its authority, PEM."),
    keyFile: file("This device's private key, PEM."),
    keyPasswordFile: file('A file with the password of an encrypted private key.'),
    keyPasswordEnv: variable('The environment variable with the password of an encrypted private key.'),
    serverName: Type.Optional(
      Type.String({
        description: "The name in the other side's certificates, where it is not that of their address.",
        minLength: 1,
      }),
    ),
  },
  {
    ...closed,
    description:
      'Encrypted connections; {} uses what the system trusts. A file that changes is used within a minute.',
  },
)

export type TlsConfig = Static<typeof tls>

const oauth = Type.Object(
  {
    tokenEndpoint: Type.Optional(
      Type.String({
        description: 'Where a token is fetched (client credentials), and fetched again before it expires.',
        pattern: '^https?://[^\\s/@]+(/[^\\s]*)?$',
        shape: 'an http(s) URL without a user in it',
        examples: ['https://login.example.org/oauth2/token'],
      }),
    ),
    clientId: Type.Optional(Type.String({ description: "This device's client id.", minLength: 1 })),
    clientSecretFile: file('A file with the client secret; read for each token, so that it can change.'),
    clientSecretEnv: variable('The environment variable with the client secret.'),
    clientSecret: secret('The client secret itself; better one of the two above.'),
    scope: Type.Optional(Type.String({ description: 'What the token is asked for.', minLength: 1 })),
    audience: Type.Optional(
      Type.String({ description: 'Whom the token is for, where the endpoint asks.', minLength: 1 }),
    ),
    caFile: file("The certificate authority of the token endpoint, PEM; without it the system's own."),
    tokenFile: file('Instead of an endpoint: a file with the token, which something else keeps fresh.'),
    extensions: Type.Record(Type.String(), Type.String(), {
      description: 'SASL extensions sent with the token, such as logicalCluster.',
      default: {},
    }),
  },
  { ...closed, description: 'A token: from tokenEndpoint, or from tokenFile.' },
)

export type OauthConfig = Static<typeof oauth>

export const sasl = Type.Object(
  {
    mechanism: Type.Union(
      [
        Type.Literal('PLAIN'),
        Type.Literal('SCRAM-SHA-256'),
        Type.Literal('SCRAM-SHA-512'),
        Type.Literal('OAUTHBEARER'),
      ],
      {
        description: 'How to log in. PLAIN shows the password to the other side: use it with tls.',
        default: 'SCRAM-SHA-512',
      },
    ),
    username: Type.Optional(Type.String({ description: 'The user; not with OAUTHBEARER.', minLength: 1 })),
    ...password,
    oauth: Type.Optional(oauth),
  },
  { ...closed, description: 'Credentials; one of passwordFile, passwordEnv and password, or oauth.' },
)

export type SaslConfig = Static<typeof sasl>
