/**
 * From an accepted MQTT message to a record in the log: the one way in, whichever front holds the connection. The callback is
 * the acknowledgement: it comes after the fsync of the commit that holds the record.
 */
import { LogFullError, RecordTooLargeError } from '../errors.ts'
import type { Chain } from '../log/chain.ts'
import type { EventLog } from '../log/event-log.ts'
import type { LogStream } from '../log/log-stream.ts'
import { partitionOf } from '../log/murmur2.ts'
import { encodeHeaders, joinHeaders, NO_HEADERS, recordBytesBound } from '../log/record-batch.ts'
import { payloadKey } from './payload-key.ts'
import type { Qos2Ids } from './qos2.ts'
import { type Route, type Router, TOPIC_HEADER } from './router.ts'
import type { MessageSource, SourcePositions } from './source-positions.ts'

export interface IngressMessage {
  /** null for a will whose client is gone. */
  readonly clientId: string | null
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  /** 0 where there is none. */
  readonly packetId: number
  readonly isDup: boolean
  /** For a message that does not come from a client. */
  readonly origin?: MessageOrigin
}

export interface MessageOrigin {
  readonly source: MessageSource
  /** More headers for its record: a section from `encodeHeaders`. */
  readonly headers: Buffer
  /** The record stands in the open commit, or needs none: the source may hand over its next message. */
  onAdmitted(): void
}

/** What is committed with records, by chain. */
export interface IngressStates {
  readonly qos2: Qos2Ids
  readonly sources: SourcePositions
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
  /** Messages that came again, of QoS 2 or from a source with places, and were acknowledged without a second record. */
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

/** While the disk is full a message waits this long for room; then its sender is told to come again. */
const FULL_WAIT_MS = 10_000
const FULL_CHECK_MS = 1_000

interface WaitingMessage {
  readonly bytes: number
  readonly since: number
  append(): void
  refuse(): void
}

/** Those that wait for one chain, oldest first. */
interface WaitingRoom {
  messages: WaitingMessage[]
  bytes: number
}

interface Target {
  readonly stream: LogStream
  readonly partition: number
  readonly key: Buffer | null
  readonly headers: Buffer
}

export class Ingress {
  readonly #log: EventLog
  readonly #router: Router
  readonly #statesOf: (chain: string) => IngressStates
  readonly #recordBytesMax: number
  readonly #now: () => number
  /** Bytes that wait while the disk is full, at most: senders whose connection ended come again, with the same. */
  readonly #waitingBytesMax: number
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
  /** Messages that wait for room, by chain. */
  readonly #waiting = new Map<Chain, WaitingRoom>()
  /** Clients that began a clean session whose note did not reach the disk. */
  readonly #lostCleans = new Set<string>()

  /** @param now ms since 1970 */
  constructor(
    log: EventLog,
    router: Router,
    statesOf: (chain: string) => IngressStates,
    options: { recordBytesMax: number; now: () => number; waitingBytesMax?: number },
  ) {
    this.#log = log
    this.#router = router
    this.#statesOf = statesOf
    this.#recordBytesMax = options.recordBytesMax
    this.#now = options.now
    this.#waitingBytesMax = options.waitingBytesMax ?? Number.POSITIVE_INFINITY
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
      message.origin?.onAdmitted()
      done(null)
      return
    }
    const headerBytes = route.headers.length + (message.origin?.headers.length ?? 0)
    const bytes = recordBytesBound(route.key?.length ?? 0, message.payload.length, headerBytes)
    if (bytes > this.#recordBytesMax) {
      this.#counters.tooLarge++
      done(new RecordTooLargeError(`a message on "${message.topic}"`, bytes, this.#recordBytesMax))
      return
    }
    this.#whenRoom(route, message, bytes, done)
  }

  /** Waits while the log has admitted its limit. Nobody who comes later overtakes those that wait. */
  #whenRoom(route: Route, message: IngressMessage, bytes: number, done: IngressCallback): void {
    const { chain } = route.stream
    let room = this.#waiting.get(chain)
    if (room === undefined && !chain.admission.isFull) {
      this.#append(route, message, done)
      return
    }
    if (chain.admission.isHeld && (room?.bytes ?? 0) + bytes > this.#waitingBytesMax) {
      this.#refuse(chain, done)
      return
    }
    const waiting = {
      bytes,
      since: performance.now(),
      append: () => this.#append(route, message, done),
      refuse: () => this.#refuse(chain, done),
    }
    if (room !== undefined) {
      room.bytes += bytes
      room.messages.push(waiting)
      return
    }
    room = { messages: [waiting], bytes }
    this.#waiting.set(chain, room)
    void this.#letIn(chain, room)
  }

  async #letIn(chain: Chain, room: WaitingRoom): Promise<void> {
    const check = setInterval(() => refuseLate(chain, room), FULL_CHECK_MS)
    check.unref()
    while (room.messages.length > 0) {
      await chain.admission.drained()
      let next = 0
      while (next < room.messages.length && !chain.admission.isFull) {
        const message = room.messages[next++]!
        room.bytes -= message.bytes
        message.append()
      }
      room.messages.splice(0, next)
    }
    clearInterval(check)
    this.#waiting.delete(chain)
  }

  #refuse(chain: Chain, done: IngressCallback): void {
    this.#counters.failed++
    done(new LogFullError(chain.name))
  }

  #append(route: Route, message: IngressMessage, done: IngressCallback): void {
    try {
      const target = this.#targetOf(route, message)
      const { chain } = target.stream
      const id =
        message.qos === 2 && message.packetId !== 0 && message.clientId !== null
          ? { ...message, clientId: message.clientId }
          : null
      const { qos2, sources } = this.#statesOf(chain.name)
      const source = message.origin?.source ?? null
      if (id !== null && qos2.isRepetition(id)) this.#counters.repetitions++
      else if (source !== null && sources.isRepetition(source)) this.#counters.repetitions++
      else {
        const { stream, partition, key, headers } = target
        // as MQTT clears a retained message; only a stream that keeps the last value has something to clear
        const value = message.payload.length === 0 && stream.policy.compacts ? null : message.payload
        const more = message.origin?.headers ?? NO_HEADERS
        chain.append(stream.partitions[partition]!, this.#now(), key, value, joinHeaders(headers, more))
        if (id !== null) qos2.add(id)
        if (source !== null) sources.add(source)
        if (stream.name === DEAD_LETTER_STREAM) this.#counters.deadLetters++
        else this.#counters.appended++
      }
      message.origin?.onAdmitted()
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
    const chains = this.#log
      .chains()
      .filter((chain) => this.#statesOf(chain.name).qos2.release(clientId, packetId))
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
      else if (this.#statesOf(chain.name).qos2.clean(clientId)) {
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

/** Those that have waited long enough for a disk that stays full. */
function refuseLate(chain: Chain, room: WaitingRoom): void {
  if (!chain.admission.isHeld) return
  const now = performance.now()
  const late = room.messages.findIndex(({ since }) => now - since < FULL_WAIT_MS)
  for (const message of room.messages.splice(0, late < 0 ? room.messages.length : late)) {
    room.bytes -= message.bytes
    message.refuse()
  }
}
