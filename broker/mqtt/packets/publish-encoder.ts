/**
 * A PUBLISH to clients: encoded once for all that take it in the same form, and then patched. MQTT 5, section 3.3.
 *
 *     publish = first remainingLength topic [packetId] [properties] payload
 *
 * All before the payload is the *head*. Of the head, a delivery changes the DUP bit, the packet id and what is left of the message's expiry: they stand
 * at known places. With QoS 0 and no expiry nothing changes: all subscribers get the same bytes.
 */
import { PacketType } from './frame-scanner.ts'
import type { MessageProperties, ProtocolVersion, QoS } from './packet.ts'
import { Property } from './properties.ts'
import { PropertyWriter } from './property-writer.ts'
import { variableBytes, writeVariable } from './variable-integer.ts'

/** Of a Message, as far as its bytes go. */
export interface EncodedMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly properties: MessageProperties | null
}

/** A number that stands for the topic, of one connection. MQTT 5, section 3.3.2.3.4. */
export interface TopicAlias {
  readonly number: number
  /** The receiver has had it with its topic: the topic is left out. */
  readonly isKnown: boolean
}

/** A payload up to here is copied behind its head: one chunk costs less than two. */
export const COPIED_PAYLOAD_BYTES_MAX = 2048
/** Forms a message keeps. Beyond (many subscriptions, each with an identifier of its own) each delivery encodes anew. */
const FORMS_MAX = 8
const NONE: readonly number[] = []
const NO_PROPERTIES = { bytes: Buffer.from([0]), expiryAt: 0 }
const TOPIC_BYTES_MAX = 65_535
const DUP = 0x08

/** How a subscriber takes a message. */
export class PublishForm {
  readonly isMqtt5: boolean
  readonly qos: QoS
  readonly isRetained: boolean
  readonly identifiers: readonly number[]
  readonly payload: Buffer
  /** Of the whole packet: what the receiver's maximum packet size is compared with. */
  readonly byteLength: number
  private readonly head: Buffer
  /** Where they stand in the head; 0: there is none. */
  private readonly packetIdAt: number
  private readonly expiryAt: number
  /** Of a form in which nothing is patched. */
  private constant: readonly Buffer[] | null = null

  constructor(
    message: EncodedMessage,
    isMqtt5: boolean,
    qos: QoS,
    isRetained: boolean,
    identifiers: readonly number[],
    alias: TopicAlias | null = null,
  ) {
    this.isMqtt5 = isMqtt5
    this.qos = qos
    this.isRetained = isRetained
    this.identifiers = identifiers
    this.payload = message.payload
    const topic = alias?.isKnown ? '' : message.topic
    const topicBytes = Buffer.byteLength(topic)
    if (topicBytes > TOPIC_BYTES_MAX) throw new RangeError(`a topic of ${topicBytes} bytes`)
    const properties = isMqtt5 ? encodeProperties(message.properties, identifiers, alias) : null
    const packetIdBytes = qos === 0 ? 0 : 2
    const remaining =
      2 + topicBytes + packetIdBytes + (properties?.bytes.length ?? 0) + message.payload.length
    const head = Buffer.allocUnsafe(1 + variableBytes(remaining) + remaining - message.payload.length)
    head[0] = (PacketType.publish << 4) | (qos << 1) | (isRetained ? 1 : 0)
    let at = writeVariable(head, 1, remaining)
    head.writeUInt16BE(topicBytes, at)
    head.write(topic, at + 2)
    at += 2 + topicBytes
    this.packetIdAt = qos === 0 ? 0 : at
    at += packetIdBytes
    if (properties !== null) head.set(properties.bytes, at)
    this.expiryAt = properties === null || properties.expiryAt === 0 ? 0 : at + properties.expiryAt
    this.head = head
    this.byteLength = head.length + message.payload.length
  }

  get headBytes(): number {
    return this.head.length
  }

  /** Nothing is patched: `writeHead` gives the same bytes to all. */
  get isConstant(): boolean {
    return this.packetIdAt === 0 && this.expiryAt === 0
  }

