/**
 * What `DATA/mqtt` holds: one LevelDB. On disk: never change.
 *
 *   meta         := 00                                  -> cbor { "format": 1, "sessions": next session number }
 *   session      := 01 session                          -> cbor [clientId, expirySeconds, user | null]            fact
 *   subscription := 02 session filter:utf8              -> qos + 4 noLocal + 8 retainAsPublished : u8, identifier:varint (0 none)   fact
 *   will         := 03 session                          -> cbor [clientId, delaySeconds, message, user | null]    fact
 *   late will    := 03 session 01                       -> the same: its client is back, and it could not be published yet
 *   qos2         := 04 session partition:u32 offset:u64 -> seq:varint packetId:varint flags:u8 identifier:varint*     fact
 *                                                          flags: 1 retained, 2 released (PUBREC came)
 *   inline       := 05 number:u64                       -> message                a message that no stream holds, or a copy of a retained one: fact
 *   away         := 06 session                          -> ends:varint will:varint      without a connection since; ms of session time, -1 never
 *   chunk        := 07 session chunk:u32                -> delivery-table.ts
 *   feed         := 08 session filter:utf8              -> (nothing)              its retained messages have not all been delivered
 *   retained     := 09 topic:utf8                       -> expires:varint message       ms of session time, -1 never
 *   applied      := 0a partition:u32                    -> offset:varint          records below are in all of the above
 *   replay       := 0c session filter:utf8              -> ../replay/replay-position.ts
 *   packetId     := 0d session                          -> packetId:varint        the one given out last: packet-ids.ts
 *   time         := 0b                                  -> cbor [time, anchorTime, anchorWall]         session-clock.ts
 *
 *   message := cbor [topic, payload, qos, retain, timestamp, clientId, [partition, offset] | null, properties | null]
 *
 * Numbers in keys are big-endian, `session` is u32, varints are zigzag (log/varint.ts). `filter` is as the client wrote it, `$share/…`
 * included. Each value stands behind a checksum: value := crc:u32le payload, crc = CRC-32C of the key and the payload.
 *
 * Facts are written with fsync before what hangs on them is answered. The rest is derived from the log, and written in one batch with
 * `applied`.
 */
import { Decoder, Encoder } from 'cbor-x/encode'
import { cursor, readVarint, writeVarint } from '../../log/varint.ts'
import { crc32c } from '../../storage/crc32c.ts'
import type { Message } from '../hub/message.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { MessageProperties, QoS, Will } from '../packets/packet.ts'
import type { StoredTime } from './session-clock.ts'

export const FORMAT = 1

export const KIND = {
  meta: 0x00,
  session: 0x01,
  subscription: 0x02,
  will: 0x03,
  qos2: 0x04,
  inline: 0x05,
  away: 0x06,
  chunk: 0x07,
  feed: 0x08,
  retained: 0x09,
  applied: 0x0a,
  time: 0x0b,
  replay: 0x0c,
  packetId: 0x0d,
} as const

const CRC_BYTES = 4
const NEVER = -1

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true })
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true })

// -- values ---------------------------------------------------------------------------------------------------------

export function sealed(key: Buffer, payload: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(CRC_BYTES + payload.length)
  value.set(payload, CRC_BYTES)
  value.writeUInt32LE(crcOf(key, payload), 0)
  return value
}

/** undefined where the value is damaged. */
export function unsealed(key: Buffer, value: Buffer): Buffer | undefined {
  if (value.length < CRC_BYTES) return undefined
  const payload = value.subarray(CRC_BYTES)
  return crcOf(key, payload) === value.readUInt32LE(0) ? payload : undefined
}

function crcOf(key: Buffer, payload: Uint8Array): number {
  return crc32c(Buffer.concat([key, payload]))
}

// -- keys -----------------------------------------------------------------------------------------------------------

export const META_KEY = Buffer.of(KIND.meta)
export const TIME_KEY = Buffer.of(KIND.time)
export const FIRST_KEY = META_KEY
export const END_KEY = Buffer.of(KIND.packetId + 1)

export function sessionKey(kind: number, session: number, rest?: string): Buffer {
  const text = rest === undefined ? 0 : Buffer.byteLength(rest)
  const key = Buffer.allocUnsafe(5 + text)
  key[0] = kind
  key.writeUInt32BE(session, 1)
  if (rest !== undefined) key.write(rest, 5)
  return key
}

