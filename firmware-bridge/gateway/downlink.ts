/**
 * Broker to device: one message in flight, repeated until the device answers it (MQTT-SN 1.2, section 6.13). A topic that the device does
 * not know is told first (REGISTER, section 6.10). After N_RETRY repetitions nothing more is sent until the device is heard; what it did
 * not answer is sent again then, because it may be the radio and not the device.
 *
 *     queue -> register -> publish -> (QoS 1: PUBACK) done
 *                                  -> (QoS 2: PUBREC) release -> PUBCOMP done
 */
import {
  type MessageIdOnly,
  type Publish,
  ReturnCode,
  shortTopicId,
  type TopicAnswer,
  type TopicIdType,
  Type,
} from '../packets/packet.ts'
import type { DownMessage } from '../uplink/uplink.ts'
import { countReason } from './counters.ts'
import type { DownlinkPort } from './device-port.ts'
import { DownlinkQueue, type Waiting } from './downlink-queue.ts'
import { RoundTrip } from './round-trip.ts'
import type { RegisteredTopic } from './topic-registry.ts'

/** Of QoS 1 and 2: the uplink's receive maximum is below it. */
const HELD_MAX = 1_000

type Address = { readonly topicIdType: TopicIdType; readonly topicId: number }

type Stage =
  | { readonly kind: 'register'; readonly topic: RegisteredTopic; readonly messageId: number }
  | { readonly kind: 'publish'; readonly address: Address }
  | { readonly kind: 'release' }

interface InFlight {
  readonly item: Waiting
  stage: Stage
  /** Times that this stage's packet was sent since the device was last heard. */
  attempts: number
  sentAt: number
  retryAt: number
}

export class Downlink {
  readonly #port: DownlinkPort
  readonly #queue: DownlinkQueue
  readonly roundTrip = new RoundTrip()
  #inFlight: InFlight | null = null
  #held = 0
  #messageId = 0
  /** Not answered: until the device is heard. */
  #isPaused = false
  #isPumping = false
  /** Nothing is begun, because an answer on its way tells a topic id. */
  isHeld = false
  /** Since the device woke. */
  deliveredAwake = 0
  /** Of these of QoS 1 and 2: the broker may have more. */
  acknowledgedAwake = 0

  constructor(port: DownlinkPort) {
    this.#port = port
    this.#queue = new DownlinkQueue(port.context.config.sleepingMessagesMax)
  }

  get length(): number {
    return this.#queue.length + (this.#inFlight === null ? 0 : 1)
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  /** ms, monotonic. */
  get dueAt(): number {
    if (this.#inFlight === null || this.#isPaused || !this.#port.isReceiving) return Number.POSITIVE_INFINITY
    return this.#inFlight.retryAt
  }

  /** @returns resolves when the device has it or will never get it; rejects when the session has ended, and the broker still has it */
  offer(message: DownMessage): Promise<void> {
    const { counters, context } = this.#port
    if (message.qos > 0 && this.#held >= HELD_MAX) {
      return Promise.reject(new Error(`more than ${HELD_MAX} messages wait for ${this.#port.clientId}`))
    }
    return new Promise((resolve, reject) => {
      if (message.qos > 0) this.#held++
      const settled = <Value>(settle: (value: Value) => void) => {
        return (value: Value): void => {
          if (message.qos > 0) this.#held--
          settle(value)
        }
      }
      const priority = context.priorities.of(message.topic)
      const done = settled(resolve) as () => void
      const fail = settled(reject)
      const gone = this.#queue.add({
        message,
        priority,
        messageId: 0,
        wasSent: false,
        wasUnknown: false,
        done,
        fail,
      })
      if (gone !== null) {
        countReason(counters.undelivered, 'overflow')
        gone.done()
      }
      this.pump()
    })
  }

