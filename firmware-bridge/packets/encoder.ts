/** Writes MQTT-SN 1.2 packets; the grammar is in decoder.ts. Lengths below 256 are written in one byte, others in three. */
import { assert, unreachable } from '../../broker/assert.ts'
import { type Packet, type PublishQoS, type SubscribeTopic, shortTopicId, Type } from './packet.ts'

/** What the length field can say. */
export const PACKET_BYTES_MAX = 0xffff

const TOPIC_ID_TYPE = { normal: 0, predefined: 1, short: 2 } as const

/** @returns bytes of its own: who sends may keep them */
export function encodePacket(packet: Packet): Buffer {
  switch (packet.type) {
    case Type.puback:
    case Type.regack:
      return answer(packet.type, packet.topicId, packet.messageId, packet.returnCode)
    case Type.publish: {
      const flags =
        (packet.isDup ? 0x80 : 0) |
        qosBits(packet.qos) |
        (packet.isRetained ? 0x10 : 0) |
        TOPIC_ID_TYPE[packet.topicIdType]
      const bytes = open(Type.publish, 5 + packet.data.length)
      const at = bytes.length - packet.data.length
      bytes[at - 5] = flags
      bytes.writeUInt16BE(packet.topicId, at - 4)
      bytes.writeUInt16BE(packet.messageId, at - 2)
      bytes.set(packet.data, at)
      return bytes
    }
    case Type.pubcomp:
    case Type.pubrec:
    case Type.pubrel:
    case Type.unsuback: {
      const bytes = open(packet.type, 2)
      bytes.writeUInt16BE(packet.messageId, 2)
      return bytes
    }
    case Type.connack:
    case Type.willTopicResponse:
    case Type.willMessageResponse:
      return withByte(packet.type, packet.returnCode)
    case Type.willTopicRequest:
    case Type.willMessageRequest:
    case Type.pingResponse:
      return open(packet.type, 0)
    case Type.pingRequest:
      return withText(packet.type, [], packet.clientId)
    case Type.register:
      return withText(packet.type, [...u16(packet.topicId), ...u16(packet.messageId)], packet.topicName)
    case Type.subscribe: {
      const flags = (packet.isDup ? 0x80 : 0) | qosBits(packet.qos)
      return subscription(packet.type, flags, packet.messageId, packet.topic)
    }
    case Type.unsubscribe:
      return subscription(packet.type, 0, packet.messageId, packet.topic)
    default:
      return seldom(packet)
  }
}

/** Topic id, message id, return code: what a gateway sends most. */
export function encodeAnswer(
  type: typeof Type.puback | typeof Type.regack,
  topicId: number,
  messageId: number,
  returnCode: number,
): Buffer {
  return answer(type, topicId, messageId, returnCode)
}

function answer(type: number, topicId: number, messageId: number, returnCode: number): Buffer {
  const bytes = open(type, 5)
  bytes[2] = topicId >> 8
  bytes[3] = topicId
  bytes[4] = messageId >> 8
  bytes[5] = messageId
  bytes[6] = returnCode
  return bytes
}

type Often =
  | typeof Type.puback
  | typeof Type.regack
  | typeof Type.publish
  | typeof Type.pubcomp
  | typeof Type.pubrec
  | typeof Type.pubrel
  | typeof Type.unsuback
  | typeof Type.connack
  | typeof Type.willTopicResponse
  | typeof Type.willMessageResponse
  | typeof Type.willTopicRequest
  | typeof Type.willMessageRequest
  | typeof Type.pingResponse
  | typeof Type.pingRequest
  | typeof Type.register
  | typeof Type.subscribe
  | typeof Type.unsubscribe

function seldom(packet: Exclude<Packet, { type: Often }>): Buffer {
  switch (packet.type) {
    case Type.suback:
      return withBytes(packet.type, [
        qosBits(packet.qos),
        ...u16(packet.topicId),
        ...u16(packet.messageId),
        packet.returnCode,
      ])
    case Type.connect: {
      const flags = (packet.hasWill ? 0x08 : 0) | (packet.isClean ? 0x04 : 0)
      return withText(packet.type, [flags, packet.protocolId, ...u16(packet.duration)], packet.clientId)
    }
    case Type.disconnect:
      return withBytes(packet.type, packet.duration === null ? [] : u16(packet.duration))
    case Type.willTopic:
    case Type.willTopicUpdate: {
      if (packet.will === null) return open(packet.type, 0)
      const flags = qosBits(packet.will.qos) | (packet.will.isRetained ? 0x10 : 0)
      return withText(packet.type, [flags], packet.will.topic)
    }
    case Type.willMessage:
    case Type.willMessageUpdate:
      return withBytes(packet.type, packet.message)
    case Type.advertise:
      return withBytes(packet.type, [packet.gatewayId, ...u16(packet.duration)])
    case Type.searchGateway:
      return withByte(packet.type, packet.radius)
    case Type.gatewayInfo:
      return withBytes(packet.type, [packet.gatewayId, ...packet.gatewayAddress])
    case Type.encapsulated:
      return encodeEncapsulated(packet.radius, packet.nodeId, packet.message)
    default:
      return unreachable(packet)
  }
}

export function encodeEncapsulated(radius: number, nodeId: Uint8Array, message: Uint8Array): Buffer {
  const head = open(Type.encapsulated, 1 + nodeId.length)
  head[head.length - nodeId.length - 1] = radius & 3
  head.set(nodeId, head.length - nodeId.length)
  return Buffer.concat([head, message])
}

/** Length and type are written, the body is not. */
function open(type: number, bodyBytes: number): Buffer {
  const short = 2 + bodyBytes
  const length = short < 0x100 ? short : short + 2
  assert(length <= PACKET_BYTES_MAX, `an MQTT-SN packet of ${length} bytes`)
  const bytes = Buffer.allocUnsafe(length)
  if (length === short) bytes[0] = length
  else {
    bytes[0] = 1
    bytes.writeUInt16BE(length, 1)
  }
  bytes[length - bodyBytes - 1] = type
  return bytes
}

function withBytes(type: number, body: ArrayLike<number>): Buffer {
  const bytes = open(type, body.length)
  bytes.set(body, bytes.length - body.length)
  return bytes
}

function withByte(type: number, byte: number): Buffer {
  const bytes = open(type, 1)
  bytes[2] = byte
  return bytes
}

function withText(type: number, head: readonly number[], text: string): Buffer {
  const textBytes = Buffer.byteLength(text)
  const bytes = open(type, head.length + textBytes)
  const at = bytes.length - textBytes
  bytes.set(head, at - head.length)
  bytes.write(text, at)
  return bytes
}

function subscription(type: number, flags: number, messageId: number, topic: SubscribeTopic): Buffer {
  switch (topic.kind) {
    case 'name':
      return withText(type, [flags, ...u16(messageId)], topic.name)
    case 'predefined':
      return withBytes(type, [flags | TOPIC_ID_TYPE.predefined, ...u16(messageId), ...u16(topic.topicId)])
    case 'short': {
      const topicId = shortTopicId(topic.name)
      assert(topicId !== null, `a short topic name has two bytes: ${topic.name}`)
      return withBytes(type, [flags | TOPIC_ID_TYPE.short, ...u16(messageId), ...u16(topicId)])
    }
    default:
      return unreachable(topic)
  }
}

function u16(value: number): [number, number] {
  return [(value >> 8) & 0xff, value & 0xff]
}

function qosBits(qos: PublishQoS): number {
  return (qos & 3) << 5
}
