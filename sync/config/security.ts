/** How a connection to a cluster is encrypted, and who logs in. */
import { Type } from '@sinclair/typebox'
import { closed } from './common.ts'

export const tls = Type.Object(
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

export const sasl = Type.Object(
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
