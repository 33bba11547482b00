/**
 * What was fetched goes to the broker, a bounded number of messages at a time, and the positions follow. A position is saved once
 * all before it is durable where a stream takes it and acknowledged by the subscribers there are: what a crash leaves undone is
 * delivered again, and nothing is left out.
 */
import { LimitedLog, type LocalMessage, type LogSink, type Published } from '../../broker/index.ts'
import { type Clock, Signal } from '../clock.ts'
import type { Mapping, PassedOver } from './mapping.ts'
import type { DownlinkPositions } from './positions.ts'
import { headersDown } from './provenance.ts'
import type { FetchedPartition, SourceRecord, SourceTopic } from './source.ts'

/** The broker's LocalPublisher is one. */
export interface Publisher {
  hasSubscriber(topic: string): Promise<boolean>
  publish(messages: readonly LocalMessage[]): Promise<Published>
}

export interface DeliveryDeps {
  readonly name: string
  readonly mapping: Mapping
  readonly positions: DownlinkPositions
  readonly publisher: Publisher
  readonly sink: LogSink
  readonly clock: Clock
  /** ms since 1970; null while the clock is not to be trusted. */
  readonly trustedNow: () => number | null
  /** Until then, monotonic, a message that nobody subscribes waits for somebody. */
  readonly graceUntil: number
}

/** Messages that are handed to the broker at once: one fsync serves them, and as many may come again after a crash. */
const CHUNK_MESSAGES_MAX = 256
const CHUNK_BYTES_MAX = 1_048_576
const GRACE_CHECK_MS = 100
/** Reasons that are part of the day's work are counted and not told. */
const QUIET: ReadonlySet<PassedOver> = new Set(['elsewhere', 'own'])

interface Entry {
  readonly partition: number
  readonly record: SourceRecord
}

/** Records in order, and for each message which of them it is. */
interface Chunk {
  readonly entries: Entry[]
  readonly messages: LocalMessage[]
  readonly entryOf: number[]
}

export class Delivery {
  readonly #deps: DeliveryDeps
  readonly #limited: LimitedLog
  readonly #signal: Signal
  #isClosed = false
  delivered = 0
  unacknowledged = 0
  lastDeliveredAt: number | null = null
  readonly passedOver: Record<PassedOver, number> = {
    elsewhere: 0,
    own: 0,
    hops: 0,
    expired: 0,
    topic: 0,
    large: 0,
  }

  constructor(deps: DeliveryDeps) {
    this.#deps = deps
    this.#limited = new LimitedLog(deps.sink, () => deps.clock.monotonic())
    this.#signal = new Signal(deps.clock)
  }

  /** Nothing more is handed over. */
  close(): void {
    this.#isClosed = true
    this.#signal.raise()
  }

  /** @throws what the broker refuses for now; the positions stand behind what was delivered. */
  async deliver(topic: SourceTopic, fetched: readonly FetchedPartition[]): Promise<void> {
    const entries = fetched.flatMap(({ partition, records }) =>
      records.map((record) => ({ partition, record })),
    )
    for (let next = 0; next < entries.length && !this.#isClosed; ) {
      const chunk = this.#chunk(topic, entries, next)
      await this.#publish(chunk)
      next += chunk.entries.length
    }
    if (this.#isClosed) return
    for (const { partition, nextOffset } of fetched) this.#deps.positions.advance(partition, nextOffset)
    await this.#deps.positions.save()
  }

  #chunk(topic: SourceTopic, all: readonly Entry[], from: number): Chunk {
    const chunk: Chunk = { entries: [], messages: [], entryOf: [] }
    let bytes = 0
    for (let at = from; at < all.length; at++) {
      const entry = all[at]!
      if (chunk.messages.length >= CHUNK_MESSAGES_MAX || bytes >= CHUNK_BYTES_MAX) break
      const message = this.#messageOf(topic, entry)
      if (message !== null) {
        bytes += message.payload.length
        chunk.entryOf.push(chunk.entries.length)
        chunk.messages.push(message)
      }
      chunk.entries.push(entry)
    }
    return chunk
  }

  #messageOf(topic: SourceTopic, { partition, record }: Entry): LocalMessage | null {
    const { mapping, positions, trustedNow, name } = this.#deps
    const mapped = mapping.map(record, partition, trustedNow())
    if ('passedOver' in mapped) {
      this.#passOver(topic, partition, record, mapped.passedOver, mapped.reason)
      return null
    }
    const source = {
      name: `downlink/${name}/${partition}`,
      epoch: positions.epoch(partition),
      place: record.offset,
    }
    return { ...mapped, source, headers: headersDown(record, topic, partition) }
  }

  #passOver(
    topic: SourceTopic,
    partition: number,
    record: SourceRecord,
    why: PassedOver,
    reason: string,
  ): void {
    this.passedOver[why]++
    if (QUIET.has(why)) return
    const place = `${topic.topic}/${partition} at offset ${record.offset}`
    this.#limited.warn(why, `downlink ${this.#deps.name}: passed over ${place}: ${reason}`, {
      key: record.key?.subarray(0, 100).toString('utf8') ?? null,
    })
  }

  async #publish({ entries, messages, entryOf }: Chunk): Promise<void> {
    const { positions, publisher, clock } = this.#deps
    if (messages.length > 0) await this.#awaitSubscribers(messages)
    if (this.#isClosed) return
    const none = { count: 0, tooLarge: [], unacknowledged: 0, error: null }
    const published = messages.length === 0 ? none : await publisher.publish(messages)
    const { count, tooLarge, unacknowledged, error } = published
    this.delivered += count - tooLarge.length
    this.unacknowledged += unacknowledged
    if (count > tooLarge.length) this.lastDeliveredAt = clock.now()
    for (const index of tooLarge) this.#tooLarge(entries[entryOf[index]!]!)
    // What was passed over behind the last message that is done is done as well, up to the one that is not.
    const done = count === messages.length ? entries.length : entryOf[count]!
    for (const { partition, record } of entries.slice(0, done))
      positions.advance(partition, record.offset + 1)
    await positions.save()
    if (error !== null) throw error
  }

  #tooLarge({ partition, record }: Entry): void {
    this.passedOver.large++
    const place = `partition ${partition} at offset ${record.offset}`
    const message = `downlink ${this.#deps.name}: passed over ${place}: larger than limits.recordBytesMax`
    this.#limited.warn('large', message, { bytes: record.value?.length ?? 0 })
  }

  /** After a start clients need time to come back. */
  async #awaitSubscribers(messages: readonly LocalMessage[]): Promise<void> {
    const { clock, graceUntil, publisher } = this.#deps
    for (const topic of new Set(messages.map((message) => message.topic))) {
      while (!this.#isClosed && clock.monotonic() < graceUntil && !(await publisher.hasSubscriber(topic)))
        await this.#signal.wait(Math.min(GRACE_CHECK_MS, graceUntil - clock.monotonic()))
    }
  }
}
