/**
 * Keeps local MQTT clients up to date with one topic. A loop drives a state machine, as the replicator's does; any error drops what
 * was assumed about the topic, and the next step is to open it again.
 *
 *   connecting -> reading | backoff | stopped       reading, idle -> reading | idle | connecting | backoff | stopped
 *   backoff -> connecting                           any -> paused -> connecting
 */
import { AssertionError, HeadwaterError, type LogSink, unreachable } from '../../broker/index.ts'
import { type BackoffOptions, backoffMs } from '../backoff.ts'
import { type Clock, Signal } from '../clock.ts'
import { SyncInternalError, UpstreamError } from '../errors.ts'
import { FailureLog } from '../failure-log.ts'
import { Delivery, type Publisher } from './delivery.ts'
import { Mapping, type MappingOptions } from './mapping.ts'
import { type DownlinkFacts, DownlinkPositions } from './positions.ts'
import { type DownlinkSource, type FetchedPartition, SourceMovedError, type SourceTopic } from './source.ts'
import type { StartPolicy } from './start.ts'
import type { DownlinkState, DownlinkStatus } from './status.ts'

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
  readonly #failures: FailureLog
  readonly #signal: Signal
  readonly #closing: Promise<void>
  #endWaits: () => void = () => {}

  #state: DownlinkState = { kind: 'connecting' }
  #since: number
  #running: Promise<void> | null = null
  #pauseWanted = false
  #resumeWanted = false
  #closeWanted = false
  #nowWanted = false

  #topic: SourceTopic | null = null
  readonly #ends = new Map<number, number>()
  #reopenAt = 0
  #isFetching = false
  #moves = 0
  #tries = 0
  #lost = 0
  #lastError: DownlinkStatus['lastError'] = null

  constructor(options: DownlinkOptions, deps: DownlinkDeps) {
    const { facts, publisher, sink, clock, trustedNow } = deps
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
    this.#failures = new FailureLog(sink, clock, `downlink ${options.name}`)
    this.#signal = new Signal(clock)
    this.#since = clock.now()
    this.#closing = new Promise((resolve) => {
      this.#endWaits = resolve
    })
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Stops after what is under way and drops the connection. */
  pause(): void {
    this.#pauseWanted = true
    this.#signal.raise()
  }

  /** Goes on after `pause`, or after an error that stopped this downlink. */
  resume(): void {
    this.#pauseWanted = false
    this.#resumeWanted = true
    this.#signal.raise()
  }

  /** Tries at once instead of at the end of a backoff. */
  now(): void {
    this.#nowWanted = true
    this.#signal.raise()
  }

  /** What is not acknowledged after a moment is not waited for: it is delivered again after the next start. */
  async close(): Promise<void> {
    this.#closeWanted = true
    this.#delivery.close()
    this.#signal.raise()
    if (this.#isFetching) await this.#deps.source.disconnect().catch(() => {})
    const cancel = this.#deps.clock.after(CLOSE_GRACE_MS, this.#endWaits)
    await this.#running
    cancel()
    await this.#deps.source.disconnect().catch(() => {})
  }

  status(): DownlinkStatus {
    const { address, topic } = this.#deps.source
    const partitions = [...this.#positions.next()].map(([partition, position]) => {
      const endOffset = Math.max(this.#ends.get(partition) ?? position, position)
      return { partition, position, endOffset, lagRecords: endOffset - position }
    })
    const { delivered, passedOver, unacknowledged, lastDeliveredAt } = this.#delivery
    return {
      name: this.name,
      address,
      topic,
      state: this.#state.kind,
      since: this.#since,
      retryAt: this.#state.kind === 'backoff' ? this.#state.until : null,
      tries: this.#tries,
      lagRecords: partitions.reduce((sum, { lagRecords }) => sum + lagRecords, 0),
      partitions,
      delivered,
      passedOver: { ...passedOver },
      unacknowledged,
      lost: this.#lost,
      lastDeliveredAt,
      lastError: this.#lastError,
    }
  }

  async #run(): Promise<void> {
    while (this.#state.kind !== 'closed') {
      const step = this.#step(this.#state).catch((error) => this.#failed(error))
      const next = await Promise.race([step, this.#closing.then(() => ({ kind: 'closed' }) as const)])
      if (next.kind !== this.#state.kind) this.#since = this.#deps.clock.now()
      this.#state = next
    }
  }

  async #step(state: DownlinkState): Promise<DownlinkState> {
    if (this.#closeWanted) return { kind: 'closed' }
    if (this.#pauseWanted && state.kind !== 'paused') {
      await this.#deps.source.disconnect().catch(() => {})
      return { kind: 'paused' }
    }
    switch (state.kind) {
      case 'connecting':
        return this.#connect()
      case 'reading':
      case 'idle':
        return this.#read()
      case 'backoff':
        return this.#backoff(state)
      case 'paused':
        return this.#paused(state)
      case 'stopped':
        return this.#stopped(state)
      case 'closed':
        return state
      default:
        return unreachable(state)
    }
  }

  async #connect(): Promise<DownlinkState> {
    const topic = await this.#deps.source.open()
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
    for (const { partition, endOffset } of fetched) this.#ends.set(partition, endOffset)
    await this.#delivery.deliver(this.#topic!, fetched)
    this.#healthy()
    const isBehind = [...this.#positions.next()].some(
      ([partition, next]) => next < this.#ends.get(partition)!,
    )
    return { kind: isBehind ? 'reading' : 'idle' }
  }

  async #backoff(state: DownlinkState & { kind: 'backoff' }): Promise<DownlinkState> {
    for (;;) {
      const left = state.wakeAt - this.#deps.clock.monotonic()
      if (left <= 0 || this.#pauseWanted || this.#closeWanted || this.#nowWanted) break
      await this.#signal.wait(left)
    }
    this.#nowWanted = false
    return { kind: 'connecting' }
  }

  async #paused(state: DownlinkState): Promise<DownlinkState> {
    this.#resumeWanted = false
    if (!this.#pauseWanted) return { kind: 'connecting' }
    await this.#signal.wait()
    return this.#pauseWanted ? state : { kind: 'connecting' }
  }

  async #stopped(state: DownlinkState): Promise<DownlinkState> {
    this.#resumeWanted = false
    await this.#signal.wait()
    if (!this.#resumeWanted) return state
    this.#resumeWanted = false
    return { kind: 'connecting' }
  }

  async #failed(thrown: unknown): Promise<DownlinkState> {
    const error = toHeadwaterError(thrown)
    await this.#deps.source.disconnect().catch(() => {})
    if (this.#closeWanted) return { kind: 'closed' }
    this.#tries++
    const { clock, sink, random } = this.#deps
    const { code, message, hint } = error
    this.#lastError = { code, message, hint, at: clock.now() }
    if (!error.retryable) {
      sink.error(`downlink ${this.name} stopped: ${error.line}`, { code })
      return { kind: 'stopped', error }
    }
    this.#failures.failed(error, this.#tries)
    const slow = error instanceof UpstreamError && error.slow
    const wait = backoffMs(this.#options.backoff, this.#tries, slow, random())
    return { kind: 'backoff', until: clock.now() + wait, wakeAt: clock.monotonic() + wait }
  }

  #healthy(): void {
    this.#failures.recovered(this.#tries)
    this.#tries = 0
    this.#lastError = null
  }
}

/** What is not an operating error is a mistake: a broken invariant stops, anything else is tried again. */
function toHeadwaterError(thrown: unknown): HeadwaterError {
  if (thrown instanceof HeadwaterError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new SyncInternalError(message, !(thrown instanceof AssertionError), thrown)
}
