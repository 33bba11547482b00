/** An entry of `links` for a bus of Modbus RTU devices. What runs imports this file's types alone. */
import { type Static, Type } from '@sinclair/typebox'
import { serialPort } from '../links/config.ts'
import { outlet } from '../outlet/config.ts'

const closed = { additionalProperties: false } as const

const RegisterSchema = Type.Object(
  {
    address: Type.Integer({
      description: 'Its address as on the wire, from 0: what manuals call 40001 is holding register 0.',
      minimum: 0,
      maximum: 65_535,
    }),
    kind: Type.Union(
      [Type.Literal('holding'), Type.Literal('input'), Type.Literal('coil'), Type.Literal('discrete')],
      {
        description: 'Which table it is in; coils and discrete inputs are true or false.',
        shape: 'holding, input, coil or discrete',
        default: 'holding',
      },
    ),
    type: Type.Union(
      [
        Type.Literal('uint16'),
        Type.Literal('int16'),
        Type.Literal('uint32'),
        Type.Literal('int32'),
        Type.Literal('float32'),
      ],
      {
        description: 'What is in it; 32 bits are in two registers.',
        shape: 'uint16, int16, uint32, int32 or float32',
        default: 'uint16',
      },
    ),
    wordOrder: Type.Union(
      [Type.Literal('abcd'), Type.Literal('cdab'), Type.Literal('badc'), Type.Literal('dcba')],
      {
        description:
          'The order of the bytes, a the highest. cdab: the low register comes first; badc and dcba: low bytes come first.',
        shape: 'abcd, cdab, badc or dcba',
        default: 'abcd',
      },
    ),
    scale: Type.Optional(Type.Number({ description: 'What it is multiplied with.', examples: [0.1] })),
    name: Type.Optional(
      Type.String({
        description: 'Its name in the JSON object; without it such as holding-0.',
        minLength: 1,
        maxLength: 64,
        examples: ['power'],
      }),
    ),
    topic: Type.Optional(
      Type.String({
        description:
          'A topic of its own for this value, as it is; then it is not in the object. %p, %u and %k as below.',
        minLength: 1,
        maxLength: 1024,
        examples: ['plant/meter/power'],
      }),
    ),
  },
  { ...closed, description: 'one value' },
)

const DeviceSchema = Type.Object(
  {
    unit: Type.Integer({ description: 'Its address on the bus.', minimum: 1, maximum: 247 }),
    schedule: Type.String({
      description:
        'When it is read: second, minute, hour, day, month, weekday, as in cron with seconds. "*/10 * * * * *" is every ten seconds.',
      shape: 'six fields as in cron, seconds first',
      minLength: 9,
      maxLength: 200,
      default: '*/10 * * * * *',
    }),
    topic: Type.String({
      description:
        'Where its values go as one JSON object: %p is the name of the port, %u the unit. With %k each value is a message by itself, and %k its name.',
      minLength: 1,
      maxLength: 1024,
      default: 'modbus/%p/%u',
    }),
    timeoutMs: Type.Integer({
      description: 'How long an answer may take, in ms.',
      minimum: 20,
      maximum: 60_000,
      default: 500,
    }),
    backoffSecondsMax: Type.Integer({
      description: 'A device that does not answer is asked less and less often, at least this often.',
      minimum: 1,
      maximum: 86_400,
      default: 60,
    }),
    registers: Type.Array(RegisterSchema, {
      description: 'What is read. Neighbours are read in one request.',
      minItems: 1,
      maxItems: 1000,
    }),
  },
  { ...closed, description: 'one device on the bus' },
)

export const ModbusLinkSchema = Type.Object(
  {
    ...serialPort,
    baudRate: Type.Integer({ ...serialPort.baudRate, default: 9600 }),
    protocol: Type.Literal('modbus', { description: 'Modbus RTU: the bridge asks, devices answer.' }),
    devices: Type.Array(DeviceSchema, {
      description: 'The devices on this bus.',
      minItems: 1,
      maxItems: 247,
    }),
    timezone: Type.String({
      description:
        'The time zone of the schedules, such as Europe/Berlin; system is the one of this machine.',
      minLength: 1,
      maxLength: 64,
      default: 'system',
    }),
    ...outlet('meters'),
  },
  { ...closed, description: 'devices that speak Modbus RTU on a serial port' },
)

export type RegisterConfig = Static<typeof RegisterSchema>
export type ModbusDeviceConfig = Static<typeof DeviceSchema>
export type ModbusLinkConfig = Static<typeof ModbusLinkSchema>
