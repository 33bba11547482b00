/**
 * Keeps local MQTT clients up to date with one topic. Its states go round in a loop (../state-loop.ts); any error drops what was
 * assumed about the topic, and the next step is to open it again.
 *
 *   connecting -> reading | backoff | stopped       reading, idle -> reading | idle | connecting | backoff | stopped
 *   backoff -> connecting                           any -> paused -> connecting
 */
import type { LogSink } from '../../broker/index.ts'
import type { BackoffOptions } from '../backoff.ts'
import type { Clock } from '../clock.ts'
import { type Backoff, Retries, toHeadwaterError } from '../retries.ts'
import { StateLoop } from '../state-loop.ts'
import { Delivery, type Publisher } from './delivery.ts'
import { Mapping, type MappingOptions } from './mapping.ts'
import { type DownlinkFacts, DownlinkPositions } from './positions.ts'
import { type DownlinkSource, type FetchedPartition, SourceMovedError, type SourceTopic } from './source.ts'
import type { StartPolicy } from './start.ts'
import type { DownlinkState, DownlinkStatus, RunningState } from './status.ts'

export interface DownlinkOptions extends MappingOptions, StartPolicy {
  readonly name: string
  readonly graceSeconds: number
  readonly backoff: BackoffOptions
}

export interface DownlinkDeps {
  readonly edge: string
  readonly source: DownlinkSource
  readonly facts: DownlinkFacts
  readonly publisher: Publisher
  readonly sink: LogSink
  readonly clock: Clock
  readonly trustedNow: () => number | null
  /** From [0, 1). */
  readonly random: () => number
  /** Whether it was paused when the process ended, and keeps that for the next one; without it a pause ends with the process. */
  readonly paused?: PausedMemory
}

export interface PausedMemory {
  readonly isPaused: boolean
  save(isPaused: boolean): Promise<void>
}

/** So often a topic is opened again while all is well: it may have new partitions, or be another one. */
const REOPEN_MS = 60_000
/** A topic that is opened again so often without a read has something else. */
const MOVES_MAX = 3
/** How long `close` lets what is under way come to its end. */
const CLOSE_GRACE_MS = 3000

export class Downlink {
  readonly name: string
  readonly #options: DownlinkOptions
  readonly #deps: DownlinkDeps
  readonly #positions: DownlinkPositions
  readonly #delivery: Delivery
  readonly #retries: Retries
  readonly #loop: StateLoop<RunningState>

  #topic: SourceTopic | null = null
  readonly #ends = new Map<number, number>()
  #reopenAt = 0
  #isFetching = false
  #moves = 0
  /** Monotonic. */
  #answeredAt: number | null = null
  #lost = 0

