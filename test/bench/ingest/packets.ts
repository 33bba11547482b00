/** MQTT 3.1.1 packets, encoded before the clock runs. */
import { Payloads } from '../payloads.ts'

const PUBLISH_QOS_1 = 0x32
const PUBACK = 0x40
export const CONNACK = 0x20
export const PUBACK_BYTES = 4
const PACKET_ID_BYTES = 2

/** A clean session without keep-alive. */
export function connectPacket(clientId: string): Buffer {
  const variable = Buffer.from([0, 4, ...Buffer.from('MQTT'), 4, 0x02, 0, 0])
  return packet(0x10, Buffer.concat([variable, text(clientId)]))
}

export const CONNACK_ACCEPTED = Buffer.from([CONNACK, 2, 0, 0])
export const DISCONNECT = Buffer.from([0xe0, 0])

/**
 * PUBLISH packets of one topic and one size with the packet ids 1 to `count`, one after the other: sending is a slice. An id
 * is used again a ring later, so no more than `count` may be in flight.
 */
export class PublishRing {
  readonly count: number
  readonly packetBytes: number
  readonly #bytes: Buffer

  constructor(topic: string, payloadBytes: number, count: number, row: number) {
    const payloads = new Payloads(payloadBytes, row)
    const packets: Buffer[] = []
    for (let id = 1; id <= count; id++) {
      packets.push(packet(PUBLISH_QOS_1, Buffer.concat([text(topic), idBytes(id), payloads.next()])))
    }
    this.count = count
    this.packetBytes = packets[0]!.length
    this.#bytes = Buffer.concat(packets)
  }

  /** `n` packets from the one at place `from` (0 is id 1): one slice, or two over the ring's end. */
  slices(from: number, n: number): Buffer[] {
    return ringSlices(this.#bytes, this.packetBytes, this.count, from, n)
  }
}

/** The PUBACKs to such a ring, in its order. */
export class PubackRing {
  readonly #count: number
  readonly #bytes: Buffer

  constructor(count: number) {
    this.#count = count
    const pubacks = Array.from({ length: count }, (_, i) => packet(PUBACK, idBytes(i + 1)))
    this.#bytes = Buffer.concat(pubacks)
  }

  slices(from: number, n: number): Buffer[] {
    return ringSlices(this.#bytes, PUBACK_BYTES, this.#count, from, n)
  }
}

/** The packet id of the PUBACK at `at`. @throws where another packet stands: this client asked for nothing else. */
export function pubackId(bytes: Buffer, at: number): number {
  if (bytes[at] !== PUBACK || bytes[at + 1] !== 2) {
    throw new Error(`the server sent a packet of type ${bytes[at]! >> 4} where a PUBACK was expected`)
  }
  return (bytes[at + 2]! << 8) | bytes[at + 3]!
}

export function publishPacketBytes(topic: string, payloadBytes: number): number {
  const rest = 2 + Buffer.byteLength(topic) + PACKET_ID_BYTES + payloadBytes
  return 1 + remainingLength(rest).length + rest
}

function ringSlices(bytes: Buffer, each: number, count: number, from: number, n: number): Buffer[] {
  const end = from + n
  if (end <= count) return [bytes.subarray(from * each, end * each)]
  return [bytes.subarray(from * each), bytes.subarray(0, (end - count) * each)]
}

function packet(firstByte: number, rest: Buffer): Buffer {
  return Buffer.concat([Buffer.from([firstByte, ...remainingLength(rest.length)]), rest])
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
  return Buffer.concat([idBytes(bytes.length), bytes])
}

function idBytes(id: number): Buffer {
  return Buffer.from([id >> 8, id & 0xff])
}
