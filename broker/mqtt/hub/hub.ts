/**
 * Who takes a topic: the subscriptions of all sessions, shared groups, and the one delivery a session gets of a message, whatever
 * number of its subscriptions match (MQTT 5, section 3.3.4).
 *
 * The takers of a topic are looked up once and remembered until a subscription changes that can matter.
 */
import type { QoS } from '../packets/packet.ts'
import type { Pressure } from './backlog.ts'
import { Filters } from './filters.ts'
import type { Grant, Message, Subscriber } from './message.ts'
import { SharedGroup } from './shared-group.ts'
import { filterText, type Subscription } from './subscription.ts'

/** Topics whose takers are remembered; all are looked up again once there are more. */
const TOPICS_MAX = 10_000

/** All that hold one filter. */
interface Holders {
  readonly filter: string
  readonly plain: Map<Subscriber, Subscription>
  /** By name. */
  readonly groups: Map<string, SharedGroup>
}

/** One session, with what it gets of a topic's messages. */
interface Taker {
  readonly subscriber: Subscriber
  readonly grant: Grant
  /** Its subscriptions, where one of them wants nothing that it published itself; null where none does. */
  readonly own: readonly Subscription[] | null
}

interface Takers {
  readonly plain: readonly Taker[]
  readonly groups: readonly SharedGroup[]
  /** Of those whose messages are queued. */
  readonly pressures: readonly Pressure[]
}

const NOBODY: Takers = { plain: [], groups: [], pressures: [] }

export class Hub {
  /** Changes whenever an answer of `hasTakers` may. */
  generation = 0
  readonly #filters = new Filters<Holders>()
  readonly #held = new Map<Subscriber, Map<string, Subscription>>()
  readonly #takers = new Map<string, Takers>()

  /** Subscriptions of all sessions. */
  count = 0

  /** Replaces one of the same subscriber with the same text [MQTT-3.8.4-3]. */
  subscribe(subscriber: Subscriber, subscription: Subscription): void {
    const text = filterText(subscription)
    this.unsubscribe(subscriber, text)
    const own = this.#held.get(subscriber) ?? new Map<string, Subscription>()
    this.#held.set(subscriber, own.set(text, subscription))
    this.#hold(subscriber, subscription)
    this.count++
    this.#changed()
  }

  /** @param text as the client wrote it, `$share/…` included @returns false where it does not hold it */
  unsubscribe(subscriber: Subscriber, text: string): boolean {
    const own = this.#held.get(subscriber)
    const subscription = own?.get(text)
    if (own === undefined || subscription === undefined) return false
    own.delete(text)
    if (own.size === 0) this.#held.delete(subscriber)
    this.#letGo(subscriber, subscription)
    this.count--
    this.#changed()
    return true
  }

  removeAll(subscriber: Subscriber): void {
    const own = this.#held.get(subscriber)
    if (own === undefined) return
    this.#held.delete(subscriber)
    for (const subscription of own.values()) this.#letGo(subscriber, subscription)
    this.count -= own.size
    this.#changed()
  }

  /** What nobody takes costs a look into a map. */
  hasTakers(topic: string): boolean {
    return this.count > 0 && this.#takersOf(topic) !== NOBODY
  }

  /** What a message of QoS 1 or 2 meets on its way; another where `generation` is. */
  pressuresOf(topic: string): readonly Pressure[] {
    return this.count === 0 ? NOBODY.pressures : this.#takersOf(topic).pressures
  }

  /** @returns to how many sessions it went */
  publish(message: Message): number {
    if (this.count === 0) return 0
    const { plain, groups } = this.#takersOf(message.topic)
    let delivered = 0
    for (const { subscriber, grant, own } of plain) {
      const isOwn = own !== null && message.clientId === subscriber.clientId
      const given = isOwn ? grantOf(own.filter(({ isNoLocal }) => !isNoLocal)) : grant
      if (given === null) continue
      subscriber.deliver(message, given)
      delivered++
    }
    for (const group of groups) {
      if (group.give(message)) delivered++
    }
    return delivered
  }

  #hold(subscriber: Subscriber, subscription: Subscription): void {
    const { filter, shareName } = subscription
    let holders = this.#filters.get(filter)
    if (holders === undefined) {
      holders = { filter, plain: new Map(), groups: new Map() }
      this.#filters.add(filter, holders)
    }
    if (shareName === null) {
      holders.plain.set(subscriber, subscription)
      return
    }
    const group = holders.groups.get(shareName) ?? new SharedGroup()
    holders.groups.set(shareName, group)
    group.add(subscriber, subscription)
  }

  #letGo(subscriber: Subscriber, { filter, shareName }: Subscription): void {
    const holders = this.#filters.get(filter)!
    if (shareName === null) holders.plain.delete(subscriber)
    else {
      const group = holders.groups.get(shareName)!
      group.remove(subscriber)
      if (group.isEmpty) holders.groups.delete(shareName)
    }
    if (holders.plain.size === 0 && holders.groups.size === 0) this.#filters.remove(filter)
  }

  #changed(): void {
    this.generation++
    this.#takers.clear()
  }

  #takersOf(topic: string): Takers {
    const known = this.#takers.get(topic)
    if (known !== undefined) return known
    // a wildcard at the front takes no topic that begins with "$" [MQTT-4.7.2-1]
    const isApart = topic.startsWith('$')
    const matching = this.#filters.matching(topic).filter(({ filter }) => !isApart || filter.startsWith('$'))
    const takers = takersOf(matching)
    if (this.#takers.size >= TOPICS_MAX) this.#takers.clear()
    this.#takers.set(topic, takers)
    return takers
  }
}

function takersOf(matching: readonly Holders[]): Takers {
  if (matching.length === 0) return NOBODY
  const bySubscriber = new Map<Subscriber, Subscription[]>()
  for (const { plain } of matching) {
    for (const [subscriber, subscription] of plain) {
      const own = bySubscriber.get(subscriber)
      if (own === undefined) bySubscriber.set(subscriber, [subscription])
      else own.push(subscription)
    }
  }
  const plain = [...bySubscriber].map(([subscriber, own]) => ({
    subscriber,
    grant: grantOf(own)!,
    own: own.some(({ isNoLocal }) => isNoLocal) ? own : null,
  }))
  const groups = matching.flatMap((holders) => [...holders.groups.values()])
  const queued = plain.filter(({ grant }) => grant.qos > 0)
  return { plain, groups, pressures: [...queued.map(({ subscriber }) => subscriber.backlog), ...groups] }
}

/** @returns null of none */
function grantOf(own: readonly Subscription[]): Grant | null {
  if (own.length === 0) return null
  let qos: QoS = 0
  let isRetainAsPublished = false
  const identifiers: number[] = []
  for (const subscription of own) {
    if (subscription.qos > qos) qos = subscription.qos
    isRetainAsPublished ||= subscription.isRetainAsPublished
    if (subscription.identifier !== null) identifiers.push(subscription.identifier)
  }
  return { qos, identifiers, isRetainAsPublished }
}
