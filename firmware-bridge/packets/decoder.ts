/**
 * Reads MQTT-SN 1.2 packets, strictly: what is not one is told by reason, and nothing of it is used. All numbers are big-endian.
 *
 *     packet        = length type body                     length counts the whole packet, itself included
 *     length        = u8 (2 to 255, not 1) | 0x01 u16      the long form may be used for any length (section 5.2.1)
 *     encapsulated  = length 0xFE ctrl nodeId packet       length counts up to the node id; ctrl: six bits 0, two bits radius
 *
 *     ADVERTISE     00  gatewayId u8, duration u16
 *     SEARCHGW      01  radius u8
 *     GWINFO        02  gatewayId u8, [gatewayAddress]
 *     CONNECT       04  flags(will, clean), protocolId u8, duration u16, clientId
 *     CONNACK       05  returnCode u8
 *     WILLTOPICREQ  06
 *     WILLTOPIC     07  [flags(qos, retain), topicName]
 *     WILLMSGREQ    08
 *     WILLMSG       09  message
 *     REGISTER      0A  topicId u16, messageId u16, topicName
 *     REGACK        0B  topicId u16, messageId u16, returnCode u8
 *     PUBLISH       0C  flags(dup, qos, retain, topicIdType), topicId u16, messageId u16, data
 *     PUBACK        0D  topicId u16, messageId u16, returnCode u8
 *     PUBCOMP 0E, PUBREC 0F, PUBREL 10, UNSUBACK 15        messageId u16
 *     SUBSCRIBE     12  flags(dup, qos, topicIdType), messageId u16, topic
 *     SUBACK        13  flags(qos), topicId u16, messageId u16, returnCode u8
 *     UNSUBSCRIBE   14  flags(topicIdType), messageId u16, topic
 *     PINGREQ       16  [clientId]
 *     PINGRESP      17
 *     DISCONNECT    18  [duration u16]
 *     WILLTOPICUPD  1A  [flags(qos, retain), topicName]
 *     WILLTOPICRESP 1B, WILLMSGRESP 1D                     returnCode u8
 *     WILLMSGUPD    1C  message
 *
 *     topic         = topicName (normal) | topicId u16 (predefined) | two characters (short)
 *     flags         = dup 0x80, qos 0x60 (0b11: -1), retain 0x10, will 0x08, clean 0x04, topicIdType 0x03 (0 normal, 1 predefined, 2 short)
 *
 * Names and client ids are well-formed UTF-8 without U+0000. A message id is 0 exactly where no answer is expected; one that is not 0 with
 * QoS 0 or -1 is read as 0. Bits of the flags that a packet does not use are sent as 0 and not looked at: the specification has no rule for
 * them, and clients exist that leave some set.
 *
 * Example: 09 0C 62 61 62 00 07 68 69 is "hi" to the short topic "ab", QoS -1; message id 7 is of no use there.
 */
import { isUtf8 } from 'node:buffer'
import {
  type Packet,
  type PublishQoS,
  type QoS,
  type ReturnCode,
  type SubscribeTopic,
  type TopicIdType,
  Type,
} from './packet.ts'

export type MalformedReason =
  | 'length'
  | 'unknown-type'
  | 'flags'
  | 'message-id'
  | 'return-code'
  | 'text'
  | 'encapsulation'

/** What is not a packet: a value, because on a radio link it is no exception. */
export interface Malformed {
  readonly type: 'malformed'
  readonly reason: MalformedReason
}

const malformed = (reason: MalformedReason): Malformed => Object.freeze({ type: 'malformed', reason })
const LENGTH = malformed('length')
const UNKNOWN_TYPE = malformed('unknown-type')
const FLAGS = malformed('flags')
const MESSAGE_ID = malformed('message-id')
const RETURN_CODE = malformed('return-code')
const TEXT = malformed('text')
const ENCAPSULATION = malformed('encapsulation')

const TOPIC_ID_TYPES: readonly (TopicIdType | undefined)[] = ['normal', 'predefined', 'short', undefined]

