/**
 * CONNACK. MQTT 5, section 3.2; MQTT 3.1.1, section 3.2.
 *
 *     connack = flags code [properties]      flags: session present(0x01); properties: MQTT 5
 *
 * Example: 20 03 00 00 00 accepts a client with MQTT 5; 20 02 00 05 refuses one with MQTT 3.1.1: not authorised.
 */
import { PacketType } from './frame-scanner.ts'
import type { ProtocolVersion, QoS, UserProperties } from './packet.ts'
import { Property } from './properties.ts'
import { framed, PropertyWriter } from './property-writer.ts'
import { Reason } from './protocol-error.ts'

/** MQTT 5, section 3.2.2.3. What is not there is not sent, and has the default that the section gives it. */
export interface ConnackProperties {
  readonly sessionExpirySeconds?: number
  readonly receiveMaximum?: number
  readonly maximumQos?: Exclude<QoS, 2>
  readonly isRetainAvailable?: boolean
  readonly maximumPacketBytes?: number
  readonly assignedClientId?: string
  readonly topicAliasMaximum?: number
  readonly isWildcardAvailable?: boolean
  readonly isIdentifierAvailable?: boolean
  readonly isSharedAvailable?: boolean
  readonly serverKeepAliveSeconds?: number
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly authenticationMethod?: string
  readonly authenticationData?: Buffer
  /** Left out where the packet would be longer than the client takes. MQTT-3.2.2-19, MQTT-3.2.2-20 */
  readonly reasonString?: string
  readonly userProperties?: UserProperties
}

/** Return codes of MQTT 3.1.1, section 3.2.2.3, for reason codes of MQTT 5. */
const RETURN_CODES: Readonly<Record<number, number>> = {
  [Reason.success]: 0,
  [Reason.unsupportedVersion]: 1,
  [Reason.invalidClientId]: 2,
  [Reason.serverUnavailable]: 3,
  [Reason.serverBusy]: 3,
  [Reason.serverShuttingDown]: 3,
  [Reason.quotaExceeded]: 3,
  [Reason.connectionRateExceeded]: 3,
  [Reason.badCredentials]: 4,
  [Reason.notAuthorized]: 5,
  [Reason.banned]: 5,
}

/**
 * @param packetBytesMax the client's maximum packet size
 * @returns null where MQTT 3 has no return code for it: the connection closes without a CONNACK. 3.1.1: MQTT-3.2.2-6
 */
export function encodeConnack(
  version: ProtocolVersion,
  isSessionPresent: boolean,
  reasonCode: number,
  properties: ConnackProperties = {},
  packetBytesMax: number | null = null,
): Buffer | null {
  const first = PacketType.connack << 4
  // MQTT-3.2.2-6. MQTT 3.1 has no such flag: its byte is reserved.
  const flags = isSessionPresent && reasonCode === Reason.success && version !== 3 ? 1 : 0
  if (version !== 5) {
    const code = RETURN_CODES[reasonCode]
    return code === undefined ? null : Buffer.from([first, 2, flags, code])
  }
  const head = Buffer.from([flags, reasonCode])
  const { reasonString, userProperties } = properties
  if (reasonString !== undefined || userProperties !== undefined) {
    const writer = written(properties).text(Property.reasonString, reasonString).user(userProperties)
    const whole = framed(first, head, writer.finish())
    if (packetBytesMax === null || whole.length <= packetBytesMax) return whole
  }
  return framed(first, head, written(properties).finish())
}

function written(properties: ConnackProperties): PropertyWriter {
  return new PropertyWriter()
    .u32(Property.sessionExpiry, properties.sessionExpirySeconds)
    .u16(Property.receiveMaximum, properties.receiveMaximum)
    .byte(Property.maximumQos, properties.maximumQos)
    .byte(Property.retainAvailable, properties.isRetainAvailable)
    .u32(Property.maximumPacketSize, properties.maximumPacketBytes)
    .text(Property.assignedClientId, properties.assignedClientId)
    .u16(Property.topicAliasMaximum, properties.topicAliasMaximum)
    .byte(Property.wildcardAvailable, properties.isWildcardAvailable)
    .byte(Property.identifierAvailable, properties.isIdentifierAvailable)
    .byte(Property.sharedAvailable, properties.isSharedAvailable)
    .u16(Property.serverKeepAlive, properties.serverKeepAliveSeconds)
    .text(Property.responseInformation, properties.responseInformation)
    .text(Property.serverReference, properties.serverReference)
    .text(Property.authenticationMethod, properties.authenticationMethod)
    .binary(Property.authenticationData, properties.authenticationData)
}
