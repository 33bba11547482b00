/**
 * What a device may expect of a gateway, and no more: sessions that outlive a reconnection, ids of topics that do not outlive the gateway, a
 * window of message ids, acknowledgements that take their time, congestion now and then. No time passes in it but the test's.
 */
import type { Random } from '../../support/random.ts'
import { Flag, message, Type, u16 } from './frames.ts'

/** Message ids that it knows of a client; a bridge has as many. */
const WINDOW = 16

export interface Taken {
  readonly topic: string
  readonly payload: string
}

interface Out {
  readonly id: number
  readonly payload: string
  isRepeated: boolean
  sentAt: number
}

export class GatewayDouble {
  /** What it acknowledged, in order, once each. */
  readonly taken: Taken[] = []
  /** Messages for the device that it has acknowledged. */
  readonly delivered: string[] = []
  /** Filters of the session, which the broker keeps. */
  readonly filters = new Set<string>()
  readonly #random: Random
  readonly #send: (message: Buffer) => void
  #isConnected = false
  #topics = new Map<number, string>()
  #window: { id: number; text: string }[] = []
  readonly #queue: string[] = []
  #out: Out | null = null
  #downTopic = 0
  #lastId = 0
  /** That `deliver` is for. */
  commandFilter = 'cmd'
  congestions = 0
  restarts = 0

  constructor(random: Random, send: (message: Buffer) => void) {
    this.#random = random
    this.#send = send
  }

  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#out === null
  }

  /** To the device's subscription, QoS 1. */
  deliver(payload: string): void {
    this.#queue.push(payload)
  }

  /** It was killed and is there again: the window is on disk, ids of topics and who is connected are not. */
  restart(): void {
    this.restarts++
    this.#isConnected = false
    this.#topics.clear()
    this.#downTopic = 0
    if (this.#out !== null) this.#queue.unshift(this.#out.payload)
    this.#out = null
  }

  poll(now: number): void {
    if (!this.#isConnected || !this.filters.has(this.commandFilter)) return
    if (this.#downTopic === 0) {
      this.#downTopic = this.#idOf(this.commandFilter)
      this.#send(message(Type.register, u16(this.#downTopic), u16(this.#nextId()), this.commandFilter))
    }
    if (this.#out === null) {
      const payload = this.#queue.shift()
      if (payload === undefined) return
      this.#out = { id: this.#nextId(), payload, isRepeated: false, sentAt: now }
    } else if (now - this.#out.sentAt < 300) return
    else this.#out.isRepeated = true
    this.#out.sentAt = now
    const flags = Flag.qos1 | (this.#out.isRepeated ? Flag.dup : 0)
    this.#send(message(Type.publish, flags, u16(this.#downTopic), u16(this.#out.id), this.#out.payload))
  }

  receive(bytes: Buffer): void {
    const type = bytes[1]!
    if (type === Type.connect) {
      if (bytes[2]! & Flag.clean) this.#begin()
      this.#isConnected = true
      this.#send(message(Type.connack, 0))
      return
    }
    if (!this.#isConnected) {
      this.#send(message(Type.disconnect))
      return
    }
    switch (type) {
      case Type.register: {
        const id = this.#idOf(bytes.subarray(6).toString())
        this.#send(message(Type.regack, u16(id), bytes.subarray(4, 6), 0))
        return
      }
      case Type.subscribe: {
        const filter = bytes.subarray(5).toString()
        this.filters.add(filter)
        this.#send(message(Type.suback, Flag.qos1, u16(this.#idOf(filter)), bytes.subarray(3, 5), 0))
        return
      }
      case Type.publish:
        this.#publish(bytes)
        return
      case Type.puback:
        if (bytes.readUInt16BE(4) !== this.#out?.id) return
        if (bytes[6] === 0) {
          this.delivered.push(this.#out.payload)
          this.#out = null
        } else this.#downTopic = 0
        return
      case Type.pingreq:
        this.#send(message(Type.pingresp))
        return
    }
  }

  #publish(bytes: Buffer): void {
    const [topicId, id] = [bytes.readUInt16BE(3), bytes.readUInt16BE(5)]
    const topic = this.#topics.get(topicId)
    const answer = (result: number) => this.#send(message(Type.puback, u16(topicId), u16(id), result))
    if (topic === undefined) {
      answer(2)
      return
    }
    const payload = bytes.subarray(7).toString()
    const text = `${topic} ${payload}`
    const isKnown =
      (bytes[2]! & Flag.dup) !== 0 && this.#window.some((each) => each.id === id && each.text === text)
    if (!isKnown && this.#random.next() < 0.05) {
      this.congestions++
      answer(1)
      return
    }
    if (!isKnown) {
      this.taken.push({ topic, payload })
      this.#window = [...this.#window, { id, text }].slice(-WINDOW)
    }
    answer(0)
  }

  /** CleanSession: message ids and subscriptions of before are nobody's. */
  #begin(): void {
    this.#window = []
    this.filters.clear()
    this.#topics.clear()
    this.#downTopic = 0
  }

  #idOf(name: string): number {
    for (const [id, each] of this.#topics) if (each === name) return id
    const id = this.#topics.size + 1
    this.#topics.set(id, name)
    return id
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 0xffff) + 1
    return this.#lastId
  }
}
