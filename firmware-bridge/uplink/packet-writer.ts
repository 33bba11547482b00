/**
 * What a session sends most, PUBLISH and PUBREL, as one buffer and one write. mqtt-packet writes a PUBLISH with five user properties in thirty
 * pieces; each is a buffer for the stream and an entry of a writev for the kernel, which was the largest part of what a message cost.
 *
 *   PUBLISH := flags, length, topic, [packet id u16], [properties], payload
 *   PUBREL  := 62 02, packet id u16
 *   properties (MQTT 5) := length, { 26 name value }      topic, name, value := length u16, UTF-8      length alone: variable byte integer
 *
 * MQTT 5.0 sections 3.3 and 3.6. Topic "a", QoS 2, id 7, {b: "c"}, payload "x": 34 0e 00 01 61 00 07 07 26 00 01 62 00 01 63 78
 */
import { assert } from '../../broker/assert.ts'

const PUBLISH = 0x30
const PUBREL = 0x62
export const PUBREL_BYTES = 4
const USER_PROPERTY = 0x26
const LENGTH_BITS = 7
const LENGTH_MAX = 268_435_455
const TEXT_BYTES_MAX = 0xffff

export interface PublishParts {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  readonly isRetained: boolean
  readonly isDup: boolean
  /** Of QoS 1 and 2. */
  readonly packetId: number
  /** null: MQTT 3.1.1. */
  readonly properties: Readonly<Record<string, string>> | null
}

/** @param roomBytes left free before it */
export function encodePublish(parts: PublishParts, roomBytes = 0): Buffer {
  const { topic, payload, qos, isRetained, isDup, packetId, properties } = parts
  const propertyBytes = properties === null ? 0 : propertyBytesOf(properties)
  const headBytes = 2 + Buffer.byteLength(topic) + (qos > 0 ? 2 : 0)
  const rest =
    headBytes + (properties === null ? 0 : lengthBytes(propertyBytes) + propertyBytes) + payload.length
  assert(rest <= LENGTH_MAX, 'an MQTT packet has at most 256 MB')
  const bytes = Buffer.allocUnsafe(roomBytes + 1 + lengthBytes(rest) + rest)
  bytes[roomBytes] = PUBLISH | (isDup ? 8 : 0) | (qos << 1) | (isRetained ? 1 : 0)
  let at = writeText(bytes, writeLength(bytes, roomBytes + 1, rest), topic)
  if (qos > 0) at = bytes.writeUInt16BE(packetId, at)
  if (properties !== null) {
    at = writeLength(bytes, at, propertyBytes)
    for (const name in properties) {
      bytes[at] = USER_PROPERTY
      at = writeText(bytes, writeText(bytes, at + 1, name), properties[name]!)
    }
  }
  bytes.set(payload, at)
  return bytes
}

export function encodePubrel(packetId: number): Buffer {
  const bytes = Buffer.allocUnsafe(PUBREL_BYTES)
  writePubrel(bytes, 0, packetId)
  return bytes
}

export function writePubrel(bytes: Buffer, at: number, packetId: number): void {
  bytes[at] = PUBREL
  bytes[at + 1] = 2
  bytes[at + 2] = packetId >> 8
  bytes[at + 3] = packetId & 0xff
}

function propertyBytesOf(properties: Readonly<Record<string, string>>): number {
  let bytes = 0
  for (const name in properties) bytes += 5 + Buffer.byteLength(name) + Buffer.byteLength(properties[name]!)
  return bytes
}

function lengthBytes(length: number): number {
  let bytes = 1
  for (let left = length >>> LENGTH_BITS; left > 0; left >>>= LENGTH_BITS) bytes++
  return bytes
}

/** MQTT 5.0 section 1.5.5. @returns where the next byte goes, as all of these */
function writeLength(bytes: Buffer, at: number, length: number): number {
  let left = length
  while (left > 0x7f) {
    bytes[at++] = (left & 0x7f) | 0x80
    left >>>= LENGTH_BITS
  }
  bytes[at] = left
  return at + 1
}

function writeText(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 2)
  assert(length <= TEXT_BYTES_MAX, 'a text of MQTT has at most 65,535 bytes')
  bytes.writeUInt16BE(length, at)
  return at + 2 + length
}
