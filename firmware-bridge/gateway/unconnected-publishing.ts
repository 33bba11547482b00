/** QoS -1: from devices that never connect, to predefined and short topics. MQTT-SN 1.2, section 6.8. Nothing is answered, but the time. */
import { type Publish, shortTopicName } from '../packets/packet.ts'
import type { GatewayContext } from './context.ts'
import { recordProperties } from './record-properties.ts'
import type { Route } from './route.ts'
import { answerTime, TIME_REQUEST_ID } from './time-service.ts'
import { isTopicName } from './topic-names.ts'

export class UnconnectedPublishing {
  readonly #context: GatewayContext
  readonly #isAllowed: boolean

  constructor(context: GatewayContext, isAllowed: boolean) {
    this.#context = context
    this.#isAllowed = isAllowed
  }

  receive(route: Route, packet: Publish): void {
    if (this.#isAllowed && this.#publish(route, packet)) this.#context.counters.unconnectedAccepted++
    else this.#context.counters.unconnectedDropped++
  }

  #publish(route: Route, packet: Publish): boolean {
    const { clock, uplink, bodies, isClockTrusted } = this.#context
    if (packet.topicIdType === 'predefined' && packet.topicId === TIME_REQUEST_ID) {
      const answer = answerTime(packet.data, clock, isClockTrusted())
      return answer !== null && route.send(answer.packet)
    }
    const topic = this.#topicOf(packet)
    if (topic === undefined) return false
    const mapped = bodies.fromDevice(null, topic, packet.data)
    if (mapped?.kind === 'refused') return false
    const isOwn = mapped !== null && mapped.payload !== packet.data
    return uplink.publishUnconnected({
      topic: mapped?.topic ?? topic,
      payload: isOwn ? mapped.payload : Buffer.from(packet.data),
      qos: 0,
      isRetained: packet.isRetained,
      messageId: 0,
      isDup: false,
      properties: recordProperties(this.#context, route.link.name, null, mapped),
    })
  }

  #topicOf({ topicIdType, topicId }: Publish): string | undefined {
    if (topicIdType === 'normal') return undefined
    if (topicIdType === 'predefined') return this.#context.predefined.topic(topicId, null)
    const name = shortTopicName(topicId)
    return isTopicName(name) ? name : undefined
  }
}
