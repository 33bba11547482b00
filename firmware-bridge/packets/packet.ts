/** The packets of MQTT-SN 1.2 as values. What they are on the wire is in decoder.ts. */
import { isUtf8 } from 'node:buffer'

/** On the wire: never change. MQTT-SN 1.2, section 5.2.2; 0x03, 0x11, 0x19, 0x1E to 0xFD and 0xFF are reserved. */
export const Type = {
  advertise: 0x00,
  searchGateway: 0x01,
  gatewayInfo: 0x02,
  connect: 0x04,
  connack: 0x05,
  willTopicRequest: 0x06,
  willTopic: 0x07,
  willMessageRequest: 0x08,
  willMessage: 0x09,
  register: 0x0a,
  regack: 0x0b,
  publish: 0x0c,
  puback: 0x0d,
  pubcomp: 0x0e,
  pubrec: 0x0f,
  pubrel: 0x10,
  subscribe: 0x12,
  suback: 0x13,
  unsubscribe: 0x14,
  unsuback: 0x15,
  pingRequest: 0x16,
  pingResponse: 0x17,
  disconnect: 0x18,
  willTopicUpdate: 0x1a,
  willTopicResponse: 0x1b,
  willMessageUpdate: 0x1c,
  willMessageResponse: 0x1d,
  encapsulated: 0xfe,
} as const

/** Section 5.3.14; 0x04 to 0xFF are reserved. */
export const ReturnCode = { accepted: 0, congestion: 1, invalidTopicId: 2, notSupported: 3 } as const
export type ReturnCode = (typeof ReturnCode)[keyof typeof ReturnCode]

export type QoS = 0 | 1 | 2
/** -1: of a client that never connects; coded 0b11. */
export type PublishQoS = QoS | -1

/** `short`: the topic id is the topic, of two characters. */
export type TopicIdType = 'normal' | 'predefined' | 'short'

/** What SUBSCRIBE and UNSUBSCRIBE name. */
export type SubscribeTopic =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'predefined'; readonly topicId: number }
  | { readonly kind: 'short'; readonly name: string }

/** The only version there is: MQTT-SN 1.2 and those before it. */
export const PROTOCOL_ID = 0x01

/** Where a topic has no id (section 5.3.11). */
export const TOPIC_ID_NONE = 0x0000

export interface Connect {
  readonly type: typeof Type.connect
  readonly hasWill: boolean
  readonly isClean: boolean
  readonly protocolId: number
  /** Keep alive, seconds. */
  readonly duration: number
  readonly clientId: string
}

export interface Publish {
  readonly type: typeof Type.publish
  readonly isDup: boolean
  readonly qos: PublishQoS
  readonly isRetained: boolean
  readonly topicIdType: TopicIdType
  readonly topicId: number
  /** 0 with QoS 0 and -1. */
  readonly messageId: number
  /** Decoded: a view of what was decoded. */
  readonly data: Uint8Array
}

interface WillTopicFields {
  readonly qos: QoS
  readonly isRetained: boolean
  readonly topic: string
}

/** Without `will`: the will is to be deleted. */
export interface WillTopic {
  readonly type: typeof Type.willTopic | typeof Type.willTopicUpdate
  readonly will: WillTopicFields | null
}

export interface WillMessage {
  readonly type: typeof Type.willMessage | typeof Type.willMessageUpdate
  readonly message: Uint8Array
}

export interface Subscribe {
  readonly type: typeof Type.subscribe
  readonly isDup: boolean
  readonly qos: QoS
  readonly messageId: number
  readonly topic: SubscribeTopic
}

export interface Unsubscribe {
  readonly type: typeof Type.unsubscribe
  readonly messageId: number
  readonly topic: SubscribeTopic
}

/** Topic id, message id, return code. */
export interface TopicAnswer {
  readonly type: typeof Type.regack | typeof Type.puback
  readonly topicId: number
  readonly messageId: number
  readonly returnCode: ReturnCode
}

export interface Suback {
  readonly type: typeof Type.suback
  readonly qos: QoS
  readonly topicId: number
  readonly messageId: number
  readonly returnCode: ReturnCode
}

export interface Register {
  readonly type: typeof Type.register
  /** 0 from a client. */
  readonly topicId: number
  readonly messageId: number
  readonly topicName: string
}

/** A message id and nothing else. */
export interface MessageIdOnly {
  readonly type: typeof Type.pubcomp | typeof Type.pubrec | typeof Type.pubrel | typeof Type.unsuback
  readonly messageId: number
}

/** A return code and nothing else. */
export interface ReturnCodeOnly {
  readonly type: typeof Type.connack | typeof Type.willTopicResponse | typeof Type.willMessageResponse
  readonly returnCode: ReturnCode
}

/** A type and nothing else. */
export interface Bare {
  readonly type: typeof Type.willTopicRequest | typeof Type.willMessageRequest | typeof Type.pingResponse
}

export interface PingRequest {
  readonly type: typeof Type.pingRequest
  /** Of a sleeping client; '' of an active one. */
  readonly clientId: string
}

export interface Disconnect {
  readonly type: typeof Type.disconnect
  /** Seconds of sleep; null: none. */
  readonly duration: number | null
}

export interface Advertise {
  readonly type: typeof Type.advertise
  readonly gatewayId: number
  /** Until the next ADVERTISE, seconds. */
  readonly duration: number
}

export interface SearchGateway {
  readonly type: typeof Type.searchGateway
  /** 0: to all. */
  readonly radius: number
}

export interface GatewayInfo {
  readonly type: typeof Type.gatewayInfo
  readonly gatewayId: number
  /** None from a gateway: it is where the message came from. */
  readonly gatewayAddress: Uint8Array
}

/** A forwarder's frame around a message: `message` is not decoded yet. Section 5.5. */
export interface Encapsulated {
  readonly type: typeof Type.encapsulated
  /** 0 to 3. */
  readonly radius: number
  readonly nodeId: Uint8Array
  readonly message: Uint8Array
}

export type Packet =
  | Advertise
  | SearchGateway
  | GatewayInfo
  | Connect
  | ReturnCodeOnly
  | Bare
  | WillTopic
  | WillMessage
  | Register
  | TopicAnswer
  | Publish
  | MessageIdOnly
  | Subscribe
  | Suback
  | Unsubscribe
  | PingRequest
  | Disconnect
  | Encapsulated

/** @returns the topic id that is a topic's name of two bytes; null where the name has not two */
export function shortTopicId(name: string): number | null {
  const bytes = Buffer.from(name)
  return bytes.length === 2 ? bytes.readUInt16BE(0) : null
}

/** @returns the name that is in a short topic id; the empty one where that is no well-formed text: different ids must not be one topic */
export function shortTopicName(topicId: number): string {
  const bytes = Buffer.from([topicId >> 8, topicId & 0xff])
  return isUtf8(bytes) ? bytes.toString('utf8') : ''
}
