/**
 * Retained messages: the last one of each topic. Memory has the topics; payloads are in the store, and for at most a second, until the
 * next checkpoint, in memory. A retained message has to outlive its record in the log, so it is a copy; a topic that changes often is
 * copied once a checkpoint.
 */
import type { LogSink } from '../../log-sink.ts'
import type { Message, Place } from '../hub/message.ts'
import type { Drops } from './drops.ts'
import type { SessionLimits } from './limits.ts'
import { messageBytes } from './message-bytes.ts'
import type { ReadTurns } from './read-turns.ts'
import type { SessionClock } from './session-clock.ts'
import { decodeRetained, encodeRetained, retainedKey, type StoredMessage } from './state-format.ts'
import type { LoadedRetained } from './state-load.ts'
import type { StateStore } from './state-store.ts'
import { TopicTree } from './topic-tree.ts'

/** Another one with each message of the topic. */
export interface Entry {
  readonly topic: string
  readonly bytes: number
  /** Session time; null is never. */
  readonly expiresAt: number | null
}

export interface Retained {
  readonly message: Message
  readonly entry: Entry
}

/** Bytes that wait for a checkpoint, at most: then one is asked for. */
const UNWRITTEN_BYTES_MAX = 1024 * 1024

export interface RetainedParts {
  readonly store: StateStore
  readonly clock: SessionClock
  readonly limits: Pick<SessionLimits, 'retainedMessagesMax' | 'retainedBytesMax'>
  readonly drops: Drops
  readonly log: LogSink
  readonly reads: ReadTurns
  /** ms since 1970, the clock of messages' timestamps. */
  now(): number
  placeOf(stored: StoredMessage['place']): Place | null
}

export class RetainedMessages {
  readonly #parts: RetainedParts
  readonly #tree = new TopicTree<Entry>()
  /** Changed since the last checkpoint; null: removed. */
  #changed = new Map<string, Message | null>()
  #changedBytes = 0
  /** Those that are never written; as many as the broker has topics of its own. */
  readonly #held = new Map<string, Message>()
  #bytes = 0
  #isFull = false

  constructor(parts: RetainedParts) {
    this.#parts = parts
  }

  /** Of clients. */
  get count(): number {
    return this.#tree.size - this.#held.size
  }
  /** Of the broker's own, which are under no limit. */
  get ownCount(): number {
    return this.#held.size
  }
  get bytes(): number {
    return this.#bytes
  }
  get isChanged(): boolean {
    return this.#changed.size > 0
  }

  /** A message whose RETAIN flag was set. One without a payload removes what there is [MQTT-3.3.1-6]. */
  set(message: Message): void {
    const { topic, payload, properties } = message
    const known = this.#tree.get(topic)
    if (payload.length === 0) {
      if (known !== undefined) this.#remove(known)
      return
    }
    const bytes = messageBytes(message)
    const { limits, clock, drops } = this.#parts
    const isOver =
      (known === undefined && this.count >= limits.retainedMessagesMax) ||
      this.#bytes - (known?.bytes ?? 0) + bytes > limits.retainedBytesMax
    if (isOver) {
      drops.count('retainedFull')
      // what was retained before is not the topic's last message any more
      if (known !== undefined) this.#remove(known)
      this.#sayFull()
      return
    }
    const expiry = properties?.messageExpiry
    const expiresAt = expiry === undefined ? null : clock.now() + expiry * 1000
    this.#tree.set(topic, { topic, bytes, expiresAt })
    this.#bytes += bytes - (known?.bytes ?? 0)
    message.own?.()
    this.#change(topic, message)
  }

  /** A message of the broker's own that is retained in memory alone: it ends with the broker. */
  hold(message: Message): void {
    const { topic } = message
    const bytes = messageBytes(message)
    this.#tree.set(topic, { topic, bytes, expiresAt: null })
    this.#held.set(topic, message)
  }

  /** Topics that match a filter and have a retained message, in no order. */
  topicsOf(filter: string): string[] {
    const now = this.#parts.clock.now()
    return this.#tree
      .match(filter)
      .filter((entry) => !hasExpired(entry, now))
      .map(({ topic }) => topic)
  }

