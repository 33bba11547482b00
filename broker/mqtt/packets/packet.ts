/**
 * MQTT control packets as values: 3.1 (protocol level 3), 3.1.1 (level 4) and 5.0 (level 5). What is decoded has been found valid: a malformed
 * packet or a protocol error that a single packet shows is an `MqttProtocolError` (protocol-error.ts) and never a value.
 */

export type ProtocolVersion = 3 | 4 | 5
export type QoS = 0 | 1 | 2

export type UserProperties = readonly (readonly [name: string, value: string])[]

/** Properties of a PUBLISH or a will that travel from publisher to subscriber unchanged. MQTT 5, section 3.3.2.3. */
export interface MessageProperties {
  /** True for UTF-8 text. */
  readonly payloadFormat?: boolean
  /** Seconds, as the publisher gave it. */
  readonly messageExpiry?: number
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Buffer
  readonly userProperties?: UserProperties
}

export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly isRetained: boolean
  readonly delaySeconds: number
  readonly properties: MessageProperties | null
}

export interface Connect {
  readonly type: 'connect'
  readonly version: ProtocolVersion
  readonly clientId: string
  readonly cleanStart: boolean
  readonly keepAliveSeconds: number
  readonly username: string | null
  readonly password: Buffer | null
  readonly will: Will | null
  /** MQTT 5; 0xFFFFFFFF is never. For 3.x: 0 with a clean session, 0xFFFFFFFF without. */
  readonly sessionExpirySeconds: number
  /** 65,535 where the client names none. */
  readonly receiveMaximum: number
  /** null: no limit. */
  readonly maximumPacketBytes: number | null
  readonly topicAliasMaximum: number
  readonly requestsProblemInformation: boolean
  readonly requestsResponseInformation: boolean
  readonly authenticationMethod: string | null
}

/** Views into the bytes it was decoded from: what is kept is copied. */
export interface Publish {
  readonly type: 'publish'
  readonly qos: QoS
  readonly isDup: boolean
  readonly isRetained: boolean
  /** Empty where a topic alias stands for it. */
  readonly topic: string
  /** 0 with QoS 0. */
  readonly packetId: number
  readonly payload: Buffer
  readonly topicAlias: number | null
  readonly properties: MessageProperties | null
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP. */
export interface Acknowledgement {
  readonly type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'
  readonly packetId: number
  /** 0 for 3.x. */
  readonly reasonCode: number
}

export interface SubscriptionRequest {
  /** As the client wrote it, `$share/…` included. */
  readonly filter: string
  readonly qos: QoS
  readonly isNoLocal: boolean
  readonly isRetainAsPublished: boolean
  /** 0 send retained messages, 1 only for a new subscription, 2 never. */
  readonly retainHandling: 0 | 1 | 2
}

export interface Subscribe {
  readonly type: 'subscribe'
  readonly packetId: number
  readonly identifier: number | null
  readonly subscriptions: readonly SubscriptionRequest[]
}

export interface Unsubscribe {
  readonly type: 'unsubscribe'
  readonly packetId: number
  readonly filters: readonly string[]
}

export interface Pingreq {
  readonly type: 'pingreq'
}

export interface Disconnect {
  readonly type: 'disconnect'
  readonly reasonCode: number
  readonly sessionExpirySeconds: number | null
}

export interface Auth {
  readonly type: 'auth'
  readonly reasonCode: number
  readonly method: string | null
}

export type ClientPacket =
  | Connect
  | Publish
  | Acknowledgement
  | Subscribe
  | Unsubscribe
  | Pingreq
  | Disconnect
  | Auth
