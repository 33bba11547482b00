/**
 * From an accepted MQTT message to a record in the log: the one way in, whichever front holds the connection. The callback is
 * the acknowledgement: it comes after the fsync of the commit that holds the record.
 */
import { RecordTooLargeError } from '../errors.ts'
import type { Chain } from '../log/chain.ts'
import type { EventLog, LogStream } from '../log/event-log.ts'
import { partitionOf } from '../log/murmur2.ts'
import { encodeHeaders, recordBytesBound } from '../log/record-batch.ts'
import { payloadKey } from './payload-key.ts'
import type { Qos2Ids } from './qos2.ts'
import { type Route, type Router, TOPIC_HEADER } from './router.ts'

export interface IngressMessage {
  /** null for a will whose client is gone. */
  readonly clientId: string | null
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  /** 0 where there is none. */
  readonly packetId: number
  readonly isDup: boolean
}

/** null: on disk, or nothing to store. An error: not on disk, and no acknowledgement may be sent. */
export type IngressCallback = (error: Error | null) => void

/** Streams whose key stands in the payload send what has none here. */
export const DEAD_LETTER_STREAM = 'dead-letters'
const REASON_HEADER = 'reason'
const STREAM_HEADER = 'stream'

export interface IngressStatus {
  readonly received: number
  readonly receivedBytes: number
  readonly appended: number
  /** QoS 2 messages that came again and were acknowledged without a second record. */
  readonly repetitions: number
  /** Messages on topics that no stream takes: passed to subscribers, not recorded. */
  readonly unrouted: number
  readonly deadLetters: number
  readonly tooLarge: number
  /** Messages that were not acknowledged because their commit failed. */
  readonly failed: number
}

/** More clients than this do not begin a clean session while the log is away, without one being forgotten. */
const LOST_CLEANS_MAX = 10_000

interface Target {
  readonly stream: LogStream
  readonly partition: number
  readonly key: Buffer | null
  readonly headers: Buffer
}

