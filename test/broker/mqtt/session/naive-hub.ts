/** The plainest hub there is: every subscription is compared with every message. */
import type { Message, Subscriber } from '../../../../broker/mqtt/hub/message.ts'
import { filterText, type Subscription } from '../../../../broker/mqtt/hub/subscription.ts'
import type { QoS } from '../../../../broker/mqtt/packets/packet.ts'
import { topicMatches } from '../../../../broker/mqtt/router.ts'
import type { TopicHub } from '../../../../broker/mqtt/session/topic-hub.ts'

export class NaiveHub implements TopicHub {
  readonly #subscriptions = new Map<Subscriber, Map<string, Subscription>>()

  subscribe(subscriber: Subscriber, subscription: Subscription): void {
    const own = this.#subscriptions.get(subscriber) ?? new Map<string, Subscription>()
    own.set(filterText(subscription), subscription)
    this.#subscriptions.set(subscriber, own)
  }

  unsubscribe(subscriber: Subscriber, text: string): boolean {
    return this.#subscriptions.get(subscriber)?.delete(text) ?? false
  }

  removeAll(subscriber: Subscriber): void {
    this.#subscriptions.delete(subscriber)
  }

  publish(message: Message): number {
    const levels = message.topic.split('/')
    let takers = 0
    for (const [subscriber, own] of this.#subscriptions) {
      const matching = [...own.values()].filter(
        ({ filter, isNoLocal }) =>
          topicMatches(filter.split('/'), levels) &&
          !(message.topic.startsWith('$') && /^[+#]/.test(filter)) &&
          !(isNoLocal && message.clientId === subscriber.clientId),
      )
      if (matching.length === 0) continue
      takers++
      subscriber.deliver(message, {
        qos: Math.max(...matching.map(({ qos }) => qos)) as QoS,
        identifiers: matching.flatMap(({ identifier }) => (identifier === null ? [] : [identifier])),
        isRetainAsPublished: matching.some(({ isRetainAsPublished }) => isRetainAsPublished),
      })
    }
    return takers
  }
}
