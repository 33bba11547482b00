/** The part of the configuration's schema that is about the dashboard, the HTTP API and the metrics. */
import { Type } from '@sinclair/typebox'

export const HttpSchema = Type.Object(
  {
    address: Type.Union([Type.String(), Type.Null()], {
      description:
        'Where to listen: host:port, [IPv6]:port, or a port in quotes for every interface; null: nowhere. Other addresses than ' +
        '127.0.0.1 and [::1] are reached from other machines, and need a token.',
      shape: 'host:port, [IPv6]:port, a port in quotes, or null',
      default: '127.0.0.1:9180',
      examples: ['127.0.0.1:9180'],
    }),
    tokenFile: Type.Optional(
      Type.String({
        description:
          'A file with a token of at least 16 characters. With it all but /health and the page itself asks for the token, also from ' +
          'this machine. Without it this machine alone is answered. It is read again when it changes.',
        minLength: 1,
        path: true,
        shape: 'a file',
        examples: ['/etc/headwater/http-token'],
      }),
    ),
    allowedHosts: Type.Array(
      Type.String({
        pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$',
        shape: 'a host name without a port',
      }),
      {
        description:
          'Names by which browsers may call it, besides localhost, addresses in numbers, and the name of this machine; such as that of a proxy.',
        maxItems: 64,
        default: [],
        examples: [['edge-17.example.org']],
      },
    ),
  },
  {
    additionalProperties: false,
    description: 'The dashboard, the HTTP API and the metrics for Prometheus.',
    default: {},
  },
)