/** @param bytes one whole packet; byte fields of what is returned are views of it */
export function decodePacket(bytes: Uint8Array): Packet | Malformed {
  const isLong = bytes[0] === 1
  if (bytes.length < (isLong ? 4 : 2)) return LENGTH
  const length = isLong ? (bytes[1] << 8) | bytes[2] : bytes[0]
  const from = isLong ? 4 : 2
  if (bytes[from - 1] === Type.encapsulated) return encapsulated(bytes, from, length)
  if (length !== bytes.length) return LENGTH
  return body(bytes[from - 1], bytes, from, length - from)
}

/** @param size of the body */
function body(type: number, bytes: Uint8Array, at: number, size: number): Packet | Malformed {
  switch (type) {
    case Type.publish:
      return publish(bytes, at, size)
    case Type.puback:
    case Type.regack:
      return size === 5 ? topicAnswer(type, bytes, at) : LENGTH
    case Type.pingRequest:
      return isText(bytes, at, at + size) ? { type, clientId: text(bytes, at, at + size) } : TEXT
    case Type.pubcomp:
    case Type.pubrec:
    case Type.pubrel:
    case Type.unsuback:
      if (size !== 2) return LENGTH
      return u16(bytes, at) === 0 ? MESSAGE_ID : { type, messageId: u16(bytes, at) }
    case Type.connack:
    case Type.willTopicResponse:
    case Type.willMessageResponse:
      if (size !== 1) return LENGTH
      return bytes[at] > 3 ? RETURN_CODE : { type, returnCode: bytes[at] as ReturnCode }
    case Type.willTopicRequest:
    case Type.willMessageRequest:
    case Type.pingResponse:
      return size === 0 ? { type } : LENGTH
    case Type.register:
      return register(bytes, at, size)
    case Type.subscribe:
    case Type.unsubscribe:
      return subscription(type, bytes, at, size)
    case Type.suback:
      return size === 6 ? suback(bytes, at) : LENGTH
    default:
      return seldom(type, bytes, at, size)
  }
}

function seldom(type: number, bytes: Uint8Array, at: number, size: number): Packet | Malformed {
  switch (type) {
    case Type.connect:
      return connect(bytes, at, size)
    case Type.disconnect:
      if (size === 0) return { type, duration: null }
      return size === 2 ? { type, duration: u16(bytes, at) } : LENGTH
    case Type.willTopic:
    case Type.willTopicUpdate:
      return willTopic(type, bytes, at, size)
    case Type.willMessage:
    case Type.willMessageUpdate:
      return { type, message: bytes.subarray(at, at + size) }
    case Type.advertise:
      return size === 3 ? { type, gatewayId: bytes[at], duration: u16(bytes, at + 1) } : LENGTH
    case Type.searchGateway:
      return size === 1 ? { type, radius: bytes[at] } : LENGTH
    case Type.gatewayInfo:
      if (size < 1) return LENGTH
      return { type, gatewayId: bytes[at], gatewayAddress: bytes.subarray(at + 1, at + size) }
    default:
      return UNKNOWN_TYPE
  }
}

function publish(bytes: Uint8Array, at: number, size: number): Packet | Malformed {
  if (size < 5) return LENGTH
  const flags = bytes[at]
  const topicIdType = TOPIC_ID_TYPES[flags & 3]
  if (topicIdType === undefined) return FLAGS
  const bits = (flags >> 5) & 3
  const qos: PublishQoS = bits === 3 ? -1 : (bits as QoS)
  const messageId = qos > 0 ? u16(bytes, at + 3) : 0
  if (qos > 0 && messageId === 0) return MESSAGE_ID
  return {
    type: Type.publish,
    isDup: (flags & 0x80) !== 0,
    qos,
    isRetained: (flags & 0x10) !== 0,
    topicIdType,
    topicId: u16(bytes, at + 1),
    messageId,
    data: bytes.subarray(at + 5, at + size),
  }
}

function topicAnswer(
  type: typeof Type.puback | typeof Type.regack,
  bytes: Uint8Array,
  at: number,
): Packet | Malformed {
  const returnCode = bytes[at + 4]
  if (returnCode > 3) return RETURN_CODE
  const messageId = u16(bytes, at + 2)
  // A PUBACK may refuse a PUBLISH of QoS 0, which has no id.
  if (messageId === 0 && (type === Type.regack || returnCode === 0)) return MESSAGE_ID
  return { type, topicId: u16(bytes, at), messageId, returnCode: returnCode as ReturnCode }
}

