/**
 * A PUBLISH of a client, read where it lies. MQTT 5, section 3.3; MQTT 3.1.1, section 3.3.
 *
 *     publish = topic [packetId] [properties] payload        topic: u16 length, bytes; packetId: u16, with QoS 1 and 2; properties: MQTT 5
 *
 * Example: 32 08 00 01 61 00 07 68 69 21 is "hi!" to "a" with QoS 1 and packet id 7 (MQTT 3.1.1).
 */
import type { Frame } from './frame-scanner.ts'
import { DEFAULT_PACKET_LIMITS, type PacketLimits } from './limits.ts'
import type { MessageProperties, ProtocolVersion, QoS } from './packet.ts'
import { Property, PropertyPlace } from './properties.ts'
import { PropertyView } from './property-view.ts'
import { MqttProtocolError, malformed, Reason, violation } from './protocol-error.ts'

const EMPTY = Buffer.alloc(0)

/** One object for all connections, filled again for each message. Ranges are in `bytes`. */
export class PublishView {
  bytes: Buffer = EMPTY
  qos: QoS = 0
  isDup = false
  isRetained = false
  /** The topic's own bytes; none (from = to) where an alias stands for it. They are not checked: see `validateTopicName`. */
  topicFrom = 0
  topicTo = 0
  /** 0 with QoS 0. */
  packetId = 0
  /** 0: none. */
  topicAlias = 0
  payloadFrom = 0
  payloadTo = 0
  readonly properties = new PropertyView()
  userPropertiesMax: number

  constructor(limits: Pick<PacketLimits, 'userPropertiesMax'> = DEFAULT_PACKET_LIMITS) {
    this.userPropertiesMax = limits.userPropertiesMax
  }

  /** Made new: what belongs to the message and not to the packet. The correlation data is a view. */
  messageProperties(): MessageProperties | null {
    return this.properties.isEmpty ? null : messageProperties(this.properties)
  }
}

/**
 * Fills the view from a PUBLISH. No object is made.
 * @throws MqttProtocolError
 */
export function readPublish(frame: Frame, version: ProtocolVersion, view: PublishView): void {
  const { first, bytes, from, to } = frame
  const qos = (first >> 1) & 3
  if (qos === 3) throw malformed('MQTT-3.3.1-4', 'a PUBLISH with both QoS bits set')
  if (qos === 0 && (first & 8) !== 0 && version !== 3) {
    throw malformed('MQTT-3.3.1-2', 'a PUBLISH with DUP and QoS 0')
  }
  if (from + 2 > to) throw malformed('MQTT-3.3.2-1', 'a PUBLISH without a topic name')
  const topicFrom = from + 2
  const topicTo = topicFrom + ((bytes[from] << 8) | bytes[from + 1])
  let at = topicTo
  if (at > to) throw malformed('MQTT-3.3.2-1', 'the topic name of a PUBLISH is cut short')
  let packetId = 0
  if (qos !== 0) {
    if (at + 2 > to) throw malformed('section 2.2.1', 'a PUBLISH without a packet identifier')
    packetId = (bytes[at] << 8) | bytes[at + 1]
    if (packetId === 0) throw violation('MQTT-2.2.1-3', 'a PUBLISH with packet identifier 0')
    at += 2
  }
  view.topicAlias = 0
  if (version === 5) {
    if (!frame.isLengthMinimal) throw malformed('MQTT-1.5.5-1', 'a remaining length longer than it need be')
    at = view.properties.read(bytes, at, to, PropertyPlace.publish, view.userPropertiesMax)
    if (!view.properties.isEmpty) checkProperties(view)
  } else view.properties.clear()
  if (topicFrom === topicTo && view.topicAlias === 0) throw emptyTopic(version)
  view.bytes = bytes
  view.qos = qos as QoS
  view.isDup = qos !== 0 && (first & 8) !== 0
  view.isRetained = (first & 1) !== 0
  view.topicFrom = topicFrom
  view.topicTo = topicTo
  view.packetId = packetId
  view.payloadFrom = at
  view.payloadTo = to
}

/** What a message carries from publisher to subscribers; of a PUBLISH or a will. */
export function messageProperties(view: PropertyView): MessageProperties | null {
  const properties: { -readonly [Key in keyof MessageProperties]: MessageProperties[Key] } = {}
  if (view.has(Property.payloadFormat))
    properties.payloadFormat = view.number(Property.payloadFormat, 0) === 1
  if (view.has(Property.messageExpiry)) properties.messageExpiry = view.number(Property.messageExpiry, 0)
  const contentType = view.text(Property.contentType)
  if (contentType !== null) properties.contentType = contentType
  const responseTopic = view.text(Property.responseTopic)
  if (responseTopic !== null) properties.responseTopic = responseTopic
  const correlationData = view.binary(Property.correlationData)
  if (correlationData !== null) properties.correlationData = correlationData
  if (view.userCount > 0) properties.userProperties = view.userProperties()
  for (const _name in properties) return properties
  return null
}

function checkProperties(view: PublishView): void {
  const { properties } = view
  if (properties.has(Property.topicAlias)) {
    view.topicAlias = properties.number(Property.topicAlias, 0)
    if (view.topicAlias === 0) {
      throw new MqttProtocolError(Reason.invalidTopicAlias, 'MQTT-3.3.2-8', 'a topic alias of 0')
    }
  }
  properties.checkResponseTopic()
}

function emptyTopic(version: ProtocolVersion): MqttProtocolError {
  return version === 5
    ? violation('section 3.3.2.1', 'a PUBLISH with neither topic name nor topic alias')
    : malformed('MQTT-4.7.3-1', 'a PUBLISH with an empty topic name')
}
