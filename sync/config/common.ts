/** What every upstream's configuration has. */
import { Type } from '@sinclair/typebox'

export const closed = { additionalProperties: false } as const

export const named = (example: string) =>
  Type.String({
    description:
      'Names this upstream in status, logs and commands; what is remembered of it is kept under this name.',
    pattern: '^[A-Za-z0-9._-]{1,64}$',
    shape: '1 to 64 letters, digits, ".", "_" or "-"',
    examples: [example],
  })

export const name = named('central')

/** host:port, an IPv6 address in brackets. */
export function addresses(description: string, example: string) {
  const shape = 'host:port'
  return Type.Array(Type.String({ pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\s]+):[0-9]{1,5}$', shape }), {
    description,
    minItems: 1,
    maxItems: 32,
    examples: [[example]],
  })
}

export const backoff = Type.Object(
  {
    firstMs: Type.Integer({
      description: 'Wait after a first failure, in ms; it doubles with each further one.',
      minimum: 10,
      maximum: 60_000,
      default: 1000,
    }),
    msMax: Type.Integer({
      description: 'The longest wait, in ms: a link that comes back is used within it.',
      minimum: 100,
      maximum: 3_600_000,
      default: 20_000,
    }),
  },
  { ...closed, description: 'How long to wait before trying again.', default: {} },
)

export function round(bytesMax: number, lingerMs: number, why: string) {
  return Type.Object(
    {
      bytesMax: Type.Integer({
        description:
          'Bytes that are sent and acknowledged at once, at most; memory is bounded by about four times as much. ' +
          'Rounds are smaller on a link on which they would take longer than two seconds.',
        minimum: 16_384,
        maximum: 67_108_864,
        default: bytesMax,
      }),
      lingerMs: Type.Integer({
        description: `How long records gather after the first one when upstream is up to date, in ms. ${why}`,
        minimum: 0,
        maximum: 3_600_000,
        default: lingerMs,
      }),
    },
    { ...closed, description: 'What is sent at once.', default: {} },
  )
}