export function lateWillKey(session: number): Buffer {
  return sessionKey(KIND.will, session, '\x01')
}
export function isLateWill(key: Buffer): boolean {
  return key.length > 5
}

export function chunkKey(session: number, chunk: number): Buffer {
  const key = Buffer.allocUnsafe(9)
  key[0] = KIND.chunk
  key.writeUInt32BE(session, 1)
  key.writeUInt32BE(chunk, 5)
  return key
}

export function qos2Key(session: number, partition: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(17)
  key[0] = KIND.qos2
  key.writeUInt32BE(session, 1)
  key.writeUInt32BE(partition, 5)
  writeUInt64(key, 9, offset)
  return key
}

export function inlineKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(9)
  key[0] = KIND.inline
  writeUInt64(key, 1, number)
  return key
}

export function retainedKey(topic: string): Buffer {
  return Buffer.concat([Buffer.of(KIND.retained), Buffer.from(topic)])
}

export function appliedKey(partition: number): Buffer {
  const key = Buffer.allocUnsafe(5)
  key[0] = KIND.applied
  key.writeUInt32BE(partition, 1)
  return key
}

export function sessionOf(key: Buffer): number {
  return key.readUInt32BE(1)
}
export function textOf(key: Buffer, from: number): string {
  return key.toString('utf8', from)
}
export function placeOf(key: Buffer): { partition: number; offset: number } {
  return { partition: key.readUInt32BE(5), offset: readUInt64(key, 9) }
}

// -- meta, session, subscription ------------------------------------------------------------------------------------

export interface Meta {
  readonly format: number
  readonly sessions: number
}

export function encodeMeta(meta: Meta): Buffer {
  return encoder.encode(meta)
}
export function decodeMeta(payload: Buffer): Meta {
  return decoder.decode(payload) as Meta
}

export function encodeSession(clientId: string, expirySeconds: number, user: string | null): Buffer {
  return encoder.encode([clientId, expirySeconds, user])
}
export function decodeSession(
  payload: Buffer,
): [clientId: string, expirySeconds: number, user?: string | null] {
  return decoder.decode(payload) as [string, number, (string | null)?]
}

export function encodeSubscription(subscription: Subscription): Buffer {
  const { qos, isNoLocal, isRetainAsPublished, identifier } = subscription
  const payload = Buffer.alloc(8)
  payload[0] = qos | (isNoLocal ? 4 : 0) | (isRetainAsPublished ? 8 : 0)
  return payload.subarray(0, writeVarint(payload, 1, identifier ?? 0))
}

export function decodeSubscription(text: string, payload: Buffer): Subscription {
  const flags = payload.readUInt8(0)
  const identifier = readVarint(payload, 1)
  return {
    ...parseFilter(text),
    qos: (flags & 3) as QoS,
    isNoLocal: (flags & 4) !== 0,
    isRetainAsPublished: (flags & 8) !== 0,
    identifier: identifier === 0 ? null : identifier,
  }
}

/** The other way round of `filterText`. */
export function parseFilter(text: string): { filter: string; shareName: string | null } {
  if (!text.startsWith('$share/')) return { filter: text, shareName: null }
  const end = text.indexOf('/', 7)
  // the codec lets no other form pass
  return end < 0
    ? { filter: text, shareName: null }
    : { filter: text.slice(end + 1), shareName: text.slice(7, end) }
}

// -- deliveries of QoS 2 --------------------------------------------------------------------------------------------

export interface StoredQos2 {
  readonly seq: number
  readonly packetId: number
  readonly isRetained: boolean
  readonly isReleased: boolean
  readonly identifiers: readonly number[]
}

export function encodeQos2({ seq, packetId, isRetained, isReleased, identifiers }: StoredQos2): Buffer {
  const payload = Buffer.allocUnsafe(16 + identifiers.length * 6)
  let at = writeVarint(payload, 0, seq)
  at = writeVarint(payload, at, packetId)
  at = payload.writeUInt8((isRetained ? 1 : 0) | (isReleased ? 2 : 0), at)
  for (const identifier of identifiers) at = writeVarint(payload, at, identifier)
  return payload.subarray(0, at)
}

export function decodeQos2(payload: Buffer): StoredQos2 {
  const seq = readVarint(payload, 0)
  const packetId = readVarint(payload, cursor.at)
  const flags = payload.readUInt8(cursor.at)
  const identifiers: number[] = []
  for (let at = cursor.at + 1; at < payload.length; at = cursor.at) identifiers.push(readVarint(payload, at))
  return { seq, packetId, isRetained: (flags & 1) !== 0, isReleased: (flags & 2) !== 0, identifiers }
}

