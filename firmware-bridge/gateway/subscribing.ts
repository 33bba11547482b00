/** SUBSCRIBE, UNSUBSCRIBE and REGISTER of a device. MQTT-SN 1.2, sections 6.5 and 6.9. */
import {
  type Register,
  ReturnCode,
  type Subscribe,
  type SubscribeTopic,
  TOPIC_ID_NONE,
  Type,
  type Unsubscribe,
} from '../packets/packet.ts'
import type { QoS } from '../uplink/uplink.ts'
import type { DevicePort } from './device-port.ts'
import type { Downlink } from './downlink.ts'
import { hasWildcard, isTopicFilter, isTopicName } from './topic-names.ts'
import type { RegisteredTopic } from './topic-registry.ts'

/** SUBSCRIBE and UNSUBSCRIBE of one device under way; a device has one at a time (section 6.9). */
const ASKED_MAX = 16

/** A filter, and the id under which its messages come; 0: each has its own. */
interface Target {
  readonly filter: string
  readonly topicId: number
  readonly topic: RegisteredTopic | null
}

export class Subscribing {
  readonly #port: DevicePort
  readonly #downlink: Downlink
  #asked = new Set<number>()

  constructor(port: DevicePort, downlink: Downlink) {
    this.#port = port
    this.#downlink = downlink
  }

  /** A new connection. */
  reset(): void {
    this.#asked = new Set()
    this.#downlink.isHeld = false
  }

  register({ messageId, topicName }: Register): void {
    const { topics, counters } = this.#port
    const topic = isTopicName(topicName) ? topics.own(topicName) : undefined
    if (topic) topic.isKnown = true
    if (topic === null) counters.congested++
    const returnCode =
      topic === undefined
        ? ReturnCode.notSupported
        : topic === null
          ? ReturnCode.congestion
          : ReturnCode.accepted
    this.#port.send({ type: Type.regack, topicId: topic?.topicId ?? TOPIC_ID_NONE, messageId, returnCode })
  }

  subscribe({ messageId, qos, topic }: Subscribe): void {
    const { session } = this.#port
    if (this.#asked.has(messageId)) return
    const target = this.#target(topic)
    if (typeof target === 'number') {
      this.#suback(messageId, 0, TOPIC_ID_NONE, target)
      return
    }
    if (session === null || this.#asked.size >= ASKED_MAX) {
      this.#suback(messageId, 0, TOPIC_ID_NONE, ReturnCode.congestion)
      return
    }
    const { filter, topicId, topic: registered } = target
    this.#ask(messageId, session.subscribe(filter, qos), (granted) => {
      if (granted === 'failed') this.#suback(messageId, 0, TOPIC_ID_NONE, ReturnCode.congestion)
      else if (granted === null) this.#suback(messageId, 0, TOPIC_ID_NONE, ReturnCode.notSupported)
      else {
        if (registered !== null) registered.isKnown = true
        if (topic.kind === 'predefined') this.#port.topics.usePredefined(topicId, filter)
        this.#suback(messageId, granted, topicId, ReturnCode.accepted)
      }
    })
  }

  unsubscribe({ messageId, topic }: Unsubscribe): void {
    const { session } = this.#port
    if (this.#asked.has(messageId)) return
    const filter = this.#filter(topic)
    // UNSUBACK has no return code: what cannot have been subscribed is not subscribed.
    if (filter === undefined) {
      this.#port.send({ type: Type.unsuback, messageId })
      return
    }
    // The device repeats it.
    if (session === null || this.#asked.size >= ASKED_MAX) return
    this.#ask(messageId, session.unsubscribe(filter), (done) => {
      if (done !== 'failed') this.#port.send({ type: Type.unsuback, messageId })
    })
  }

  /** Messages of the new subscription wait for its SUBACK, which tells their topic id. */
  #ask<Answer>(messageId: number, asked: Promise<Answer>, answer: (answer: Answer | 'failed') => void): void {
    const open = this.#asked
    open.add(messageId)
    this.#downlink.isHeld = true
    const settle = (value: Answer | 'failed') => {
      open.delete(messageId)
      if (open !== this.#asked) return
      answer(value)
      this.#downlink.isHeld = open.size > 0
      this.#downlink.pump()
    }
    asked.then(settle, () => settle('failed'))
  }

  #suback(messageId: number, qos: QoS, topicId: number, returnCode: ReturnCode): void {
    if (returnCode === ReturnCode.congestion) this.#port.counters.congested++
    this.#port.send({ type: Type.suback, qos, topicId, messageId, returnCode })
  }

  #filter(topic: SubscribeTopic): string | undefined {
    const { context, clientId } = this.#port
    if (topic.kind === 'predefined') return context.predefined.topic(topic.topicId, clientId)
    if (topic.kind === 'short') return isTopicName(topic.name) ? topic.name : undefined
    return isTopicFilter(topic.name) ? topic.name : undefined
  }

  #target(topic: SubscribeTopic): Target | ReturnCode {
    const filter = this.#filter(topic)
    if (filter === undefined) {
      return topic.kind === 'predefined' ? ReturnCode.invalidTopicId : ReturnCode.notSupported
    }
    if (topic.kind === 'predefined') return { filter, topicId: topic.topicId, topic: null }
    if (topic.kind === 'short' || hasWildcard(filter)) return { filter, topicId: TOPIC_ID_NONE, topic: null }
    const registered = this.#port.topics.own(filter)
    if (registered === null) return ReturnCode.congestion
    return { filter, topicId: registered.topicId, topic: registered }
  }
}