  /** Sends what can go now. */
  pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    while (this.#inFlight === null && this.#port.isReceiving && !this.isHeld && !this.#isPaused) {
      const item = this.#port.isSated ? undefined : this.#queue.take()
      if (item === undefined) {
        this.#port.onIdle()
        break
      }
      this.#begin(item)
    }
    this.#isPumping = false
    this.#port.plan()
  }

  /** After a packet of the device was looked at: it is there. */
  onHeard(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.resume()
  }

  /** The device listens again: what is in flight is sent at once. */
  resume(): void {
    if (this.#inFlight !== null && this.#port.isReceiving && !this.#isPaused) {
      this.#inFlight.attempts = 0
      this.#transmit(this.#inFlight)
    }
    this.pump()
  }

  /** A new connection: the device may have forgotten topic ids, and what it had of a message before PUBREC. */
  restart(): void {
    this.#isPaused = false
    const { stage, item } = this.#inFlight ?? {}
    if (stage === undefined || stage.kind === 'release') return
    this.#inFlight = null
    item!.wasUnknown = false
    this.#queue.putBack(item!)
  }

  /** The session has ended. */
  fail(error: Error): void {
    const all = this.#queue.clear()
    if (this.#inFlight !== null) all.push(this.#inFlight.item)
    this.#inFlight = null
    this.#isPaused = false
    for (const item of all) item.fail(error)
  }

  onDue(now: number): void {
    const inFlight = this.#inFlight
    if (inFlight === null || now < this.dueAt) return
    const { config } = this.#port.context
    if (inFlight.attempts <= config.retries) {
      this.#transmit(inFlight)
    } else if (inFlight.item.message.qos === 0 && inFlight.stage.kind === 'publish') {
      this.#finish('unsent')
    } else {
      this.#port.counters.unanswered++
      this.#isPaused = true
      this.#port.onIdle()
    }
  }

  onRegack({ messageId, returnCode }: TopicAnswer): boolean {
    const inFlight = this.#inFlight
    if (inFlight?.stage.kind !== 'register' || inFlight.stage.messageId !== messageId) return false
    this.#answered(inFlight)
    if (returnCode === ReturnCode.congestion) this.#later(inFlight)
    else if (returnCode !== ReturnCode.accepted) this.#finish('refused')
    else {
      inFlight.stage.topic.isKnown = true
      this.#goTo(inFlight, this.#firstStage(inFlight.item))
    }
    return true
  }

  onPuback({ topicId, messageId, returnCode }: TopicAnswer): boolean {
    const inFlight = this.#inFlight
    if (messageId === 0) {
      // A message of QoS 0 came under an id that the device does not know.
      const name = this.#port.topics.name(topicId)
      if (returnCode === ReturnCode.invalidTopicId && name) this.#port.topics.disown(topicId, name)
      return name !== undefined
    }
    if (inFlight?.stage.kind !== 'publish' || inFlight.item.messageId !== messageId) return false
    this.#answered(inFlight)
    switch (returnCode) {
      case ReturnCode.accepted:
        // Of QoS 2 the answer is PUBREC.
        if (inFlight.item.message.qos === 1) this.#finish(null)
        break
      case ReturnCode.congestion:
        this.#later(inFlight)
        break
      case ReturnCode.invalidTopicId:
        this.#onUnknownTopic(inFlight, inFlight.stage.address)
        break
      case ReturnCode.notSupported:
        this.#finish('refused')
    }
    return true
  }

  /** PUBREC, PUBCOMP. */
  onProgress({ type, messageId }: MessageIdOnly): boolean {
    const inFlight = this.#inFlight
    if (inFlight === null || inFlight.item.message.qos !== 2 || inFlight.item.messageId !== messageId) {
      // The device waits for PUBREL to a message that is over here: it is to end it.
      if (type === Type.pubrec) this.#port.send({ type: Type.pubrel, messageId })
      return false
    }
    this.#answered(inFlight)
    if (type === Type.pubrec) this.#goTo(inFlight, { kind: 'release' })
    else if (inFlight.stage.kind === 'release') this.#finish(null)
    return true
  }

  #begin(item: Waiting): void {
    const undelivered = this.#fault(item.message)
    if (undelivered !== null) {
      countReason(this.#port.counters.undelivered, undelivered)
      item.done()
      return
    }
    const inFlight = { item, stage: this.#firstStage(item), attempts: 0, sentAt: 0, retryAt: 0 }
    this.#inFlight = inFlight
    this.#transmit(inFlight)
  }

  /** @returns why it cannot be delivered, or null */
  #fault({ topic, payload, expiresAt }: DownMessage): string | null {
    const { context, route } = this.#port
    if (expiresAt !== null && expiresAt <= context.clock.monotonic()) return 'expired'
    const bytesMax = route?.packetBytesMax ?? 0
    const register = this.#address(topic) === null ? packetBytes(4 + Buffer.byteLength(topic)) : 0
    const bytes = Math.max(packetBytes(5 + payload.length), register)
    if (bytes <= bytesMax) return null
    const { clientId } = this.#port
    const line = `a message for device ${clientId} is longer than its link carries: it is not delivered`
    context.log.warn('too long', line, { topic, bytes, bytesMax })
    return 'too-long'
  }

  /** The message itself, or first its topic. */
  #firstStage(item: Waiting): Stage {
    const address = this.#address(item.message.topic)
    if (address === null) {
      const topic = this.#port.topics.forDelivery(item.message.topic)
      return { kind: 'register', topic, messageId: this.#nextMessageId() }
    }
    if (item.messageId === 0 && item.message.qos > 0) item.messageId = this.#nextMessageId()
    return { kind: 'publish', address }
  }

  #goTo(inFlight: InFlight, stage: Stage): void {
    inFlight.stage = stage
    inFlight.attempts = 0
    this.#transmit(inFlight)
  }

  /** @returns null: the device is to be told of the topic first */
  #address(name: string): Address | null {
    const { topics } = this.#port
    const topic = topics.get(name)
    if (topic?.isKnown === true) return { topicIdType: 'normal', topicId: topic.topicId }
    const predefined = topics.predefined(name)
    if (predefined !== undefined) return { topicIdType: 'predefined', topicId: predefined }
    const short = name.length <= 2 ? shortTopicId(name) : null
    return short === null ? null : { topicIdType: 'short', topicId: short }
  }

  #transmit(inFlight: InFlight): void {
    const { item, stage } = inFlight
    const port = this.#port
    const now = port.context.clock.monotonic()
    const isSent = this.#sendStage(item, stage)
    if (inFlight.attempts > 0) port.counters.retransmissionsMade++
    else inFlight.sentAt = now
    inFlight.attempts++
    inFlight.retryAt = now + (port.route?.retryMs ?? 0)
    if (stage.kind === 'publish' && item.message.qos === 0 && isSent) this.#finish(null)
    else port.plan()
  }

  #sendStage(item: Waiting, stage: Stage): boolean {
    const port = this.#port
    const { message, messageId } = item
    switch (stage.kind) {
      case 'register': {
        const { topic, messageId } = stage
        return port.send({ type: Type.register, topicId: topic.topicId, messageId, topicName: topic.name })
      }
      case 'release':
        return port.send({ type: Type.pubrel, messageId })
      case 'publish': {
        const { qos, isRetained, payload: data } = message
        const isDup = qos > 0 && item.wasSent
        const packet: Publish = {
          type: Type.publish,
          isDup,
          qos,
          isRetained,
          ...stage.address,
          messageId,
          data,
        }
        item.wasSent = true
        return port.send(packet)
      }
    }
  }

  #answered({ attempts, sentAt }: InFlight): void {
    // Karn's rule: an answer to a packet that was sent twice says nothing of the way.
    if (attempts === 1) this.roundTrip.measure(this.#port.context.clock.monotonic() - sentAt)
  }

  /** The device is busy: again later, as often as it says so. */
  #later(inFlight: InFlight): void {
    inFlight.attempts = 1
    inFlight.retryAt = this.#port.context.clock.monotonic() + (this.#port.route?.retryMs ?? 0)
    this.#port.plan()
  }

  #onUnknownTopic(inFlight: InFlight, { topicId, topicIdType }: Address): void {
    const { item } = inFlight
    this.#port.topics.disown(topicId, item.message.topic)
    if (item.wasUnknown || topicIdType === 'short') {
      this.#finish('refused')
      return
    }
    item.wasUnknown = true
    this.#goTo(inFlight, this.#firstStage(item))
  }

  /** @param undelivered null: the device has it */
  #finish(undelivered: string | null): void {
    const { item } = this.#inFlight!
    const { counters } = this.#port
    this.#inFlight = null
    if (undelivered === null) {
      counters.delivered++
      this.deliveredAwake++
      if (item.message.qos > 0) this.acknowledgedAwake++
    } else countReason(counters.undelivered, undelivered)
    item.done()
    this.pump()
  }

  #nextMessageId(): number {
    this.#messageId = (this.#messageId % 0xffff) + 1
    return this.#messageId
  }
}

/** With its length and type. */
function packetBytes(body: number): number {
  return body + 2 > 0xff ? body + 4 : body + 2
}