// -- away, applied, time --------------------------------------------------------------------------------------------

/** Moments of session time; null is never. */
export interface Away {
  readonly endsAt: number | null
  readonly willAt: number | null
}

export function encodeAway({ endsAt, willAt }: Away): Buffer {
  const payload = Buffer.allocUnsafe(20)
  const at = writeVarint(payload, 0, endsAt ?? NEVER)
  return payload.subarray(0, writeVarint(payload, at, willAt ?? NEVER))
}

export function decodeAway(payload: Buffer): Away {
  const ends = readVarint(payload, 0)
  const will = readVarint(payload, cursor.at)
  return { endsAt: ends === NEVER ? null : ends, willAt: will === NEVER ? null : will }
}

export function encodeOffset(offset: number): Buffer {
  const payload = Buffer.allocUnsafe(10)
  return payload.subarray(0, writeVarint(payload, 0, offset))
}
export function decodeOffset(payload: Buffer): number {
  return readVarint(payload, 0)
}

export function encodeTime({ time, anchorTime, anchorWall }: StoredTime): Buffer {
  return encoder.encode([time, anchorTime, anchorWall])
}
export function decodeTime(payload: Buffer): StoredTime {
  const [time, anchorTime, anchorWall] = decoder.decode(payload) as [number, number, number | null]
  return { time, anchorTime, anchorWall }
}

// -- messages -------------------------------------------------------------------------------------------------------

/** A message as it is stored: its partition by id. */
export interface StoredMessage extends Omit<Message, 'place'> {
  readonly place: { readonly partition: number; readonly offset: number } | null
}

type MessageRow = [string, Buffer, QoS, boolean, number, string | null, [number, number] | null, unknown]

type WillRow = [clientId: string, delaySeconds: number, message: MessageRow, user?: string | null]

export function encodeMessage(message: Message): Buffer {
  return encoder.encode(rowOf(message))
}
/** The message's bytes are its own. */
export function decodeMessage(payload: Buffer): StoredMessage {
  return messageOfRow(decoder.decode(payload) as MessageRow)
}

export function encodeRetained(message: Message, expiresAt: number | null): Buffer {
  const head = Buffer.allocUnsafe(10)
  return Buffer.concat([head.subarray(0, writeVarint(head, 0, expiresAt ?? NEVER)), encodeMessage(message)])
}
export function decodeRetained(payload: Buffer): { expiresAt: number | null; message: StoredMessage } {
  const expires = readVarint(payload, 0)
  const message = decodeMessage(payload.subarray(cursor.at))
  return { expiresAt: expires === NEVER ? null : expires, message }
}

export function encodeWill(clientId: string, will: Will, user: string | null): Buffer {
  return encoder.encode([clientId, will.delaySeconds, rowOf({ ...will, ...NOT_OF_A_WILL }), user])
}
export function decodeWill(payload: Buffer): { clientId: string; will: Will; user: string | null } {
  const [clientId, delaySeconds, row, user = null] = decoder.decode(payload) as WillRow
  const { topic, payload: bytes, qos, isRetained, properties } = messageOfRow(row)
  return { clientId, will: { topic, payload: bytes, qos, isRetained, delaySeconds, properties }, user }
}

const NOT_OF_A_WILL = { timestamp: 0, clientId: null, place: null }

function rowOf(message: Message): MessageRow {
  const { topic, payload, qos, isRetained, timestamp, clientId, place, properties } = message
  const stored = place === null ? null : ([place.partition.id, place.offset] as [number, number])
  return [topic, payload, qos, isRetained, timestamp, clientId, stored, properties]
}

function messageOfRow(row: MessageRow): StoredMessage {
  const [topic, payload, qos, isRetained, timestamp, clientId, place, properties] = row
  return {
    topic,
    payload: Buffer.from(payload),
    qos,
    isRetained,
    timestamp,
    clientId,
    place: place === null ? null : { partition: place[0], offset: place[1] },
    properties: ownProperties(properties as MessageProperties | null),
  }
}

function ownProperties(properties: MessageProperties | null): MessageProperties | null {
  if (properties?.correlationData === undefined) return properties
  return { ...properties, correlationData: Buffer.from(properties.correlationData) }
}

function writeUInt64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  bytes.writeUInt32BE(value >>> 0, at + 4)
}

function readUInt64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
}