  constructor(options: DownlinkOptions, deps: DownlinkDeps) {
    const { facts, publisher, sink, clock, trustedNow, random } = deps
    this.name = options.name
    this.#options = options
    this.#deps = deps
    this.#positions = new DownlinkPositions(facts, options.name)
    this.#delivery = new Delivery({
      name: options.name,
      mapping: new Mapping(options, deps.edge),
      positions: this.#positions,
      publisher,
      sink,
      clock,
      trustedNow,
      graceUntil: clock.monotonic() + options.graceSeconds * 1000,
    })
    const { backoff } = options
    this.#retries = new Retries(`downlink ${options.name}`, { backoff, sink, clock, random })
    this.#loop = new StateLoop<RunningState>({
      clock,
      begin: { kind: 'connecting' },
      steps: {
        connecting: () => this.#connect(),
        reading: () => this.#read(),
        idle: () => this.#read(),
        backoff: (state) => this.#backoff(state),
      },
      disconnect: () => this.#disconnect(),
      failed: (thrown) => this.#failed(thrown),
    })
    this.#loop.pauseWanted = deps.paused?.isPaused ?? false
  }

  start(): void {
    this.#loop.start()
  }

  /** Stops after what is under way and drops the connection, also after a restart. Done when that is remembered. */
  async pause(): Promise<void> {
    this.#loop.pause()
    await this.#deps.paused?.save(true)
  }

  /** Goes on after `pause`, or after an error that stopped this downlink. */
  async resume(): Promise<void> {
    this.#loop.resume()
    await this.#deps.paused?.save(false)
  }

  /** Tries at once instead of at the end of a backoff. */
  now(): void {
    this.#loop.now()
  }

  /** What is not acknowledged after a moment is not waited for: it is delivered again after the next start. */
  async close(): Promise<void> {
    this.#loop.close()
    this.#delivery.close()
    if (this.#isFetching) await this.#disconnect()
    const cancel = this.#deps.clock.after(CLOSE_GRACE_MS, () => this.#loop.abandon())
    await this.#loop.ended()
    cancel()
    await this.#disconnect()
  }

  status(): DownlinkStatus {
    const { address, topic } = this.#deps.source
    const partitions = [...this.#positions.next()].map(([partition, position]) => {
      const endOffset = Math.max(this.#ends.get(partition) ?? position, position)
      return { partition, position, endOffset, lagRecords: endOffset - position }
    })
    const { state, since } = this.#loop
    const { tries, lastError } = this.#retries
    const { delivered, passedOver, unacknowledged, lastDeliveredAt } = this.#delivery
    return {
      name: this.name,
      address,
      topic,
      state: state.kind,
      since,
      retryAt: state.kind === 'backoff' ? state.until : null,
      tries,
      lagRecords: partitions.reduce((sum, { lagRecords }) => sum + lagRecords, 0),
      partitions,
      delivered,
      passedOver: { ...passedOver },
      unacknowledged,
      lost: this.#lost,
      lastDeliveredAt,
      answerAgeSeconds:
        this.#answeredAt === null ? null : (this.#deps.clock.monotonic() - this.#answeredAt) / 1000,
      lastError,
    }
  }

  async #connect(): Promise<DownlinkState> {
    const topic = await this.#deps.source.open()
    this.#answeredAt = this.#deps.clock.monotonic()
    const { warnings, lost } = await this.#positions.begin(topic, this.#options)
    for (const warning of warnings) this.#deps.sink.warn(`downlink ${this.name}: ${warning}`)
    this.#lost += lost
    this.#topic = topic
    this.#ends.clear()
    for (const { partition, endOffset } of topic.partitions) this.#ends.set(partition, endOffset)
    this.#reopenAt = this.#deps.clock.monotonic() + REOPEN_MS
    return { kind: 'reading' }
  }

  async #read(): Promise<DownlinkState> {
    if (this.#deps.clock.monotonic() >= this.#reopenAt) await this.#connect()
    let fetched: FetchedPartition[]
    this.#isFetching = true
    try {
      fetched = await this.#deps.source.fetch(this.#positions.next())
    } catch (error) {
      if (error instanceof SourceMovedError && this.#moves++ < MOVES_MAX) return { kind: 'connecting' }
      throw error
    } finally {
      this.#isFetching = false
    }
    this.#moves = 0
    // none may be no answer yet
    if (fetched.length > 0) this.#answeredAt = this.#deps.clock.monotonic()
    for (const { partition, endOffset } of fetched) this.#ends.set(partition, endOffset)
    await this.#delivery.deliver(this.#topic!, fetched)
    this.#retries.over()
    const isBehind = [...this.#positions.next()].some(
      ([partition, next]) => next < this.#ends.get(partition)!,
    )
    return { kind: isBehind ? 'reading' : 'idle' }
  }

  async #backoff(state: Backoff): Promise<DownlinkState> {
    const { signal } = this.#loop
    await this.#retries.wait(state, signal, () => this.#loop.isInterrupted || this.#loop.nowWanted)
    this.#loop.nowWanted = false
    return { kind: 'connecting' }
  }

  async #failed(thrown: unknown): Promise<DownlinkState> {
    await this.#disconnect()
    return this.#loop.closeWanted ? { kind: 'closed' } : this.#retries.failed(toHeadwaterError(thrown))
  }

  async #disconnect(): Promise<void> {
    await this.#deps.source.disconnect().catch(() => {})
  }
}