  /** About what its message takes in memory; 0 where there is none. */
  bytesOf(topic: string): number {
    return this.#tree.get(topic)?.bytes ?? 0
  }

  /** With what is left of its expiry; null where there is none any more. @throws where the disk is at fault */
  async get(topic: string): Promise<Message | null> {
    const [found] = await this.getMany([topic])
    return found?.message ?? null
  }

  /** The same for several topics, with one read. @throws where the disk is at fault */
  async getMany(topics: readonly string[]): Promise<(Retained | null)[]> {
    const { store, reads } = this.#parts
    const unwritten = topics.map((topic) => this.#unwritten(topic))
    const missing = topics.filter((topic, i) => unwritten[i] === undefined && this.#current(topic) !== null)
    const keys = missing.map((topic) => retainedKey(topic))
    const values = keys.length === 0 ? [] : await reads.take(() => store.getMany(keys))
    const stored = new Map(missing.map((topic, i) => [topic, values[i]]))
    // what was set while the read waited for its turn is the topic's last by now
    return topics.map((topic, i) => {
      const entry = this.#current(topic)
      if (entry === null) return null
      const message = this.#unwritten(topic) ?? unwritten[i] ?? this.#decoded(stored.get(topic))
      const left = message === null ? null : this.#withExpiry(message, entry)
      return left === null ? null : { message: left, entry }
    })
  }

  /** Whether the topic's last message is still the one that was read. */
  isLast(entry: Entry): boolean {
    return this.#tree.get(entry.topic) === entry
  }

  #current(topic: string): Entry | null {
    const entry = this.#tree.get(topic)
    return entry === undefined || hasExpired(entry, this.#parts.clock.now()) ? null : entry
  }

  /** Null: removed; undefined: the store has it. */
  #unwritten(topic: string): Message | null | undefined {
    return this.#held.get(topic) ?? this.#changed.get(topic)
  }

  #decoded(bytes: Buffer | undefined): Message | null {
    if (bytes === undefined) return null
    const { message } = decodeRetained(bytes)
    return { ...message, place: this.#parts.placeOf(message.place) }
  }

  #withExpiry(message: Message, { expiresAt }: Entry): Message | null {
    if (expiresAt === null) return message
    const { clock, now } = this.#parts
    const leftSeconds = Math.ceil((expiresAt - clock.now()) / 1000)
    if (leftSeconds <= 0) return null
    return {
      ...message,
      timestamp: now(),
      properties: { ...message.properties, messageExpiry: leftSeconds },
    }
  }

  /** Removes what has expired. */
  expire(): void {
    const now = this.#parts.clock.now()
    for (const entry of this.#tree.values()) if (hasExpired(entry, now)) this.#remove(entry)
  }

  /** Puts what has changed. */
  build(): void {
    const { store } = this.#parts
    for (const [topic, message] of this.#changed) {
      const entry = this.#tree.get(topic)
      if (message === null || entry === undefined) store.remove(retainedKey(topic))
      else store.put(retainedKey(topic), encodeRetained(message, entry.expiresAt))
    }
    this.#changed = new Map()
    this.#changedBytes = 0
  }

  load({ topic, bytes, expiresAt }: LoadedRetained): void {
    this.#tree.set(topic, { topic, bytes, expiresAt })
    this.#bytes += bytes
  }

  #remove({ topic, bytes }: Entry): void {
    this.#tree.delete(topic)
    this.#bytes -= bytes
    this.#isFull = false
    this.#change(topic, null)
  }

  #change(topic: string, message: Message | null): void {
    this.#changedBytes += message === null ? 0 : messageBytes(message)
    this.#changed.set(topic, message)
    if (this.#changedBytes > UNWRITTEN_BYTES_MAX) this.#parts.store.checkpoint()
  }

  #sayFull(): void {
    if (this.#isFull) return
    this.#isFull = true
    const { limits, log } = this.#parts
    log.warn('retained messages are at their limit: more topics are delivered, and not retained', {
      messages: this.count,
      bytes: this.#bytes,
      messagesMax: limits.retainedMessagesMax,
      bytesMax: limits.retainedBytesMax,
    })
  }
}

function hasExpired({ expiresAt }: Entry, now: number): boolean {
  return expiresAt !== null && expiresAt <= now
}
