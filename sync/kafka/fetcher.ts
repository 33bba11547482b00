/**
 * Reads partitions of topics from given offsets, as Kafka's own client does with `assign`: it belongs to no group and commits
 * nothing. Moved leaders and broken connections are followed for as long as `patienceMs` says; then, and for what waiting does
 * not mend, an UpstreamError is thrown.
 *
 * Memory: one answer of `fetchBytesMax` a leader (one batch, where that is larger), and one batch decoded.
 */
import type { LogRecord } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { Ending } from '../ending.ts'
import { toUpstreamError } from './answers.ts'
import type { Isolation } from './fetch-codec.ts'
import {
  type Lane,
  LeaderMap,
  newLane,
  offsetGone,
  PASSING_ANSWERS,
  RECREATED_ANSWERS,
} from './fetcher-lanes.ts'
import { visibleBatches } from './visible-batches.ts'
import {
  type BrokerNode,
  type FetchedFrom,
  type FetchWire,
  type TopicPartitions,
  WireAnswerError,
  WireConnectionError,
} from './wire.ts'

export interface FetcherOptions {
  /** For errors: where the cluster is. */
  readonly bootstrap: string
  readonly isolation: Isolation
  /** Bytes of one answer of one leader. */
  readonly fetchBytesMax?: number
  readonly partitionBytesMax?: number
  /** How long a leader may wait for records; less than the wire's own limit for an answer. */
  readonly waitMs?: number
  /** How long to go on without a single answer; `Infinity` for ever. */
  readonly patienceMs?: number
}

export interface FetcherDeps {
  /** Opens connections; called again after they broke. They must not be shared: a waiting Fetch holds up what follows it. */
  readonly openWire: () => Promise<FetchWire>
  readonly clock: Clock
}

export interface FetchFrom {
  readonly topic: string
  /** The topic that `offset` is of; another one under this name is not read. */
  readonly topicId?: string
  readonly partition: number
  readonly offset: number
  /** Read up to here, without it; for ever where it is not given. */
  readonly until?: number
}

export interface FetchedRecords {
  readonly topic: string
  readonly partition: number
  /**
   * In order of offsets, which are the topic's. None where only markers and aborted records were passed. Keys and values are
   * views into one answer: copy what is kept for long.
   */
  readonly records: readonly LogRecord[]
  /** The topic puts the time of appending in the place of the records' own. */
  readonly hasOwnTime: boolean
  /** The position after them. */
  readonly nextOffset: number
  /** Where the partition ended when they were sent: under read_committed its last stable offset. */
  readonly endOffset: number
}

const FETCH_BYTES_MAX = 1024 * 1024
const PARTITION_BYTES_MAX = 512 * 1024
const WAIT_MS = 500
const PATIENCE_MS = 30_000
const FIRST_PAUSE_MS = 20
const PAUSE_MS_MAX = 2000
/** Answers without a record, though there should be some, before a gap at the end is believed. */
const EMPTY_MAX = 3

/** An answer of one leader, or why there is none. */
type Arrival =
  | { readonly node: number; readonly lanes: readonly Lane[]; readonly parts: readonly FetchedFrom[] }
  | { readonly node: number; readonly lanes: readonly Lane[]; readonly error: unknown }

export class Fetcher {
  readonly #options: Required<FetcherOptions>
  readonly #deps: FetcherDeps
  #wire: FetchWire | null = null
  #closed = false

  constructor(options: FetcherOptions, deps: FetcherDeps) {
    const defaults = { fetchBytesMax: FETCH_BYTES_MAX, partitionBytesMax: PARTITION_BYTES_MAX }
    this.#options = { ...defaults, waitMs: WAIT_MS, patienceMs: PATIENCE_MS, ...options }
    this.#deps = deps
  }