export class Ingress {
  readonly #log: EventLog
  readonly #router: Router
  readonly #qos2Of: (chain: string) => Qos2Ids
  readonly #recordBytesMax: number
  readonly #now: () => number
  readonly #counters = {
    received: 0,
    receivedBytes: 0,
    appended: 0,
    repetitions: 0,
    unrouted: 0,
    deadLetters: 0,
    tooLarge: 0,
    failed: 0,
  }
  /** Unkeyed records take turns by message. */
  #turn = 0
  /** Messages that wait for room, by chain, oldest first. */
  readonly #waiting = new Map<Chain, (() => void)[]>()
  /** Clients that began a clean session whose note did not reach the disk. */
  readonly #lostCleans = new Set<string>()

  /** @param now ms since 1970 */
  constructor(
    log: EventLog,
    router: Router,
    qos2Of: (chain: string) => Qos2Ids,
    options: { recordBytesMax: number; now: () => number },
  ) {
    this.#log = log
    this.#router = router
    this.#qos2Of = qos2Of
    this.#recordBytesMax = options.recordBytesMax
    this.#now = options.now
    log.onDurable(() => this.#cleanAgain())
  }

  status(): IngressStatus {
    return { ...this.#counters }
  }

  accept(message: IngressMessage, done: IngressCallback): void {
    this.#counters.received++
    this.#counters.receivedBytes += message.payload.length
    const route = this.#router.match(message.topic)
    if (route === null) {
      this.#counters.unrouted++
      done(null)
      return
    }
    const bytes = recordBytesBound(route.key?.length ?? 0, message.payload.length, route.headers.length)
    if (bytes > this.#recordBytesMax) {
      this.#counters.tooLarge++
      done(new RecordTooLargeError(`a message on "${message.topic}"`, bytes, this.#recordBytesMax))
      return
    }
    this.#whenRoom(route, message, done)
  }

  /** Waits while the log has admitted its limit. Nobody who comes later overtakes those that wait. */
  #whenRoom(route: Route, message: IngressMessage, done: IngressCallback): void {
    const { chain } = route.stream
    const waiting = this.#waiting.get(chain)
    if (waiting !== undefined) waiting.push(() => this.#append(route, message, done))
    else if (chain.isFull) {
      this.#waiting.set(chain, [() => this.#append(route, message, done)])
      void this.#letIn(chain)
    } else this.#append(route, message, done)
  }

  async #letIn(chain: Chain): Promise<void> {
    const waiting = this.#waiting.get(chain)!
    let next = 0
    while (next < waiting.length) {
      await chain.drained()
      while (next < waiting.length && !chain.isFull) waiting[next++]!()
    }
    this.#waiting.delete(chain)
  }

  #append(route: Route, message: IngressMessage, done: IngressCallback): void {
    try {
      const target = this.#targetOf(route, message)
      const { chain } = target.stream
      const id =
        message.qos === 2 && message.packetId !== 0 && message.clientId !== null
          ? { ...message, clientId: message.clientId }
          : null
      const qos2 = this.#qos2Of(chain.name)
      if (id !== null && qos2.isRepetition(id)) this.#counters.repetitions++
      else {
        const { stream, partition, key, headers } = target
        chain.append(stream.partitions[partition]!, this.#now(), key, message.payload, headers)
        if (id !== null) qos2.add(id)
        if (stream.name === DEAD_LETTER_STREAM) this.#counters.deadLetters++
        else this.#counters.appended++
      }
      // QoS 0 has no acknowledgement to hold back
      if (message.qos === 0) done(null)
      else chain.onCommit((error) => this.#committed(error, done))
    } catch (error) {
      this.#counters.failed++
      done(error as Error)
    }
  }

  #committed(error: Error | null, done: IngressCallback): void {
    if (error !== null) this.#counters.failed++
    done(error)
  }

  /** Where the record goes: what the topic decided, and what is left to the payload or to the turn. */
  #targetOf(route: Route, message: IngressMessage): Target {
    const { stream, keyOf, key, partition, headers } = route
    if (key !== null && partition !== null) return { stream, partition, key, headers }
    if (typeof keyOf === 'object' && 'pointer' in keyOf) {
      const found = payloadKey(message.payload, keyOf.pointer)
      if (typeof found === 'string') return this.#deadLetter(stream.name, message.topic, found)
      return { stream, partition: partitionOf(found, stream.partitions.length), key: found, headers }
    }
    return { stream, partition: this.#turn++ % stream.partitions.length, key: null, headers }
  }

  #deadLetter(stream: string, topic: string, reason: string): Target {
    const headers = encodeHeaders([
      { key: TOPIC_HEADER, value: Buffer.from(topic) },
      { key: STREAM_HEADER, value: Buffer.from(stream) },
      { key: REASON_HEADER, value: Buffer.from(reason) },
    ])
    return { stream: this.#log.stream(DEAD_LETTER_STREAM), partition: 0, key: Buffer.from(topic), headers }
  }

  /** PUBREL. The callback comes once the release is on disk: then PUBCOMP may be sent. */
  release(clientId: string, packetId: number, done: IngressCallback): void {
    // while a chain opens itself again nobody knows which ids are in flight
    const away = this.#log.chains().find((chain) => chain.condition.state !== 'open')
    if (away !== undefined) {
      done(away.unavailable())
      return
    }
    const chains = this.#log.chains().filter((chain) => this.#qos2Of(chain.name).release(clientId, packetId))
    let left = chains.length
    if (left === 0) {
      done(null)
      return
    }
    let failure: Error | null = null
    const released = (error: Error | null): void => {
      failure ??= error
      if (--left === 0) done(failure)
    }
    for (const chain of chains) {
      try {
        chain.onCommit(released)
      } catch (error) {
        released(error as Error)
      }
    }
  }

  /** CONNECT with a clean session: the client's packet ids begin anew. */
  sessionCleaned(clientId: string): void {
    for (const chain of this.#log.chains()) {
      if (chain.condition.state !== 'open') this.#cleanLost(clientId)
      else if (this.#qos2Of(chain.name).clean(clientId)) {
        chain.onCommit((error) => {
          if (error !== null) this.#cleanLost(clientId)
        })
      }
    }
  }

  /** Without its note the client's next message could be taken for one of its last session's, and be dropped. */
  #cleanLost(clientId: string): void {
    this.#lostCleans.delete(clientId)
    this.#lostCleans.add(clientId)
    if (this.#lostCleans.size <= LOST_CLEANS_MAX) return
    const [oldest] = this.#lostCleans
    this.#lostCleans.delete(oldest!)
  }

  /** The log is open again: before it takes a message. */
  #cleanAgain(): void {
    if (this.#lostCleans.size === 0) return
    const clientIds = [...this.#lostCleans]
    this.#lostCleans.clear()
    for (const clientId of clientIds) this.sessionCleaned(clientId)
  }
}
