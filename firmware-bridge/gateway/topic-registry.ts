/**
 * The topic ids of one device. Ids that the device asked for stay until it connects anew with CleanSession; those that the gateway
 * told it of, for messages of wildcard subscriptions, make room for others, the longest unused first.
 *
 * An id is a function of the name (and of what already has it): a gateway that was started again gives a name the id that it had, and a
 * device that goes on with its old ids does not publish to another topic.
 */

export interface RegisteredTopic {
  readonly topicId: number
  readonly name: string
  /** The device asked for it. */
  isOwn: boolean
  /** The device knows it, as far as this connection goes: else a REGISTER goes before its first message. */
  isKnown: boolean
}

/** Ids that are no topic: 0x0000 and 0xFFFF (MQTT-SN 1.2, section 5.3.11). */
const IDS = 0xfffe

export class TopicRegistry {
  readonly #topicsMax: number
  readonly #byName = new Map<string, RegisteredTopic>()
  readonly #byId = new Map<number, RegisteredTopic>()
  /** Predefined ids that the device has used itself: by name. */
  readonly #predefined = new Map<string, number>()
  #own = 0

  /** @param topicsMax of the device's own, and as many of the gateway's */
  constructor(topicsMax: number) {
    this.#topicsMax = topicsMax
  }

  get size(): number {
    return this.#byName.size
  }

  name(topicId: number): string | undefined {
    return this.#byId.get(topicId)?.name
  }

  get(name: string): RegisteredTopic | undefined {
    return this.#byName.get(name)
  }

  /** The device asks. @returns null where it has as many as it may */
  own(name: string): RegisteredTopic | null {
    const topic = this.#byName.get(name)
    if (topic?.isOwn !== true && this.#own >= this.#topicsMax) return null
    const made = topic ?? this.#add(name)
    if (!made.isOwn) this.#own++
    made.isOwn = true
    return made
  }

  /** The gateway has a message of this topic. */
  forDelivery(name: string): RegisteredTopic {
    const topic = this.#byName.get(name)
    if (topic !== undefined && !topic.isOwn) {
      this.#byName.delete(name)
      this.#byName.set(name, topic)
    }
    if (topic !== undefined) return topic
    if (this.#byName.size - this.#own >= this.#topicsMax) this.#dropOldest()
    return this.#add(name)
  }

  /** The device has used a predefined id: it knows it. As many as there are in the configuration. */
  usePredefined(topicId: number, name: string): void {
    if (this.#predefined.get(name) !== topicId) this.#predefined.set(name, topicId)
  }

  predefined(name: string): number | undefined {
    return this.#predefined.get(name)
  }

  /** The device says that it does not know it. */
  disown(topicId: number, name: string): void {
    if (this.#predefined.get(name) === topicId) this.#predefined.delete(name)
    const topic = this.#byName.get(name)
    if (topic?.topicId === topicId) topic.isKnown = false
  }

  /** A new connection: who knows what the device still knows. */
  forgetKnown(): void {
    for (const topic of this.#byName.values()) topic.isKnown = false
  }

  clear(): void {
    this.#byName.clear()
    this.#byId.clear()
    this.#predefined.clear()
    this.#own = 0
  }

  #add(name: string): RegisteredTopic {
    let topicId = (hash(name) % IDS) + 1
    while (this.#byId.has(topicId)) topicId = (topicId % IDS) + 1
    const topic: RegisteredTopic = { topicId, name, isOwn: false, isKnown: false }
    this.#byName.set(name, topic)
    this.#byId.set(topicId, topic)
    return topic
  }

  #dropOldest(): void {
    for (const topic of this.#byName.values()) {
      if (topic.isOwn) continue
      this.#byName.delete(topic.name)
      this.#byId.delete(topic.topicId)
      return
    }
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let state = 0x811c9dc5
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 0x01000193)
  return state >>> 0
}
