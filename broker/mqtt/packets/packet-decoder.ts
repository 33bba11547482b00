/**
 * All packets of a client but its CONNECT, as values. Section numbers are of MQTT 5.
 *
 *     subscribe   = packetId [properties] (filter options)+     options: reserved(0xc0) retainHandling(0x30) retainAsPublished(0x08) noLocal(0x04) qos(0x03)
 *     unsubscribe = packetId [properties] filter+               filter: u16 length, bytes
 *     pingreq     =
 *     disconnect  = [reasonCode [properties]]
 *     auth        = [reasonCode [properties]]
 *
 * [properties] of subscribe and unsubscribe: there with MQTT 5, never else. In MQTT 3, options hold the QoS alone, disconnect is empty and there is
 * no auth.
 */
import { AcknowledgementView, acknowledgementOf, readAcknowledgement } from './acknowledgement-view.ts'
import { BodyReader } from './body-reader.ts'
import { type Frame, PacketType } from './frame-scanner.ts'
import type { PacketLimits } from './limits.ts'
import type {
  Auth,
  ClientPacket,
  Disconnect,
  ProtocolVersion,
  Publish,
  QoS,
  Subscribe,
  SubscriptionRequest,
  Unsubscribe,
} from './packet.ts'
import { Property, PropertyPlace } from './properties.ts'
import { PropertyView } from './property-view.ts'
import { MqttProtocolError, malformed, Reason, violation } from './protocol-error.ts'
import { PublishView, readPublish } from './publish-view.ts'
import { isSharedFilter, validateTopicFilter, validateTopicName } from './topics.ts'

/** Filled again for each packet. */
const properties = new PropertyView()
const acknowledgement = new AcknowledgementView()
const publish = new PublishView()

/** @throws MqttProtocolError */
export function decodePacket(frame: Frame, version: ProtocolVersion, limits: PacketLimits): ClientPacket {
  const type = frame.first >> 4
  switch (type) {
    case PacketType.publish:
      return decodePublish(frame, version, limits)
    case PacketType.puback:
    case PacketType.pubrec:
    case PacketType.pubrel:
    case PacketType.pubcomp:
      acknowledgement.userPropertiesMax = limits.userPropertiesMax
      readAcknowledgement(frame, version, acknowledgement)
      return acknowledgementOf(acknowledgement)
  }
  checkFixedHeader(frame, type, version)
  switch (type) {
    case PacketType.connect:
      throw violation('MQTT-3.1.0-2', 'a second CONNECT')
    case PacketType.subscribe:
      return decodeSubscribe(frame, version, limits)
    case PacketType.unsubscribe:
      return decodeUnsubscribe(frame, version, limits)
    case PacketType.pingreq:
      if (frame.from !== frame.to) throw malformed('section 3.12.1', 'a PINGREQ with a body')
      return { type: 'pingreq' }
    case PacketType.disconnect:
      return decodeDisconnect(frame, version, limits)
    case PacketType.auth:
      if (version === 5) return decodeAuth(frame, limits)
      throw violation('3.1.1: section 2.2.1', 'a packet of the reserved type 15')
    default:
      throw violation('section 2.1.2', `a client sent a packet of type ${type}, which only a server sends`)
  }
}

const FLAG_CLAUSES: Readonly<Record<number, string>> = {
  [PacketType.subscribe]: 'MQTT-3.8.1-1',
  [PacketType.unsubscribe]: 'MQTT-3.10.1-1',
  [PacketType.disconnect]: 'MQTT-3.14.1-1',
  [PacketType.auth]: 'MQTT-3.15.1-1',
}

/** Flags of all packets but PUBLISH, and the form of the length. */
function checkFixedHeader(frame: Frame, type: number, version: ProtocolVersion): void {
  if (version === 5 && !frame.isLengthMinimal) {
    throw malformed('MQTT-1.5.5-1', 'a remaining length longer than it need be')
  }
  const flags = type === PacketType.subscribe || type === PacketType.unsubscribe ? 2 : 0
  // MQTT 3.1, section 2.1: of these packets the flags say whether they are sent again, or nothing.
  if ((frame.first & 0x0f) === flags || version === 3) return
  throw malformed(FLAG_CLAUSES[type] ?? 'MQTT-2.1.3-1', `reserved flags of a packet of type ${type}`)
}

function decodePublish(frame: Frame, version: ProtocolVersion, limits: PacketLimits): Publish {
  publish.userPropertiesMax = limits.userPropertiesMax
  readPublish(frame, version, publish)
  const { bytes, topicFrom, topicTo } = publish
  if (topicFrom !== topicTo) validateTopicName(bytes, topicFrom, topicTo, limits)
  return {
    type: 'publish',
    qos: publish.qos,
    isDup: publish.isDup,
    isRetained: publish.isRetained,
    topic: bytes.toString('utf8', topicFrom, topicTo),
    packetId: publish.packetId,
    payload: bytes.subarray(publish.payloadFrom, publish.payloadTo),
    topicAlias: publish.topicAlias === 0 ? null : publish.topicAlias,
    properties: publish.messageProperties(),
  }
}

function readPacketId(reader: BodyReader, what: string): number {
  const packetId = reader.u16('section 2.2.1', `the packet identifier of ${what}`)
  if (packetId === 0) throw malformed('MQTT-2.2.1-3', `${what} with packet identifier 0`)
  return packetId
}

