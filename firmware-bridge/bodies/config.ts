/** Entries of `devices.bodies`: what bodies of devices mean. What runs imports this file's types alone. */
import { type Static, Type } from '@sinclair/typebox'

const closed = { additionalProperties: false } as const

const FieldSchema = Type.Object(
  {
    name: Type.String({ description: 'Its name in the JSON object.', minLength: 1, maxLength: 64 }),
    scale: Type.Optional(
      Type.Number({
        description: 'What a number is multiplied with: 2150 and 0.01 are 21.5.',
        examples: [0.01],
      }),
    ),
    unit: Type.Optional(
      Type.String({ description: 'Its unit, for withUnits.', minLength: 1, maxLength: 32, examples: ['C'] }),
    ),
    // without a default here: defaults are not filled in within a record
    type: Type.Optional(
      Type.Union(
        [
          Type.Literal('any'),
          Type.Literal('number'),
          Type.Literal('integer'),
          Type.Literal('boolean'),
          Type.Literal('text'),
          Type.Literal('bytes'),
        ],
        {
          description:
            'What it must be, or an array of it; null is always taken. Another makes the body malformed. Without it any is taken.',
          shape: 'any, number, integer, boolean, text or bytes',
        },
      ),
    ),
  },
  { ...closed, description: 'one value' },
)

export const BodySchema = Type.Object(
  {
    clients: Type.String({
      description:
        'The devices, by client id; "*" stands for any characters. The first entry that fits a message is used.',
      minLength: 1,
      maxLength: 64,
      default: '*',
    }),
    topic: Type.String({
      description: 'The topics, as a filter with + and #.',
      minLength: 1,
      maxLength: 1024,
      default: '#',
    }),
    format: Type.Union([Type.Literal('opaque'), Type.Literal('cbor')], {
      description:
        'opaque: bytes go through as they are. cbor: a CBOR map with small whole numbers as keys becomes a JSON object.',
      shape: 'opaque or cbor',
      default: 'opaque',
    }),
    time: Type.Union([Type.Literal('none'), Type.Literal('prefix'), Type.Literal('key')], {
      description:
        "Where the device's own time is. prefix: 9 bytes before the body, 01 and Unix time in ms, high byte first, or 00 and 8 bytes of any kind " +
        'when it does not know the time. key: in timeKey of a CBOR map. It becomes the header bridge.device-time.',
      shape: 'none, prefix or key',
      default: 'none',
    }),
    timeKey: Type.Integer({
      description: 'The key of the time in a CBOR map, Unix time in ms.',
      minimum: -32_768,
      maximum: 65_535,
      default: 0,
    }),
    schema: Type.Record(Type.String({ pattern: '^-?(0|[1-9][0-9]{0,4})$' }), FieldSchema, {
      description:
        'The values of a CBOR map by their keys. Such as { 1: { name: temperature, scale: 0.01, unit: C } }.',
      default: {},
      examples: [{ 1: { name: 'temperature', scale: 0.01, unit: 'C' } }],
    }),
    unknownKeys: Type.Union([Type.Literal('keep'), Type.Literal('drop')], {
      description: 'What becomes of keys that schema does not have. keep: they are there under their number.',
      shape: 'keep or drop',
      default: 'keep',
    }),
    withUnits: Type.Boolean({
      description:
        'Write {"temperature":{"value":21.5,"unit":"C"}} where a unit is known, instead of {"temperature":21.5}.',
      default: false,
    }),
    malformed: Type.Union([Type.Literal('dead-letter'), Type.Literal('pass'), Type.Literal('refuse')], {
      description:
        'What becomes of a body that is not what this entry says. dead-letter: its bytes go to deadLetterTopic, with the reason in the header ' +
        'bridge.body-fault. pass: its bytes go where they were to go. refuse: the device is told, and nothing is kept.',
      shape: 'dead-letter, pass or refuse',
      default: 'dead-letter',
    }),
    deadLetterTopic: Type.String({
      description: 'Where malformed bodies go; %c is the client id, or "unconnected".',
      minLength: 1,
      maxLength: 1024,
      default: 'headwater-bridge/dead-letter/%c',
    }),
  },
  { ...closed, description: 'one kind of body' },
)

export type FieldConfig = Static<typeof FieldSchema>
export type BodyConfig = Static<typeof BodySchema>
