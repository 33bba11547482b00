/**
 * From an accepted MQTT message to a record in the log: the one way in. Connections `submit` and wait for the chain's commit
 * together (connection/pending-commits.ts); for wills and the broker's own messages `accept` has a callback that is the acknowledgement:
 * it comes after the fsync of the commit that holds the record.
 */
import { LogFullError, RecordTooLargeError } from '../errors.ts'
import type { Chain } from '../log/chain.ts'
import type { EventLog } from '../log/event-log.ts'
import type { LogStream } from '../log/log-stream.ts'
import { partitionOf } from '../log/murmur2.ts'
import type { LogPartition } from '../log/partition.ts'
import { encodeHeaders, joinHeaders, NO_HEADERS, recordBytesBound } from '../log/record-batch.ts'
import type { Place } from './hub/message.ts'
import type { QoS } from './packets/packet.ts'
import { payloadKey } from './payload-key.ts'
import type { Qos2Ids, Qos2Message } from './qos2.ts'
import { REASON_HEADER, type Route, type Router, STREAM_HEADER, TOPIC_HEADER } from './router.ts'
import type { MessageSource, SourcePositions } from './source-positions.ts'
import { type WaitingLimits, WaitingRooms } from './waiting-rooms.ts'

export interface IngressMessage {
  /** null for a will whose client is gone. */
  readonly clientId: string | null
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  /** 0 where there is none. */
  readonly packetId: number
  readonly isDup: boolean
  /** More headers for its record: a section from `encodeHeaders`. */
  readonly headers?: Buffer
  /** For a message that does not come from a client. */
  readonly origin?: MessageOrigin
}

/** A message on its way into the log, and where it went. One object is used again for many. */
export class Submission {
  clientId: string | null = null
  topic = ''
  payload: Uint8Array = NO_BYTES
  qos: QoS = 0
  packetId = 0
  isDup = false
  headers: Buffer = NO_HEADERS
  source: MessageSource | null = null
  /** Whose commit is to be waited for, once it was submitted. */
  chain: Chain | null = null
  partition: LogPartition | null = null
  /** Its place in the commit's batch of the partition; -1 for one that came again and is recorded already. */
  delta = -1

  /** To be asked once its commit is on disk, and before the next one is. */
  get place(): Place | null {
    if (this.partition === null || this.delta < 0) return null
    return { partition: this.partition, offset: this.partition.commitOffset + this.delta }
  }
}

const NO_BYTES = new Uint8Array(0)

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

/**
 * null: on disk, or nothing to store. An error: not on disk, and no acknowledgement may be sent.
 * @param place where it stands; null for what no stream takes, for QoS 0 and for what was recorded before
 */
export type IngressCallback = (error: Error | null, place: Place | null) => void

