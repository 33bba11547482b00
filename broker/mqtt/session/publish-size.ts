/** Bytes of a PUBLISH to a client, without a topic alias. MQTT 5, section 3.3; the property lengths are those of section 2.2.2.2. */
import type { Message } from '../hub/message.ts'
import type { MessageProperties, ProtocolVersion } from '../packets/packet.ts'

export function publishBytes(
  message: Message,
  qos: number,
  identifiers: readonly number[],
  version: ProtocolVersion,
): number {
  let bytes = 2 + Buffer.byteLength(message.topic) + (qos === 0 ? 0 : 2) + message.payload.length
  if (version === 5) {
    const properties = propertyBytes(message.properties, identifiers)
    bytes += lengthBytes(properties) + properties
  }
  return 1 + lengthBytes(bytes) + bytes
}

/** Bytes of the properties of a PUBLISH without their length. */
export function propertyBytes(properties: MessageProperties | null, identifiers: readonly number[]): number {
  let bytes = 0
  for (const identifier of identifiers) bytes += 1 + lengthBytes(identifier)
  if (properties === null) return bytes
  const { payloadFormat, messageExpiry, contentType, responseTopic, correlationData, userProperties } =
    properties
  if (payloadFormat !== undefined) bytes += 2
  if (messageExpiry !== undefined) bytes += 5
  if (contentType !== undefined) bytes += 3 + Buffer.byteLength(contentType)
  if (responseTopic !== undefined) bytes += 3 + Buffer.byteLength(responseTopic)
  if (correlationData !== undefined) bytes += 3 + correlationData.length
  for (const [name, value] of userProperties ?? []) {
    bytes += 5 + Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  return bytes
}

/** A variable byte integer. */
function lengthBytes(value: number): number {
  if (value < 128) return 1
  if (value < 16_384) return 2
  return value < 2_097_152 ? 3 : 4
}