function decodeSubscribe(frame: Frame, version: ProtocolVersion, limits: PacketLimits): Subscribe {
  const reader = new BodyReader(frame)
  const packetId = readPacketId(reader, 'a SUBSCRIBE')
  if (version === 5) reader.properties(properties, PropertyPlace.subscribe, limits)
  else properties.clear()
  if (reader.isAtEnd) throw violation('MQTT-3.8.3-2', 'a SUBSCRIBE without a topic filter')
  const subscriptions: SubscriptionRequest[] = []
  while (!reader.isAtEnd) {
    checkFilterCount(subscriptions.length, limits)
    const filter = readFilter(reader, 'MQTT-3.8.3-1', limits)
    const options = reader.byte('MQTT-3.8.3-2', 'the options of a subscription')
    subscriptions.push(subscriptionRequest(filter, options, version))
  }
  const identifier = properties.number(Property.subscriptionIdentifier, 0)
  return { type: 'subscribe', packetId, identifier: identifier === 0 ? null : identifier, subscriptions }
}

function subscriptionRequest(filter: string, options: number, version: ProtocolVersion): SubscriptionRequest {
  const qos = options & 3
  if (version !== 5) {
    // MQTT 3.1 does not say what its reserved bits must be.
    if (version === 4 && options > 2) throw malformed('3.1.1: MQTT-3-8.3-4', `requested QoS ${options}`)
    if (qos === 3) throw malformed('section 3.8.3.1', 'requested QoS 3')
    return {
      filter,
      qos: qos as QoS,
      isNoLocal: false,
      isRetainAsPublished: false,
      retainHandling: 0,
    }
  }
  if ((options & 0xc0) !== 0) throw malformed('MQTT-3.8.3-5', 'reserved bits of the subscription options')
  if (qos === 3) throw violation('section 3.8.3.1', 'requested QoS 3')
  const retainHandling = (options >> 4) & 3
  if (retainHandling === 3) throw violation('section 3.8.3.1', 'retain handling 3')
  const isNoLocal = (options & 4) !== 0
  if (isNoLocal && isSharedFilter(filter))
    throw violation('MQTT-3.8.3-4', 'no local on a shared subscription')
  return {
    filter,
    qos: qos as QoS,
    isNoLocal,
    isRetainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}

function decodeUnsubscribe(frame: Frame, version: ProtocolVersion, limits: PacketLimits): Unsubscribe {
  const reader = new BodyReader(frame)
  const packetId = readPacketId(reader, 'an UNSUBSCRIBE')
  if (version === 5) reader.properties(properties, PropertyPlace.unsubscribe, limits)
  if (reader.isAtEnd) throw violation('MQTT-3.10.3-2', 'an UNSUBSCRIBE without a topic filter')
  const filters: string[] = []
  while (!reader.isAtEnd) {
    checkFilterCount(filters.length, limits)
    filters.push(readFilter(reader, 'MQTT-3.10.3-1', limits))
  }
  return { type: 'unsubscribe', packetId, filters }
}

function readFilter(reader: BodyReader, clause: string, limits: PacketLimits): string {
  const bytes = reader.binary(clause, 'a topic filter')
  validateTopicFilter(bytes, 0, bytes.length, limits)
  return bytes.toString('utf8')
}

function checkFilterCount(count: number, limits: PacketLimits): void {
  if (count < limits.filtersMax) return
  const text = `more than ${limits.filtersMax} topic filters`
  throw new MqttProtocolError(Reason.quotaExceeded, 'limit: filtersMax', text)
}

/** What a client may send. Section 3.14.2.1. */
const DISCONNECT_REASONS = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
])

function decodeDisconnect(frame: Frame, version: ProtocolVersion, limits: PacketLimits): Disconnect {
  const reader = new BodyReader(frame)
  if (reader.isAtEnd) return { type: 'disconnect', reasonCode: 0, sessionExpirySeconds: null }
  if (version !== 5) throw malformed('3.1.1: section 3.14', 'a DISCONNECT with a body')
  const reasonCode = reader.byte('section 3.14.2.1', 'a reason code')
  if (!DISCONNECT_REASONS.has(reasonCode)) {
    throw violation('MQTT-3.14.2-1', `a DISCONNECT with reason code 0x${reasonCode.toString(16)}`)
  }
  if (reader.isAtEnd) properties.clear()
  else reader.properties(properties, PropertyPlace.disconnect, limits)
  if (!reader.isAtEnd) throw malformed('section 2.1.4', 'bytes after the properties of a DISCONNECT')
  const expiry = properties.has(Property.sessionExpiry) ? properties.number(Property.sessionExpiry, 0) : null
  return { type: 'disconnect', reasonCode, sessionExpirySeconds: expiry }
}

/** What a client may send: continue authentication, re-authenticate. Section 3.15.2.1. */
const AUTH_REASONS = new Set([0x18, 0x19])

function decodeAuth(frame: Frame, limits: PacketLimits): Auth {
  const reader = new BodyReader(frame)
  const reasonCode = reader.isAtEnd ? 0 : reader.byte('section 3.15.2.1', 'a reason code')
  if (!AUTH_REASONS.has(reasonCode)) {
    throw violation('MQTT-3.15.2-1', `an AUTH with reason code 0x${reasonCode.toString(16)}`)
  }
  if (reader.isAtEnd) properties.clear()
  else reader.properties(properties, PropertyPlace.auth, limits)
  if (!reader.isAtEnd) throw malformed('section 2.1.4', 'bytes after the properties of an AUTH')
  const method = properties.text(Property.authenticationMethod)
  if (method === null) throw violation('section 3.15.2.2.2', 'an AUTH without an authentication method')
  return { type: 'auth', reasonCode, method }
}
