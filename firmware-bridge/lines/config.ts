/** An entry of `links` for a device that prints lines of text. What runs imports this file's types alone. */
import { type Static, Type } from '@sinclair/typebox'
import { serialPort } from '../links/config.ts'
import { outlet } from '../outlet/config.ts'

const closed = { additionalProperties: false } as const

export const LineLinkSchema = Type.Object(
  {
    ...serialPort,
    protocol: Type.Literal('line', {
      description:
        'Lines of text, as a sketch prints them. They have no acknowledgement: what is lost is not repeated.',
    }),
    format: Type.Union(
      [
        Type.Literal('json'),
        Type.Literal('csv'),
        Type.Literal('key-value'),
        Type.Literal('plotter'),
        Type.Literal('text'),
      ],
      {
        description:
          'json: an object a line. csv: values, with a header line or columns. key-value: a=1 b=2. plotter: a:1 b:2 or 1,2, as for the ' +
          'plotter of the Arduino IDE. text: any line is a message.',
        shape: 'json, csv, key-value, plotter or text',
        examples: ['csv'],
      },
    ),
    topic: Type.String({
      description:
        'Where a line goes: %p is the name of the port, %{name} the value of that name in the line. With %k each value is a message by itself, ' +
        'and %k its name.',
      minLength: 1,
      maxLength: 1024,
      examples: ['plant/%p', 'plant/%{id}/%k'],
    }),
    columns: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        description: 'Names of the values, for csv; without it the device prints a header.',
        minItems: 1,
        maxItems: 256,
        uniqueItems: true,
        examples: [['temperature', 'humidity']],
      }),
    ),
    encoding: Type.Union([Type.Literal('utf8'), Type.Literal('latin1')], {
      description: 'How characters are written; a line that is not is malformed.',
      shape: 'utf8 or latin1',
      default: 'utf8',
    }),
    lineBytesMax: Type.Integer({
      description: 'The longest line, in bytes; a longer one is dropped.',
      minimum: 16,
      maximum: 65_536,
      default: 1024,
    }),
    whenFull: Type.Union([Type.Literal('drop-oldest'), Type.Literal('pause')], {
      description:
        'What happens when the queue is full. pause: the port is not read, which helps where the device stops then (rtscts), and loses lines ' +
        'uncounted where it does not.',
      shape: 'drop-oldest or pause',
      default: 'drop-oldest',
    }),
    ...outlet('greenhouse'),
  },
  { ...closed, description: 'a device that prints lines of text on a serial port' },
)

export type LineLinkConfig = Static<typeof LineLinkSchema>
