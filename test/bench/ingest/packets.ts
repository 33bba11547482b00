/** MQTT packets, encoded before the clock runs, and the ones that come back, read in place. */
import { generate, type IConnackPacket, type IConnectPacket, type Packet, parser } from 'mqtt-packet'
import { Payloads } from '../payloads.ts'
import { credentialsOf, type Manner, versionOf } from './manner.ts'

const PUBLISH = 0x30
const PUBACK = 0x40
const PACKET_ID_BYTES = 2
/** MQTT 5, section 3.4.2.1: from here on a reason code is a refusal. */
const REFUSED_MIN = 0x80
/** MQTT 5, section 3.2.2.3.3: what counts where the server names none. */
const RECEIVE_MAXIMUM = 65_535

export const DISCONNECT = Buffer.from([0xe0, 0])

/** A clean session; without keep-alive where none is given. */
export function connectPacket(clientId: string, manner: Manner, keepalive = 0): Buffer {
  const credentials = credentialsOf(manner)
  const packet: IConnectPacket = {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: versionOf(manner),
    clientId,
    clean: true,
    keepalive,
    ...(credentials && { username: credentials.name, password: Buffer.from(credentials.password) }),
  }
  return encoded(packet, manner)
}

export function encoded(packet: Packet, manner: Manner): Buffer {
  return generate(packet, { protocolVersion: versionOf(manner) })
}

export function connackAccepted(version: 4 | 5): Buffer {
  return Buffer.from(version === 5 ? [0x20, 3, 0, 0, 0] : [0x20, 2, 0, 0])
}

/** Packets of any kind, decoded: for what is not in a hurry. */
export class PacketReader {
  readonly #parser: ReturnType<typeof parser>
  readonly #packets: Packet[] = []

  constructor(manner: Manner) {
    this.#parser = parser({ protocolVersion: versionOf(manner) })
    this.#parser.on('packet', (packet: Packet) => this.#packets.push(packet))
    this.#parser.on('error', (error: Error) => {
      throw error
    })
  }

  /** @returns those that are whole now */
  read(bytes: Buffer): Packet[] {
    // the parser keeps views, and this may be a buffer that is read into again
    this.#parser.parse(Buffer.from(bytes))
    return this.#packets.splice(0)
  }
}

/** @returns how many messages of QoS 1 and 2 may be in flight. @throws where it is a refusal */
export function receiveMaximumOf({ returnCode, reasonCode, properties }: IConnackPacket): number {
  const code = reasonCode ?? returnCode
  if (code) throw new Error(`the server refused with code ${code}`)
  return properties?.receiveMaximum ?? RECEIVE_MAXIMUM
}

/** What a place of the ring holds: so many messages of QoS 0, then so many of QoS 1. */
export interface EntryShape {
  readonly qos0: number
  readonly qos1: 0 | 1
}

export interface RingOptions {
  readonly topic: string
  readonly payloadBytes: number
  readonly manner: Manner
  readonly entry: EntryShape
  readonly count: number
  /** Rings of different rows have different payloads. */
  readonly row: number
}

/**
 * Entries of one topic and one size, those with QoS 1 with the packet ids 1 to `count`, one after the other: sending is a slice. An id
 * is used again a ring later, so no more than `count` may be in flight.
 */
export class PublishRing {
  readonly count: number
  readonly entry: EntryShape
  readonly entryBytes: number
  readonly #bytes: Buffer

  constructor({ topic, payloadBytes, manner, entry, count, row }: RingOptions) {
    const payloads = new Payloads(payloadBytes, row)
    const properties = versionOf(manner) === 5 ? [0] : []
    const head = Buffer.concat([text(topic)])
    const packets: Buffer[] = []
    for (let id = 1; id <= count; id++) {
      for (let i = 0; i < entry.qos0; i++) {
        packets.push(packet(PUBLISH, [head, Buffer.from(properties), payloads.next()]))
      }
      if (entry.qos1 === 0) continue
      packets.push(packet(PUBLISH | 2, [head, Buffer.from([...idBytes(id), ...properties]), payloads.next()]))
    }
    this.count = count
    this.entry = entry
    this.#bytes = Buffer.concat(packets)
    this.entryBytes = this.#bytes.length / count
  }

