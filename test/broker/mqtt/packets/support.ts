/** Packets written by hand, and what the decoders say of them. */
import { type Packet, parser } from 'mqtt-packet'
import { decodeConnect } from '../../../../broker/mqtt/packets/connect-decoder.ts'
import { type Frame, FrameScanner } from '../../../../broker/mqtt/packets/frame-scanner.ts'
import { DEFAULT_PACKET_LIMITS, type PacketLimits } from '../../../../broker/mqtt/packets/limits.ts'
import type { ClientPacket, Connect, ProtocolVersion } from '../../../../broker/mqtt/packets/packet.ts'
import { decodePacket } from '../../../../broker/mqtt/packets/packet-decoder.ts'
import { MqttProtocolError } from '../../../../broker/mqtt/packets/protocol-error.ts'

export const limits: PacketLimits = DEFAULT_PACKET_LIMITS

/** Bytes of hex (blanks allowed), of a text, or as they are. */
export type Part = string | Uint8Array | number

/** A length of 16 bits and the bytes. */
export function text(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

export function hex(value: string): Buffer {
  return Buffer.from(value.replaceAll(' ', ''), 'hex')
}

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Strings are hex, numbers bytes. */
export function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === 'number' ? Buffer.from([part]) : typeof part === 'string' ? hex(part) : part,
    ),
  )
}

export function variable(value: number): Buffer {
  const found: number[] = []
  let left = value
  do {
    found.push((left % 128) | (left >= 128 ? 0x80 : 0))
    left = Math.floor(left / 128)
  } while (left > 0)
  return Buffer.from(found)
}

/** A whole packet with the right remaining length. */
export function packet(first: number, ...parts: readonly Part[]): Buffer {
  const body = bytes(...parts)
  return Buffer.concat([Buffer.from([first]), variable(body.length), body])
}

/** Properties with their length. */
export function properties(...parts: readonly Part[]): Buffer {
  const all = bytes(...parts)
  return Buffer.concat([variable(all.length), all])
}

export function frameOf(whole: Uint8Array): Frame {
  const scanner = new FrameScanner(limits.packetBytesMax, 'any')
  scanner.push(Buffer.from(whole))
  const frame = scanner.next()
  if (frame === null) throw new Error('not a whole packet')
  if (!scanner.isEmpty) throw new Error('more than one packet')
  return frame
}

export function decode(
  version: ProtocolVersion,
  whole: Uint8Array,
  of: Partial<PacketLimits> = {},
): ClientPacket {
  return decodePacket(frameOf(whole), version, { ...limits, ...of })
}

export function decodeOf<Type extends ClientPacket['type']>(
  type: Type,
  version: ProtocolVersion,
  whole: Uint8Array,
): Extract<ClientPacket, { type: Type }> {
  const found = decode(version, whole)
  if (found.type !== type) throw new Error(`a ${found.type}, not a ${type}`)
  return found as Extract<ClientPacket, { type: Type }>
}

export function connectOf(whole: Uint8Array, of: Partial<PacketLimits> = {}): Connect {
  return decodeConnect(frameOf(whole), { ...limits, ...of })
}

/** Why it was refused: `0x81 MQTT-1.5.4-1`. A test that expects it fails where nothing is refused. */
export function refusal(act: () => unknown): string {
  const { reasonCode, clause } = refused(act)
  return `0x${reasonCode.toString(16)} ${clause}`
}

export function refused(act: () => unknown): MqttProtocolError {
  try {
    act()
  } catch (error) {
    if (error instanceof MqttProtocolError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

/** Why a packet was refused. */
export function refusalOf(
  version: ProtocolVersion,
  whole: Uint8Array,
  of: Partial<PacketLimits> = {},
): string {
  return refusal(() => decode(version, whole, of))
}

export interface ConnectParts {
  readonly version?: ProtocolVersion
  readonly name?: string
  readonly level?: number
  readonly flags?: number
  readonly keepAlive?: number
  /** Without their length. MQTT 5. */
  readonly properties?: Uint8Array
  readonly payload?: readonly Part[]
  readonly first?: number
}

/** A CONNECT: of client "p" with a clean start, where nothing else is said. */
export function connectBytes(parts: ConnectParts = {}): Buffer {
  const version = parts.version ?? 5
  const head = bytes(
    text(parts.name ?? (version === 3 ? 'MQIsdp' : 'MQTT')),
    parts.level ?? version,
    parts.flags ?? 0x02,
    u16(parts.keepAlive ?? 10),
  )
  const all = version === 5 ? properties(parts.properties ?? Buffer.alloc(0)) : Buffer.alloc(0)
  return packet(parts.first ?? 0x10, head, all, ...(parts.payload ?? [text('p')]))
}

/** How another reads a server's packet: one, and nothing after it. */
export function parsed(whole: Uint8Array | null, version: ProtocolVersion = 5): Packet {
  const found: Packet[] = []
  const other = parser({ protocolVersion: version })
  other.on('packet', (packet) => found.push(packet))
  other.on('error', (error) => {
    throw error
  })
  const left = other.parse(Buffer.from(whole ?? []))
  if (left !== 0 || found.length !== 1) throw new Error(`${found.length} packets and ${left} bytes`)
  return found[0]!
}
