/** What is left of a message's expiry. MQTT 5, section 3.3.2.3.3. */
import type { Message } from '../hub/message.ts'

/**
 * The message with what is left of its expiry; null where nothing is: it is not to be delivered [MQTT-3.3.2-5].
 * @param now ms since 1970, by the clock that gave the message its timestamp
 */
export function withExpiryLeft(message: Message, now: number): Message | null {
  const expirySeconds = message.properties?.messageExpiry
  if (expirySeconds === undefined) return message
  const waitedSeconds = Math.max(0, Math.floor((now - message.timestamp) / 1000))
  // one that comes with 0 seconds goes to who takes it at once
  if (waitedSeconds === 0) return message
  if (waitedSeconds >= expirySeconds) return null
  return { ...message, properties: { ...message.properties, messageExpiry: expirySeconds - waitedSeconds } }
}
