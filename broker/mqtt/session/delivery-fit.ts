/** Whether a message is to be delivered to a client: it has not expired, and the client takes its size. */
import type { Message } from '../hub/message.ts'
import type { QoS } from '../packets/packet.ts'
import { withExpiryLeft } from './message-expiry.ts'
import type { Outgoing } from './outgoing.ts'
import { publishBytes } from './publish-size.ts'
import type { SessionContext } from './session-context.ts'

/** @returns the message with what is left of its expiry; null, and counted, where it counts as delivered instead [MQTT-3.1.2-25] */
export function deliverable(
  context: SessionContext,
  outgoing: Outgoing,
  message: Message,
  qos: QoS,
  identifiers: readonly number[],
): Message | null {
  const { maximumPacketBytes, version } = outgoing
  // the clock is asked for the few that expire
  const expires = message.properties?.messageExpiry !== undefined
  const left = expires ? withExpiryLeft(message, context.now()) : message
  if (left === null) {
    context.drops.count('expired')
    return null
  }
  if (maximumPacketBytes !== null && publishBytes(left, qos, identifiers, version) > maximumPacketBytes) {
    context.drops.count('tooLarge')
    return null
  }
  return left
}