  get messages(): number {
    return this.entry.qos0 + this.entry.qos1
  }

  /** `n` entries from the one at place `from` (0 is id 1): one slice, or two over the ring's end. */
  slices(from: number, n: number): Buffer[] {
    return ringSlices(this.#bytes, this.entryBytes, this.count, from, n)
  }
}

/** The PUBACKs to such a ring, in its order. */
export class PubackRing {
  readonly #count: number
  readonly #bytes: Buffer

  constructor(count: number) {
    this.#count = count
    this.#bytes = Buffer.concat(Array.from({ length: count }, (_, i) => pubackPacket(i + 1)))
  }

  slices(from: number, n: number): Buffer[] {
    return ringSlices(this.#bytes, PUBACK_BYTES, this.#count, from, n)
  }
}

const PUBACK_BYTES = 4

export function pubackPacket(id: number): Buffer {
  return packet(PUBACK, [Buffer.from(idBytes(id))])
}

/**
 * The bytes of the PUBACK at `at`; 0 where it is not whole yet. With MQTT 5 a reason code can follow the id, and properties.
 * @throws where another packet stands, since this client asked for nothing else, and where it is a refusal
 */
export function pubackBytes(bytes: Buffer, at: number): number {
  if (at + 2 > bytes.length) return 0
  const rest = bytes[at + 1]!
  if (bytes[at] !== PUBACK || rest < 2 || rest > 127) {
    throw new Error(`the server sent a packet of type ${bytes[at]! >> 4} where a PUBACK was expected`)
  }
  if (at + 2 + rest > bytes.length) return 0
  if (rest > 2 && bytes[at + 4]! >= REFUSED_MIN) throw new Error(`the server refused with ${bytes[at + 4]}`)
  return 2 + rest
}

export function pubackId(bytes: Buffer, at: number): number {
  return (bytes[at + 2]! << 8) | bytes[at + 3]!
}

/** A PUBLISH as subscribers get it. */
export function deliveryBytes(topic: string, payloadBytes: number, manner: Manner, qos: 0 | 1): number {
  const properties = versionOf(manner) === 5 ? 1 : 0
  const rest = 2 + Buffer.byteLength(topic) + (qos === 1 ? PACKET_ID_BYTES : 0) + properties + payloadBytes
  return 1 + remainingLength(rest).length + rest
}

export function entryBytes(
  entry: EntryShape,
  { topic, payloadBytes, manner }: Pick<RingOptions, 'topic' | 'payloadBytes' | 'manner'>,
): number {
  return (
    entry.qos0 * deliveryBytes(topic, payloadBytes, manner, 0) +
    entry.qos1 * deliveryBytes(topic, payloadBytes, manner, 1)
  )
}

function ringSlices(bytes: Buffer, each: number, count: number, from: number, n: number): Buffer[] {
  const end = from + n
  if (end <= count) return [bytes.subarray(from * each, end * each)]
  return [bytes.subarray(from * each), bytes.subarray(0, (end - count) * each)]
}

function packet(firstByte: number, rest: readonly Buffer[]): Buffer {
  const length = rest.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Buffer.from([firstByte, ...remainingLength(length)]), ...rest])
}

/** MQTT 3.1.1, section 2.2.3. */
function remainingLength(length: number): number[] {
  const bytes: number[] = []
  let left = length
  do {
    const low = left % 128
    left = Math.floor(left / 128)
    bytes.push(left > 0 ? low | 0x80 : low)
  } while (left > 0)
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from(idBytes(bytes.length)), bytes])
}

function idBytes(id: number): [number, number] {
  return [id >> 8, id & 0xff]
}