  /** Writes the head at `at` of `target`, which has room. @param packetId ignored with QoS 0 @param expirySeconds what is left of the message's expiry */
  writeHead(target: Buffer, at: number, packetId: number, isDup: boolean, expirySeconds: number): number {
    const { head, packetIdAt, expiryAt } = this
    target.set(head, at)
    if (packetIdAt !== 0) {
      if (isDup) target[at] |= DUP
      target[at + packetIdAt] = packetId >> 8
      target[at + packetIdAt + 1] = packetId & 0xff
    }
    if (expiryAt !== 0) target.writeUInt32BE(expirySeconds, at + expiryAt)
    return at + head.length
  }

  /** Writes the whole packet. */
  write(target: Buffer, at: number, packetId: number, isDup: boolean, expirySeconds: number): number {
    const payloadAt = this.writeHead(target, at, packetId, isDup, expirySeconds)
    target.set(this.payload, payloadAt)
    return payloadAt + this.payload.length
  }

  /**
   * The whole packet as chunks for a socket: one with a small payload, else the head and the message's own payload, not copied. They are others'
   * too: not to be changed.
   */
  chunks(packetId: number, isDup: boolean, expirySeconds: number): readonly Buffer[] {
    if (!this.isConstant) return this.newChunks(packetId, isDup, expirySeconds)
    this.constant ??= this.newChunks(0, false, 0)
    return this.constant
  }

  private newChunks(packetId: number, isDup: boolean, expirySeconds: number): readonly Buffer[] {
    if (this.payload.length > COPIED_PAYLOAD_BYTES_MAX) {
      const head = Buffer.allocUnsafe(this.head.length)
      this.writeHead(head, 0, packetId, isDup, expirySeconds)
      return [head, this.payload]
    }
    const packet = Buffer.allocUnsafe(this.byteLength)
    this.write(packet, 0, packetId, isDup, expirySeconds)
    return [packet]
  }
}

/** The forms of one message. Short-lived: made when a message has its first taker. */
export class PublishEncoder {
  private readonly message: EncodedMessage
  private readonly forms: PublishForm[] = []

  constructor(message: EncodedMessage) {
    this.message = message
  }

  form(
    version: ProtocolVersion,
    qos: QoS,
    isRetained: boolean,
    identifiers: readonly number[] = NONE,
  ): PublishForm {
    const isMqtt5 = version === 5
    const named = isMqtt5 ? identifiers : NONE
    for (const form of this.forms) {
      if (
        form.isMqtt5 === isMqtt5 &&
        form.qos === qos &&
        form.isRetained === isRetained &&
        isSame(form.identifiers, named)
      ) {
        return form
      }
    }
    const form = new PublishForm(this.message, isMqtt5, qos, isRetained, named)
    if (this.forms.length < FORMS_MAX) this.forms.push(form)
    return form
  }
}

/**
 * What is left of a message's expiry, in whole seconds: what the publisher gave less the time it waited. MQTT-3.3.2-6
 * @returns 0: it has expired, and must not be sent. MQTT-3.3.2-5. Infinity: it never expires.
 */
export function expiryLeft(properties: MessageProperties | null, acceptedMs: number, nowMs: number): number {
  const expiry = properties?.messageExpiry
  if (expiry === undefined) return Number.POSITIVE_INFINITY
  return Math.max(0, expiry - Math.max(0, Math.floor((nowMs - acceptedMs) / 1000)))
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  if (one === other) return true
  if (one.length !== other.length) return false
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false
  return true
}

/** @returns With their length; `expiryAt` is where the expiry's four bytes stand in them, 0: there is none. */
function encodeProperties(
  properties: MessageProperties | null,
  identifiers: readonly number[],
  alias: TopicAlias | null,
): { bytes: Buffer; expiryAt: number } {
  if (properties === null && identifiers.length === 0 && alias === null) return NO_PROPERTIES
  const writer = new PropertyWriter()
  writer.byte(Property.payloadFormat, properties?.payloadFormat)
  const expiryFrom = writer.byteLength + 1
  writer
    .u32(Property.messageExpiry, properties?.messageExpiry)
    .text(Property.contentType, properties?.contentType)
    .text(Property.responseTopic, properties?.responseTopic)
    .binary(Property.correlationData, properties?.correlationData)
    .user(properties?.userProperties)
  if (alias !== null) writer.u16(Property.topicAlias, alias.number)
  for (const identifier of identifiers) writer.variable(Property.subscriptionIdentifier, identifier)
  const bytes = writer.finish()
  const hasExpiry = properties?.messageExpiry !== undefined
  return { bytes, expiryAt: hasExpiry ? bytes.length - writer.byteLength + expiryFrom : 0 }
}
