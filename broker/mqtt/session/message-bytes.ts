/** What a message takes in memory, about: limits in bytes count it so wherever it waits. */
import type { Message } from '../hub/message.ts'
import { propertyBytes } from './publish-size.ts'

/** Beside topic, payload and properties: sessions share a message, so that this is less than what one takes. */
const OVERHEAD_BYTES = 64
/** A pair of short strings takes more than its bytes on the wire. */
const USER_PROPERTY_OVERHEAD_BYTES = 100

export function messageBytes({
  topic,
  payload,
  properties,
}: Pick<Message, 'topic' | 'payload' | 'properties'>): number {
  const bytes = OVERHEAD_BYTES + topic.length + payload.length
  if (properties === null) return bytes
  const pairs = properties.userProperties?.length ?? 0
  return bytes + propertyBytes(properties, []) + pairs * USER_PROPERTY_OVERHEAD_BYTES
}