/** Streams whose key stands in the payload send what has none here. */
export const DEAD_LETTER_STREAM = 'dead-letters'

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
  readonly #rooms: WaitingRooms
  /** Clients that began a clean session whose note did not reach the disk. */
  readonly #lostCleans = new Set<string>()

  /** @param now ms since 1970 */
  constructor(
    log: EventLog,
    router: Router,
    statesOf: (chain: string) => IngressStates,
    options: { recordBytesMax: number; now: () => number } & WaitingLimits,
  ) {
    this.#log = log
    this.#router = router
    this.#statesOf = statesOf
    this.#recordBytesMax = options.recordBytesMax
    this.#now = options.now
    this.#rooms = new WaitingRooms(options)
    log.onDurable(() => this.#cleanAgain())
  }

  status(): IngressStatus {
    return { ...this.#counters }
  }

  /** What no stream takes is counted here and goes nowhere. */
  received(payloadBytes: number, isRouted: boolean): void {
    this.#counters.received++
    this.#counters.receivedBytes += payloadBytes
    if (!isRouted) this.#counters.unrouted++
  }

  /** Whether a message is small enough for a record; one that no stream takes always is. */
  fits(topic: string, payloadBytes: number, headerBytes: number): boolean {
    const route = this.#router.match(topic)
    return route === null || this.#bytesOf(route, payloadBytes, headerBytes) <= this.#recordBytesMax
  }

  /**
   * Copies a message into the open commit of its chain.
   * @param keyOf what the topic decides (Router.match)
   * @returns false: nothing was done, because the log has admitted its limit or others wait for it: `wait`, and submit it again
   * @throws RecordTooLargeError, LogUnavailableError
   */
  submit(route: Route, submission: Submission): boolean {
    const { chain } = route.stream
    if (!this.#rooms.letsIn(chain)) return false
    const bytes = this.#bytesOf(route, submission.payload.length, submission.headers.length)
    if (bytes > this.#recordBytesMax) throw this.#tooLarge(submission.topic, bytes)
    try {
      this.#append(route, submission)
    } catch (error) {
      this.#counters.failed++
      throw error
    }
    return true
  }

  /**
   * Until the chain has room; whoever came before goes first.
   * @param bytes about what waits
   * @param resume it may submit, as long as the chain takes it
   * @param refuse the disk has been full for too long
   */
  wait(chain: Chain, bytes: number, resume: () => void, refuse: (error: Error) => void): void {
    this.#rooms.wait(chain, {
      bytes,
      since: performance.now(),
      keepsTurn: true,
      enter: resume,
      refuse: () => this.#refuse(chain, refuse),
    })
  }

  /**
   * QoS 2 on a topic that no stream takes: its id is in flight in the main chain all the same.
   * @returns whether it came before; what `submission.chain` is to be waited for in both cases
   * @throws LogUnavailableError
   */
  remember(submission: Submission): boolean {
    const [chain] = this.#log.chains()
    if (chain!.condition.state !== 'open') throw chain!.unavailable()
    submission.chain = chain!
    submission.partition = null
    submission.delta = -1
    if (this.#cameBefore(submission, chain!)) return true
    this.#statesOf(chain!.name).qos2.add(submission as Qos2Message)
    return false
  }

  /**
   * Whether its id is in flight, in whichever chain: the routes may have changed since it came first, and it stays where it went by the
   * old ones. Then that chain is to be waited for.
   * @throws LogUnavailableError while another chain than its own may have it, and cannot tell
   */
  #cameBefore(submission: Submission, own: Chain): boolean {
    const message = submission as Qos2Message
    for (const chain of this.#log.chains()) {
      const { qos2 } = this.#statesOf(chain.name)
      if (chain !== own && chain.condition.state !== 'open') {
        if (qos2.mayHold(message.clientId, message.packetId)) throw chain.unavailable()
        continue
      }
      if (!qos2.isRepetition(message)) continue
      submission.chain = chain
      this.#counters.repetitions++
      return true
    }
    return false
  }

  /** Messages whose commit failed: they were not acknowledged. */
  failed(count: number): void {
    this.#counters.failed += count
  }

  accept(message: IngressMessage, done: IngressCallback): void {
    const route = this.#router.match(message.topic)
    this.received(message.payload.length, route !== null)
    if (route === null) {
      message.origin?.onAdmitted()
      done(null, null)
      return
    }
    const submission = submissionOf(message)
    const bytes = this.#bytesOf(route, message.payload.length, submission.headers.length)
    if (bytes > this.#recordBytesMax) {
      done(this.#tooLarge(message.topic, bytes), null)
      return
    }
    const { chain } = route.stream
    const append = () => this.#appendAndTell(route, message, submission, done)
    if (this.#rooms.letsIn(chain)) append()
    else {
      const refuse = () => this.#refuse(chain, done)
      this.#rooms.wait(chain, { bytes, since: performance.now(), keepsTurn: false, enter: append, refuse })
    }
  }

  #bytesOf(route: Route, payloadBytes: number, headerBytes: number): number {
    return recordBytesBound(route.key?.length ?? 0, payloadBytes, route.headers.length + headerBytes - 1)
  }

  #tooLarge(topic: string, bytes: number): Error {
    this.#counters.tooLarge++
    return new RecordTooLargeError(`a message on "${topic}"`, bytes, this.#recordBytesMax)
  }

  #refuse(chain: Chain, done: (error: Error, place: null) => void): void {
    this.#counters.failed++
    done(new LogFullError(chain.name), null)
  }

  #appendAndTell(route: Route, message: IngressMessage, submission: Submission, done: IngressCallback): void {
    try {
      this.#append(route, submission)
      message.origin?.onAdmitted()
      // QoS 0 has no acknowledgement to hold back
      if (message.qos === 0) done(null, null)
      else submission.chain!.onCommit((error) => this.#committed(error, submission, done))
    } catch (error) {
      this.#counters.failed++
      done(error as Error, null)
    }
  }

  #committed(error: Error | null, submission: Submission, done: IngressCallback): void {
    if (error !== null) this.#counters.failed++
    done(error, error === null ? submission.place : null)
  }

  #append(route: Route, submission: Submission): void {
    const target = this.#targetOf(route, submission)
    const { stream, partition, key, headers } = target
    const { chain } = stream
    submission.chain = chain
    submission.partition = null
    submission.delta = -1
    const isQos2 = submission.qos === 2 && submission.packetId !== 0 && submission.clientId !== null
    const { source } = submission
    const states = isQos2 || source !== null ? this.#statesOf(chain.name) : null
    if (isQos2 && this.#cameBefore(submission, chain)) return
    if (source !== null && states!.sources.isRepetition(source)) this.#counters.repetitions++
    else {
      const { payload } = submission
      // as MQTT clears a retained message; only a stream that keeps the last value has something to clear
      const value = payload.length === 0 && stream.policy.compacts ? null : payload
      const all = joinHeaders(headers, submission.headers)
      submission.partition = stream.partitions[partition]!
      submission.delta = chain.append(submission.partition, this.#now(), key, value, all)
      if (isQos2) states!.qos2.add(submission as Qos2Message)
      if (source !== null) states!.sources.add(source)
      if (stream.name === DEAD_LETTER_STREAM) this.#counters.deadLetters++
      else this.#counters.appended++
    }
  }

  /** Where the record goes: what the topic decided, and what is left to the payload or to the turn. */
  #targetOf(route: Route, message: Submission): Target {
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

  /**
   * PUBREL: the id is free once the open commits of these chains are on disk; then PUBCOMP may be sent.
   * @returns none for an id that is not in flight
   * @throws LogUnavailableError while nobody knows whether it is in flight in a chain that opens itself again
   */
  releaseIn(clientId: string, packetId: number): Chain[] {
    const open = this.#log.chains().filter((chain) => {
      if (chain.condition.state === 'open') return true
      if (this.#statesOf(chain.name).qos2.mayHold(clientId, packetId)) throw chain.unavailable()
      return false
    })
    return open.filter((chain) => this.#statesOf(chain.name).qos2.release(clientId, packetId))
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

function submissionOf(message: IngressMessage): Submission {
  const { origin, headers = NO_HEADERS, ...rest } = message
  const all = origin === undefined ? headers : joinHeaders(headers, origin.headers)
  return Object.assign(new Submission(), rest, { headers: all, source: origin?.source ?? null })
}
