/** A client broke the protocol: its connection ends. With MQTT 5 it is told the reason code. */
import type { ProtocolVersion } from './packet.ts'

/** Reason codes of MQTT 5, section 2.4, as far as the broker sends them. */
export const Reason = {
  success: 0x00,
  grantedQos1: 0x01,
  grantedQos2: 0x02,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  unspecified: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecific: 0x83,
  unsupportedVersion: 0x84,
  invalidClientId: 0x85,
  badCredentials: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  invalidFilter: 0x8f,
  invalidTopic: 0x90,
  packetIdInUse: 0x91,
  packetIdNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  invalidTopicAlias: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  invalidPayloadFormat: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  connectionRateExceeded: 0x9f,
  sharedNotSupported: 0x9e,
  identifiersNotSupported: 0xa1,
  wildcardsNotSupported: 0xa2,
} as const

export type ReasonCode = (typeof Reason)[keyof typeof Reason]

export class MqttProtocolError extends Error {
  readonly reasonCode: ReasonCode
  /**
   * Of the specification of MQTT 5, such as MQTT-3.3.1-4; a section where the statement has no number; `3.1.1: MQTT-3.1.2-22` where 3.1.1
   * alone says so; `limit: NAME` where the limit is the broker's own.
   */
  readonly clause: string
  /**
   * Of a CONNECT that was refused: the version in which CONNACK answers it; null: with none. Of every other packet undefined: the connection
   * knows its version.
   */
  answerVersion: ProtocolVersion | null | undefined

  constructor(reasonCode: ReasonCode, clause: string, reason: string) {
    super(`${reason} [${clause}]`)
    this.name = 'MqttProtocolError'
    this.reasonCode = reasonCode
    this.clause = clause
  }
}

export function malformed(clause: string, reason: string): MqttProtocolError {
  return new MqttProtocolError(Reason.malformedPacket, clause, reason)
}

export function violation(clause: string, reason: string): MqttProtocolError {
  return new MqttProtocolError(Reason.protocolError, clause, reason)
}