function register(bytes: Uint8Array, at: number, size: number): Packet | Malformed {
  if (size < 5) return LENGTH
  if (!isText(bytes, at + 4, at + size)) return TEXT
  const messageId = u16(bytes, at + 2)
  if (messageId === 0) return MESSAGE_ID
  return {
    type: Type.register,
    topicId: u16(bytes, at),
    messageId,
    topicName: text(bytes, at + 4, at + size),
  }
}

function subscription(
  type: typeof Type.subscribe | typeof Type.unsubscribe,
  bytes: Uint8Array,
  at: number,
  size: number,
): Packet | Malformed {
  if (size < 4) return LENGTH
  const flags = bytes[at]
  const topicIdType = TOPIC_ID_TYPES[flags & 3]
  const qos = (flags >> 5) & 3
  if (topicIdType === undefined || (type === Type.subscribe && qos === 3)) return FLAGS
  if (topicIdType !== 'normal' && size !== 5) return LENGTH
  if (topicIdType !== 'predefined' && !isText(bytes, at + 3, at + size)) return TEXT
  const messageId = u16(bytes, at + 1)
  if (messageId === 0) return MESSAGE_ID
  const topic: SubscribeTopic =
    topicIdType === 'predefined'
      ? { kind: 'predefined', topicId: u16(bytes, at + 3) }
      : { kind: topicIdType === 'short' ? 'short' : 'name', name: text(bytes, at + 3, at + size) }
  if (type === Type.unsubscribe) return { type, messageId, topic }
  return { type, isDup: (flags & 0x80) !== 0, qos: qos as QoS, messageId, topic }
}

function suback(bytes: Uint8Array, at: number): Packet | Malformed {
  const qos = (bytes[at] >> 5) & 3
  if (qos === 3) return FLAGS
  if (bytes[at + 5] > 3) return RETURN_CODE
  const messageId = u16(bytes, at + 3)
  if (messageId === 0) return MESSAGE_ID
  return {
    type: Type.suback,
    qos: qos as QoS,
    topicId: u16(bytes, at + 1),
    messageId,
    returnCode: bytes[at + 5] as ReturnCode,
  }
}

function connect(bytes: Uint8Array, at: number, size: number): Packet | Malformed {
  if (size < 4) return LENGTH
  if (!isText(bytes, at + 4, at + size)) return TEXT
  return {
    type: Type.connect,
    hasWill: (bytes[at] & 0x08) !== 0,
    isClean: (bytes[at] & 0x04) !== 0,
    protocolId: bytes[at + 1],
    duration: u16(bytes, at + 2),
    clientId: text(bytes, at + 4, at + size),
  }
}

function willTopic(
  type: typeof Type.willTopic | typeof Type.willTopicUpdate,
  bytes: Uint8Array,
  at: number,
  size: number,
): Packet | Malformed {
  if (size === 0) return { type, will: null }
  if (size === 1) return LENGTH
  const qos = (bytes[at] >> 5) & 3
  if (qos === 3) return FLAGS
  if (!isText(bytes, at + 1, at + size)) return TEXT
  const topic = text(bytes, at + 1, at + size)
  return { type, will: { qos: qos as QoS, isRetained: (bytes[at] & 0x10) !== 0, topic } }
}

/** @param length up to the end of the node id */
function encapsulated(bytes: Uint8Array, from: number, length: number): Packet | Malformed {
  // A node without an id is none, and after it comes a packet of two bytes at least.
  if (length < from + 2 || length + 2 > bytes.length) return ENCAPSULATION
  if ((bytes[from] & 0xfc) !== 0) return FLAGS
  const message = bytes.subarray(length)
  // A forwarder does not forward for another: the gateway would not find the way back.
  if (message[message[0] === 1 ? 3 : 1] === Type.encapsulated) return ENCAPSULATION
  return {
    type: Type.encapsulated,
    radius: bytes[from] & 3,
    nodeId: bytes.subarray(from + 1, length),
    message,
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

function isText(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = bytes[at]
    if (byte === 0) return false
    if (byte >= 0x80) return isUtf8(bytes.subarray(at, to)) && !bytes.subarray(at, to).includes(0)
  }
  return true
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8')
}
