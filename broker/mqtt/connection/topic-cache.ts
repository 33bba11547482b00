/**
 * What is known of a topic by its bytes: that it is valid, its text, its route. A device publishes to the same few topics for ever: each is checked
 * and made a string once, and then found by its bytes.
 *
 * By hash (FNV-1a); of two topics with one hash the last stays. So a client that makes hashes collide makes its own topics slow, nothing more.
 */
import type { Pressure } from '../hub/backlog.ts'
import type { Hub } from '../hub/hub.ts'
import type { PacketLimits } from '../packets/limits.ts'
import { validateTopicName } from '../packets/topics.ts'
import type { Route, Router } from '../router.ts'

const TOPICS_MAX = 10_000
const RESERVED = /^\$(SYS|share|replay)(\/|$)/

/** The broker's own: no client publishes to it. */
export function isReservedTopic(topic: string): boolean {
  return topic.charCodeAt(0) === 0x24 && RESERVED.test(topic)
}

export class TopicEntry {
  readonly bytes: Buffer
  readonly topic: string
  /** The broker's own: no client publishes to it. */
  readonly isReserved: boolean
  #hasTakers = false
  #pressures: readonly Pressure[] = []
  #asked = -1
  readonly #router: Router
  #route: Route | null = null
  #routed = -1

  constructor(bytes: Buffer, topic: string, router: Router) {
    this.bytes = bytes
    this.topic = topic
    this.#router = router
    this.isReserved = isReservedTopic(topic)
  }

  /** As the routes are now; null: no stream takes it. */
  get route(): Route | null {
    const { generation } = this.#router
    if (this.#routed !== generation) {
      this.#routed = generation
      this.#route = this.#router.match(this.topic)
    }
    return this.#route
  }

  /** Whether somebody subscribes to it now. */
  hasTakers(hub: Hub): boolean {
    if (this.#asked !== hub.generation) this.#ask(hub)
    return this.#hasTakers
  }

  /** What its messages of QoS 1 and 2 meet now. */
  pressures(hub: Hub): readonly Pressure[] {
    if (this.#asked !== hub.generation) this.#ask(hub)
    return this.#pressures
  }

  #ask(hub: Hub): void {
    this.#asked = hub.generation
    this.#hasTakers = hub.hasTakers(this.topic)
    this.#pressures = hub.pressuresOf(this.topic)
  }

  isAt(bytes: Buffer, from: number, to: number): boolean {
    const own = this.bytes
    if (to - from !== own.length) return false
    for (let i = own.length - 1; i >= 0; i--) if (bytes[from + i] !== own[i]) return false
    return true
  }
}

export class TopicCache {
  readonly #router: Router
  readonly #limits: PacketLimits
  readonly #entries = new Map<number, TopicEntry>()

  constructor(router: Router, limits: PacketLimits) {
    this.#router = router
    this.#limits = limits
  }

  /** @throws MqttProtocolError where bytes[from, to) are not a topic name */
  find(bytes: Buffer, from: number, to: number): TopicEntry {
    const hash = hashOf(bytes, from, to)
    const known = this.#entries.get(hash)
    if (known?.isAt(bytes, from, to)) return known
    validateTopicName(bytes, from, to, this.#limits)
    const own = Buffer.allocUnsafeSlow(to - from)
    bytes.copy(own, 0, from, to)
    const topic = own.toString('utf8')
    const entry = new TopicEntry(own, topic, this.#router)
    if (known === undefined && this.#entries.size >= TOPICS_MAX) {
      const oldest = this.#entries.keys().next().value
      this.#entries.delete(oldest!)
    }
    this.#entries.set(hash, entry)
    return entry
  }
}

function hashOf(bytes: Buffer, from: number, to: number): number {
  let hash = 0x811c9dc5
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return hash
}
