/**
 * From a message to the headers of its record and back: what MQTT says about a message beyond topic and payload. A message without
 * properties that is not retained has none of these headers. On disk, and what readers of Kafka see: never change.
 *
 *     mqtt.retain             "0", "1" or "2": the message was retained, and published with this QoS
 *     mqtt.payload-format     "0" or "1": 1 is UTF-8 text
 *     mqtt.message-expiry     seconds, as the publisher gave them, in decimal
 *     mqtt.content-type       text
 *     mqtt.response-topic     text
 *     mqtt.correlation-data   bytes
 *     NAME                    the value of the user property NAME, in their order; a name may come more than once
 *     mqtt.user.NAME          the same, where NAME is one that is the broker's own: topic, stream, reason, or one that begins with
 *                             "mqtt." or "hw."
 *
 * So a user property such as `traceparent` is the header `traceparent`, and a header that a downlink's record brings is a user property
 * for the subscribers. A header without a value, or with one that is not UTF-8 text, is none.
 */
import { isUtf8 } from 'node:buffer'
import { encodeHeaders, type LogRecord, NO_HEADERS, type RecordHeader } from '../log/record-batch.ts'
import type { Message, Place } from './hub/message.ts'
import type { MessageProperties, QoS } from './packets/packet.ts'
import { DEAD_LETTER_HEADERS, TOPIC_HEADER } from './router.ts'

const OWN = 'mqtt.'
const RETAIN = 'mqtt.retain'
const PAYLOAD_FORMAT = 'mqtt.payload-format'
const MESSAGE_EXPIRY = 'mqtt.message-expiry'
const CONTENT_TYPE = 'mqtt.content-type'
const RESPONSE_TOPIC = 'mqtt.response-topic'
const CORRELATION_DATA = 'mqtt.correlation-data'
const USER = 'mqtt.user.'
/** Of the broker and of sync. */
const RESERVED_PREFIXES = [OWN, 'hw.']
const RESERVED = new Set([TOPIC_HEADER, ...DEAD_LETTER_HEADERS])
/** MQTT's longest text. A header that is longer is no user property. */
const TEXT_BYTES_MAX = 65_535

const DIGITS = [0, 1, 2].map((qos) => Buffer.from(String(qos)))
/** The sections of messages that are retained and have no properties, by their QoS. */
const RETAINED_ONLY = DIGITS.map((value) => encodeHeaders([{ key: RETAIN, value }]))

/** @returns a section, to be joined with those that the route gives */
export function messageHeaders(isRetained: boolean, qos: QoS, properties: MessageProperties | null): Buffer {
  if (properties === null) return isRetained ? RETAINED_ONLY[qos] : NO_HEADERS
  const headers: RecordHeader[] = []
  const add = (key: string, value: string | Buffer | undefined) => {
    if (value !== undefined) headers.push({ key, value: Buffer.from(value as string) })
  }
  if (isRetained) headers.push({ key: RETAIN, value: DIGITS[qos] })
  if (properties.payloadFormat !== undefined) add(PAYLOAD_FORMAT, properties.payloadFormat ? '1' : '0')
  add(MESSAGE_EXPIRY, properties.messageExpiry?.toString())
  add(CONTENT_TYPE, properties.contentType)
  add(RESPONSE_TOPIC, properties.responseTopic)
  if (properties.correlationData !== undefined) {
    headers.push({ key: CORRELATION_DATA, value: properties.correlationData })
  }
  for (const [name, value] of properties.userProperties ?? []) {
    add(isReserved(name) ? USER + name : name, value)
  }
  return encodeHeaders(headers)
}

/**
 * The message that a record was made of, with the payload as a view. Who published it is not in the record, and its QoS only where it is retained:
 * else it comes with QoS 2, so that what a subscriber was granted counts.
 */
export function messageOf(record: LogRecord, place: Place): Message {
  const { key, value, headers, timestamp } = record
  const topic = headers.find((header) => header.key === TOPIC_HEADER)?.value ?? key
  const retain = headers.find((header) => header.key === RETAIN)
  return {
    topic: topic === null ? '' : topic.toString('utf8'),
    payload: value ?? Buffer.alloc(0),
    qos: retain?.value == null ? 2 : qosOf(retain.value),
    isRetained: retain !== undefined,
    properties: headers.length === 0 ? null : propertiesOf(headers),
    timestamp,
    clientId: null,
    place,
  }
}

/** @returns null where the headers say nothing of the kind */
export function propertiesOf(headers: readonly RecordHeader[]): MessageProperties | null {
  const properties: { -readonly [Key in keyof MessageProperties]: MessageProperties[Key] } = {}
  const user: [string, string][] = []
  for (const { key, value } of headers) {
    if (value === null || RESERVED.has(key)) continue
    if (key.startsWith(OWN) && !key.startsWith(USER)) addOwn(properties, key, value)
    else if (key.startsWith(USER)) addUser(user, key.slice(USER.length), value)
    else if (!isReserved(key)) addUser(user, key, value)
  }
  if (user.length > 0) properties.userProperties = user
  for (const _ in properties) return properties
  return null
}

function addOwn(
  properties: { -readonly [Key in keyof MessageProperties]: MessageProperties[Key] },
  key: string,
  value: Buffer,
): void {
  if (key === PAYLOAD_FORMAT) properties.payloadFormat = value.toString('latin1') === '1'
  else if (key === MESSAGE_EXPIRY) {
    const seconds = Number(value.toString('latin1'))
    if (Number.isInteger(seconds) && seconds >= 0 && seconds <= 0xffffffff) properties.messageExpiry = seconds
  } else if (key === CONTENT_TYPE) properties.contentType = value.toString('utf8')
  else if (key === RESPONSE_TOPIC) properties.responseTopic = value.toString('utf8')
  else if (key === CORRELATION_DATA) properties.correlationData = value
}

function addUser(user: [string, string][], name: string, value: Buffer): void {
  if (value.length > TEXT_BYTES_MAX || Buffer.byteLength(name) > TEXT_BYTES_MAX) return
  if (!isUtf8(value) || value.includes(0) || name.includes('\0')) return
  user.push([name, value.toString('utf8')])
}

function qosOf(value: Buffer): QoS {
  const digit = DIGITS.findIndex((known) => known.equals(value))
  return digit < 0 ? 2 : (digit as QoS)
}

function isReserved(name: string): boolean {
  return RESERVED.has(name) || RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix))
}
