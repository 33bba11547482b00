/**
 * What an entry of `links` says about the port or socket itself. Loading TypeBox takes 8 MB of memory: what runs imports this file's
 * types alone.
 */
import { type Static, Type } from '@sinclair/typebox'
import { MESSAGE_BYTES_LIMIT } from '../framing/frame.ts'

const closed = { additionalProperties: false } as const

/** What every serial link has, whatever is spoken on it. */
export const serialPort = {
  kind: Type.Literal('serial', { description: 'A serial port: a UART, a USB adapter, a board on USB.' }),
  port: Type.String({
    description:
      'The port, best by a name in /dev/serial/by-id or by-path: /dev/ttyUSB0 may be another one after the next start.',
    pattern: '^/[^\\u0000-\\u001f]{1,255}$',
    shape: 'the path of a serial port, such as /dev/serial/by-id/usb-...',
    examples: ['/dev/serial/by-id/usb-Arduino_Uno-if00'],
  }),
  baudRate: Type.Integer({
    description: 'Bits a second; the device has the same.',
    minimum: 50,
    maximum: 4_000_000,
    default: 115_200,
  }),
  dataBits: Type.Union([Type.Literal(8), Type.Literal(7)], {
    description: 'Bits of a character.',
    shape: '8 or 7',
    default: 8,
  }),
  parity: Type.Union([Type.Literal('none'), Type.Literal('even'), Type.Literal('odd')], {
    description: 'The parity bit of a character.',
    shape: 'none, even or odd',
    default: 'none',
  }),
  stopBits: Type.Union([Type.Literal(1), Type.Literal(2)], {
    description: 'Stop bits of a character.',
    shape: '1 or 2',
    default: 1,
  }),
  rtscts: Type.Boolean({
    description:
      'Flow control by the lines RTS and CTS, where the device has them: nothing is lost when one side is busy.',
    default: false,
  }),
  resetOnOpen: Type.Boolean({
    description: 'Reset the device when the port is opened, by a pulse on DTR, as Arduinos are.',
    default: false,
  }),
  sendBufferBytesMax: Type.Integer({
    description: 'Bytes that wait to be sent to the device, at most.',
    minimum: 512,
    maximum: 1_048_576,
    default: 8192,
  }),
}

const messageBytesMax = (limit: number, usual: number, why: string) =>
  Type.Integer({
    description: `The longest MQTT-SN message, in bytes, in either direction; ${why}.`,
    minimum: 32,
    maximum: limit,
    default: usual,
  })

const retryMs = (usual: number, why: string) =>
  Type.Integer({
    description: `How long an acknowledgement of the device may take until its message is repeated, in ms; ${why}.`,
    minimum: 50,
    maximum: 600_000,
    default: usual,
  })

export const SerialLinkSchema = Type.Object(
  {
    ...serialPort,
    protocol: Type.Literal('mqtt-sn', { description: 'MQTT-SN in frames with a checksum (COBS, CRC-16).' }),
    messageBytesMax: messageBytesMax(MESSAGE_BYTES_LIMIT, 128, 'devices have a buffer of this size'),
    retryMs: retryMs(1000, 'at 9600 baud a message of 128 bytes takes 140 ms one way'),
  },
  { ...closed, description: 'devices that speak MQTT-SN over a serial port' },
)

export const UdpLinkSchema = Type.Object(
  {
    kind: Type.Literal('udp', { description: 'MQTT-SN over UDP, one message a datagram.' }),
    address: Type.String({
      description:
        'Where to listen, as address:port. There is no password in MQTT-SN: name an address that only devices reach, and see allow.',
      pattern: '^(\\[[0-9a-fA-F:.]+(%[A-Za-z0-9._-]+)?\\]|[0-9.]+):[0-9]{1,5}$',
      shape: 'address:port, an IPv6 address in brackets',
      examples: ['127.0.0.1:1884', '[::1]:1884'],
    }),
    allow: Type.Array(
      Type.String({
        pattern: '^[0-9a-fA-F:.]{2,45}(/[0-9]{1,3})?$',
        shape: 'an IP address, or a network as 192.0.2.0/24',
      }),
      {
        description: 'Addresses and networks whose datagrams are taken; [] is all.',
        maxItems: 256,
        default: [],
        examples: [['192.0.2.0/24']],
      },
    ),
    multicast: Type.Optional(
      Type.String({
        description:
          'A multicast group, as address:port, on which gateways are searched for and make themselves known; without it none is joined.',
        pattern: '^(\\[[fF][fF][0-9a-fA-F:]+\\]|2(2[4-9]|3[0-9])\\.[0-9.]+):[0-9]{1,5}$',
        shape: 'a multicast address and a port',
        examples: ['225.1.1.1:1883'],
      }),
    ),
    messageBytesMax: messageBytesMax(1452, 1024, 'above 1452 a datagram comes in fragments'),
    receiveBufferBytes: Type.Integer({
      description:
        'Bytes that the system holds for this socket; what comes beyond is lost, and devices repeat it.',
      minimum: 4096,
      maximum: 16_777_216,
      default: 1_048_576,
    }),
    sendBufferBytesMax: Type.Integer({
      description: 'Bytes that wait to be sent, at most.',
      minimum: 4096,
      maximum: 16_777_216,
      default: 262_144,
    }),
    retryMs: retryMs(10_000, 'MQTT-SN recommends 10 to 15 seconds'),
  },
  { ...closed, description: 'devices that speak MQTT-SN over UDP' },
)

export type SerialLinkConfig = Static<typeof SerialLinkSchema>
export type UdpLinkConfig = Static<typeof UdpLinkSchema>
