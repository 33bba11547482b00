/** What a peer is told whose packets are above its rate: to come later, where the packet has an answer that says so. */
import { type Packet, ReturnCode, TOPIC_ID_NONE, Type } from '../packets/packet.ts'
import type { Route } from './route.ts'

export function refuseFlood(route: Route, packet: Packet): void {
  const returnCode = ReturnCode.congestion
  switch (packet.type) {
    case Type.publish: {
      const { topicId, messageId } = packet
      if (packet.qos > 0) route.send({ type: Type.puback, topicId, messageId, returnCode })
      return
    }
    case Type.connect:
      route.send({ type: Type.connack, returnCode })
      return
    case Type.register:
      route.send({ type: Type.regack, topicId: TOPIC_ID_NONE, messageId: packet.messageId, returnCode })
      return
    case Type.subscribe: {
      const { messageId } = packet
      route.send({ type: Type.suback, qos: 0, topicId: TOPIC_ID_NONE, messageId, returnCode })
      return
    }
    default:
      // It repeats what it needs.
      return
  }
}
