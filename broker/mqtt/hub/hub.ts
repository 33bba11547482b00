/** Who takes a topic: the subscriptions of all sessions, shared groups, and the one delivery a session gets of a message. */
import type { QoS } from '../packets/packet.ts'
import { topicMatches } from '../router.ts'
import type { Grant, Message, Subscriber } from './message.ts'
import { filterText, type Subscription } from './subscription.ts'

const TOPICS_MAX = 10_000

interface Held {
  readonly subscriber: Subscriber
  readonly subscription: Subscription
  readonly levels: readonly string[]
}

/** Those that take one topic. */
interface Takers {
  readonly plain: readonly (readonly [subscriber: Subscriber, own: readonly Held[]])[]
  readonly shared: readonly (readonly [group: string, members: readonly Held[]])[]
}

export class Hub {
  /** Changes whenever an answer of `hasTakers` may. */
  generation = 0
  readonly #held = new Map<Subscriber, Map<string, Held>>()
  readonly #takers = new Map<string, Takers>()
  readonly #turns = new Map<string, number>()

  /** Replaces one of the same subscriber with the same text. */
  subscribe(subscriber: Subscriber, subscription: Subscription): void {
    const own = this.#held.get(subscriber) ?? new Map<string, Held>()
    this.#held.set(subscriber, own)
    own.set(filterText(subscription), { subscriber, subscription, levels: subscription.filter.split('/') })
    this.#changed()
  }

  unsubscribe(subscriber: Subscriber, text: string): boolean {
    const own = this.#held.get(subscriber)
    if (own?.delete(text) !== true) return false
    if (own.size === 0) this.#held.delete(subscriber)
    this.#changed()
    return true
  }

  removeAll(subscriber: Subscriber): void {
    if (this.#held.delete(subscriber)) this.#changed()
  }

  hasTakers(topic: string): boolean {
    const { plain, shared } = this.#takersOf(topic)
    return plain.length > 0 || shared.length > 0
  }

  /** @returns to how many it went */
  publish(message: Message): number {
    const { plain, shared } = this.#takersOf(message.topic)
    let count = 0
    for (const [subscriber, own] of plain) {
      const grant = grantOf(own, message)
      if (grant === null) continue
      subscriber.deliver(message, grant)
      count++
    }
    for (const [group, members] of shared) {
      const member = this.#next(group, members)
      member.subscriber.deliver(message, grantOf([member], message)!)
      count++
    }
    return count
  }

  #next(group: string, members: readonly Held[]): Held {
    const online = members.filter(({ subscriber }) => subscriber.isOnline)
    const among = online.length > 0 ? online : members
    const turn = this.#turns.get(group) ?? 0
    this.#turns.set(group, turn + 1)
    return among[turn % among.length]
  }

  #changed(): void {
    this.generation++
    this.#takers.clear()
  }

  #takersOf(topic: string): Takers {
    const known = this.#takers.get(topic)
    if (known !== undefined) return known
    const levels = topic.split('/')
    const plain: [Subscriber, Held[]][] = []
    const shared = new Map<string, Held[]>()
    for (const [subscriber, own] of this.#held) {
      const matching = [...own.values()].filter(
        (held) => topicMatches(held.levels, levels) && (topic[0] !== '$' || held.levels[0] === levels[0]),
      )
      const direct = matching.filter(({ subscription }) => subscription.shareName === null)
      if (direct.length > 0) plain.push([subscriber, direct])
      for (const held of matching) {
        if (held.subscription.shareName === null) continue
        const group = filterText(held.subscription)
        shared.set(group, [...(shared.get(group) ?? []), held])
      }
    }
    const takers = { plain, shared: [...shared] }
    if (this.#takers.size >= TOPICS_MAX) this.#takers.clear()
    this.#takers.set(topic, takers)
    return takers
  }
}

/** @returns null where all of them want nothing of the subscriber's own */
function grantOf(own: readonly Held[], message: Message): Grant | null {
  let qos: QoS = 0
  let isRetainAsPublished = false
  let isTaken = false
  const identifiers: number[] = []
  for (const { subscriber, subscription } of own) {
    if (subscription.isNoLocal && message.clientId === subscriber.clientId) continue
    isTaken = true
    if (subscription.qos > qos) qos = subscription.qos
    isRetainAsPublished ||= subscription.isRetainAsPublished
    if (subscription.identifier !== null) identifiers.push(subscription.identifier)
  }
  return isTaken ? { qos, identifiers, isRetainAsPublished } : null
}