  /** A topic's partitions, in order. @throws UpstreamError, also when there is no such topic */
  partitions(topic: string, signal?: AbortSignal): Promise<number[]> {
    return this.#patiently(signal, async (wire) => {
      const leaders = new LeaderMap(wire)
      const { partitions } = await leaders.topic(topic)
      return partitions.map(({ partition }) => partition).sort((a, b) => a - b)
    })
  }

  /**
   * @param when ms since 1970 (the first offset whose record is as young), EARLIEST or LATEST, which under read_committed is
   * the last stable offset
   * @returns by `partitionKey` of topic and partition; -1 when no record is as young
   */
  offsets(topics: TopicPartitions, when: number, signal?: AbortSignal): Promise<Map<string, number>> {
    return this.#patiently(signal, (wire) =>
      new LeaderMap(wire).offsets(topics, this.#options.isolation, when),
    )
  }

  /**
   * Ends when each partition has come to its `until`, or when `signal` aborts; then quietly.
   * @throws UpstreamError; TopicOffsetGoneError where the topic does not reach back (or up) to a position any more
   */
  async *read(from: readonly FetchFrom[], signal?: AbortSignal): AsyncGenerator<FetchedRecords> {
    const lanes = from.map(newLane)
    let arrivals = new Arrivals()
    const troubles = new Troubles(this.#deps.clock, this.#options.patienceMs)
    const ending = new Ending()
    const abort = () => ending.end()
    signal?.addEventListener('abort', abort, { once: true })
    let leaders: LeaderMap | null = null
    try {
      while (lanes.some((lane) => !lane.done) && !signal?.aborted && !this.#closed) {
        try {
          leaders ??= await this.#leaders(lanes)
          this.#ask(leaders, lanes, arrivals)
          const arrival = await ending.within(arrivals.next())
          if (arrival === null) return
          for (const lane of arrival.lanes) lane.asked = false
          if ('error' in arrival) throw arrival.error
          yield* this.#take(arrival.lanes, arrival.parts)
          troubles.over()
        } catch (error) {
          if (signal?.aborted || this.#closed) return
          if (error instanceof WireConnectionError) {
            this.#drop()
            arrivals = new Arrivals()
            for (const lane of lanes) lane.asked = false
          }
          leaders = null
          await this.#mayGoOn(lanes, error)
          await ending.within(troubles.pause(error))
        }
      }
    } catch (error) {
      throw toUpstreamError(error, this.#options.bootstrap)
    } finally {
      signal?.removeEventListener('abort', abort)
      // What is still on its way would keep the next request of this connection waiting.
      if (arrivals.awaited.size > 0) this.#drop()
    }
  }

  close(): void {
    this.#closed = true
    this.#drop()
  }

  // -- asking ---------------------------------------------------------------------------------------------------------

  async #open(): Promise<FetchWire> {
    this.#wire ??= await this.#deps.openWire()
    if (this.#closed) this.#drop()
    if (this.#wire === null) throw new WireAnswerError('CLOSED', 'Fetch')
    return this.#wire
  }

  #drop(): void {
    this.#wire?.close()
    this.#wire = null
  }

  async #leaders(lanes: readonly Lane[]): Promise<LeaderMap> {
    const leaders = new LeaderMap(await this.#open())
    await leaders.find(lanes)
    return leaders
  }

  /** A Fetch for each leader that owes none, for all its partitions that are not through. */
  #ask(leaders: LeaderMap, lanes: Lane[], arrivals: Arrivals): void {
    for (const [node, led] of leaders.byLeader(lanes)) {
      const asked = led.filter((lane) => !lane.asked)
      if (asked.length === 0 || arrivals.awaited.has(node.id)) continue
      for (const lane of asked) lane.asked = true
      arrivals.awaited.add(node.id)
      void this.#fetch(node, asked).then((arrival) => arrivals.add(arrival))
      // The one that was first is last the next time: an answer that is full leaves the last ones out.
      const [first] = asked
      lanes.push(...lanes.splice(lanes.indexOf(first!), 1))
    }
  }

  async #fetch(node: BrokerNode, lanes: readonly Lane[]): Promise<Arrival> {
    const { isolation, waitMs, fetchBytesMax, partitionBytesMax } = this.#options
    const asks = lanes.map(({ topicId, partition, leaderEpoch, position }) => {
      return { topicId, partition, leaderEpoch, offset: position }
    })
    const request = { isolation, waitMs, bytesMax: fetchBytesMax, partitionBytesMax, asks }
    try {
      const wire = await this.#open()
      return { node: node.id, lanes, parts: await wire.fetch(node, request) }
    } catch (error) {
      return { node: node.id, lanes, error }
    }
  }

  // -- taking ---------------------------------------------------------------------------------------------------------

  *#take(lanes: readonly Lane[], parts: readonly FetchedFrom[]): Generator<FetchedRecords> {
    let trouble: WireAnswerError | null = null
    for (const part of parts) {
      const lane = lanes.find((each) => each.topicId === part.topicId && each.partition === part.partition)
      if (lane === undefined) continue
      if (part.answer === 'NONE') yield* this.#takePart(lane, part, lane === lanes[0])
      else {
        lane.trouble = part.answer
        trouble ??= new WireAnswerError(
          part.answer,
          'Fetch',
          `Fetch of ${lane.topic}/${lane.partition}: ${part.answer}`,
        )
      }
    }
    if (trouble !== null) throw trouble
  }

  *#takePart(lane: Lane, part: FetchedFrom, wasFirst: boolean): Generator<FetchedRecords> {
    const { topic, partition, until } = lane
    const before = lane.position
    for (const { records, nextOffset, hasOwnTime } of visibleBatches(part.records, part.aborted, before)) {
      if (nextOffset <= lane.position) continue
      lane.position = Math.min(nextOffset, until)
      lane.done = lane.position >= until
      const wanted = nextOffset > until ? records.filter(({ offset }) => offset < until) : records
      const endOffset = part.lastStableOffset
      yield { topic, partition, records: wanted, hasOwnTime, nextOffset: lane.position, endOffset }
      if (lane.done) return
    }
    // Compaction may have taken the last records before `until`: nothing is left that could come.
    const nothing = wasFirst && lane.position === before && part.lastStableOffset >= until
    lane.empty = nothing ? lane.empty + 1 : 0
    if (lane.empty < EMPTY_MAX) return
    lane.position = until
    lane.done = true
    const endOffset = part.lastStableOffset
    yield { topic, partition, records: [], hasOwnTime: false, nextOffset: until, endOffset }
  }

  // -- trouble --------------------------------------------------------------------------------------------------------

  /** @throws what waiting does not mend */
  async #mayGoOn(lanes: readonly Lane[], error: unknown): Promise<void> {
    if (error instanceof WireConnectionError) {
      if (error.fault === 'auth' || error.fault === 'tls') throw error
      return
    }
    if (!(error instanceof WireAnswerError)) throw error
    const lane = lanes.find(({ trouble }) => trouble !== null)
    for (const each of lanes) each.trouble = null
    if (error.answer === 'OFFSET_OUT_OF_RANGE' && lane !== undefined) {
      const topics = new Map([[lane.topic, [lane.partition]]])
      throw await this.#patiently(undefined, (wire) =>
        offsetGone(wire, this.#options.isolation, topics, lane),
      )
    }
    if (!PASSING_ANSWERS.has(error.answer) && !RECREATED_ANSWERS.has(error.answer)) throw error
  }

  async #patiently<T>(signal: AbortSignal | undefined, ask: (wire: FetchWire) => Promise<T>): Promise<T> {
    const troubles = new Troubles(this.#deps.clock, this.#options.patienceMs)
    for (;;) {
      try {
        signal?.throwIfAborted()
        return await ask(await this.#open())
      } catch (error) {
        if (error instanceof WireConnectionError) this.#drop()
        if (signal?.aborted || this.#closed) throw error
        try {
          await this.#mayGoOn([], error)
          await troubles.pause(error)
        } catch (final) {
          throw toUpstreamError(final, this.#options.bootstrap)
        }
      }
    }
  }
}

/** Answers as they come. What is done with is not kept by leaders that still owe one. */
class Arrivals {
  /** Leaders that owe an answer. */
  readonly awaited = new Set<number>()
  readonly #come: Arrival[] = []
  #tell: (() => void) | null = null

  add(arrival: Arrival): void {
    this.awaited.delete(arrival.node)
    this.#come.push(arrival)
    this.#tell?.()
  }

  async next(): Promise<Arrival> {
    if (this.#come.length === 0) {
      await new Promise<void>((resolve) => {
        this.#tell = resolve
      })
    }
    return this.#come.shift()!
  }
}

/** Pauses that double, until patience ends. */
class Troubles {
  readonly #clock: Clock
  readonly #patienceMs: number
  #since: number | null = null
  #pauseMs = FIRST_PAUSE_MS

  constructor(clock: Clock, patienceMs: number) {
    this.#clock = clock
    this.#patienceMs = patienceMs
  }

  over(): void {
    this.#since = null
    this.#pauseMs = FIRST_PAUSE_MS
  }

  /** @throws the error itself when it has lasted too long */
  async pause(error: unknown): Promise<null> {
    this.#since ??= this.#clock.monotonic()
    if (this.#clock.monotonic() - this.#since > this.#patienceMs) throw error
    const ms = this.#pauseMs
    this.#pauseMs = Math.min(ms * 2, PAUSE_MS_MAX)
    await new Promise<void>((resolve) => this.#clock.after(ms, resolve))
    return null
  }
}
