/**
 * Keeps one upstream up to date with the log. A loop drives a state machine; events (durable commits, commands) only raise
 * a signal. Any error drops all that was assumed about upstream: the next step is to recover. Ingest never waits for it.
 *
 *   recovering -> sending | backoff | stopped        sending -> idle | backoff | stopped | recovering (new partition)
 *   idle -> sending | recovering (new partition)     backoff -> recovering        any -> paused -> recovering
 */
import {
  AssertionError,
  HeadwaterError,
  type LogSink,
  type LogSource,
  type PartitionState,
  partitionKey,
  recordCountOf,
  unreachable,
} from '../broker/index.ts'
import { type BackoffOptions, backoffMs, nextRoundBytes, type RoundSizeOptions } from './backoff.ts'
import { type CheckpointCache, decideStart, isBehind } from './checkpoint.ts'
import { type Clock, Signal, systemClock } from './clock.ts'
import { SyncInternalError, UpstreamError, UpstreamTimeoutError } from './errors.ts'
import { FailureLog } from './failure-log.ts'
import { Remembered } from './remembered.ts'
import { type RewindChange, RewindQueue, type Rewound, rewindUpstream, type SavePositions } from './rewind.ts'
import { RoundBuilder } from './round-builder.ts'
import { Rate, type ReplicatorState, type ReplicatorStatus } from './status.ts'
import type { Positions, Recovered, Round, Upstream } from './upstream.ts'

export interface ReplicatorOptions {
  readonly round: RoundSizeOptions & {
    /** How long records may gather after the first one when upstream is up to date. */
    readonly lingerMs: number
  }
  readonly backoff: BackoffOptions
}

export interface ReplicatorDeps {
  readonly log: LogSource
  readonly upstream: Upstream
  readonly cache: CheckpointCache
  readonly sink: LogSink
  readonly clock?: Clock
  /** From [0, 1). */
  readonly random?: () => number
}

/** The first round after a start is this large: what the link bears is not known yet. */
const FIRST_ROUND_BYTES = 256 * 1024
/** How long `close` lets a round under way come to its end. */
const CLOSE_GRACE_MS = 3000

export class Replicator {
  readonly #options: ReplicatorOptions
  readonly #log: LogSource
  readonly #upstream: Upstream
  readonly #remembered: Remembered
  readonly #sink: LogSink
  readonly #clock: Clock
  readonly #random: () => number
  readonly #failures: FailureLog
  readonly #signal: Signal
  readonly #rate: Rate

  #state: ReplicatorState = { kind: 'recovering' }
  #since: number
  #running: Promise<void> | null = null
  #pauseWanted = false
  #resumeWanted = false
  #closeWanted = false
  #nowWanted = false
  readonly #rewinds = new RewindQueue()

  #builder: RoundBuilder | null = null
  #recovered: Recovered | null = null
  /** As last known, from upstream or, before that, from the cache. */
  #positions = new Map<string, number>()
  #roundBytes: number
  #tries = 0
  #oldestTimestamp: number | null = null
  #sentRecords = 0
  #sentBytes = 0
  #rounds = 0
  #lastAckAt: number | null = null
  #lastError: ReplicatorStatus['lastError'] = null

  constructor(options: ReplicatorOptions, deps: ReplicatorDeps) {
    this.#options = options
    this.#log = deps.log
    this.#upstream = deps.upstream
    this.#sink = deps.sink
    this.#clock = deps.clock ?? systemClock
    this.#random = deps.random ?? Math.random
    this.#failures = new FailureLog(deps.sink, this.#clock, `upstream ${deps.upstream.name}`)
    const { incarnation } = deps.log.identity
    this.#remembered = new Remembered(deps.cache, deps.upstream.name, incarnation, deps.sink, this.#clock)
    this.#signal = new Signal(this.#clock)
    this.#rate = new Rate(this.#clock)
    this.#since = this.#clock.now()
    this.#roundBytes = Math.min(FIRST_ROUND_BYTES, options.round.bytesMax)
  }

  start(): void {
    if (this.#running !== null) return
    const stopListening = this.#log.onDurable(() => {
      if (this.#state.kind === 'idle') this.#signal.raise()
    })
    this.#running = this.#run().finally(stopListening)
  }

  /** Stops after the round under way and drops the connection. */
  pause(): void {
    this.#pauseWanted = true
    this.#signal.raise()
  }

  /** Goes on after `pause`, or after an error that stopped this upstream. */
  resume(): void {
    this.#pauseWanted = false
    this.#resumeWanted = true
    this.#signal.raise()
  }

  /** Tries at once instead of at the end of a backoff, and sends without waiting for more records. */
  now(): void {
    this.#nowWanted = true
    this.#signal.raise()
  }

  /** Moves the position between two rounds; it goes on from there, unless it is paused. @throws where it cannot: it stays */
  rewind(change: RewindChange): Promise<Rewound> {
    this.#signal.raise()
    return this.#rewinds.add(this.#upstream.name, change)
  }

  async close(): Promise<void> {
    this.#closeWanted = true
    this.#signal.raise()
    const cancel = this.#clock.after(CLOSE_GRACE_MS, () => void this.#upstream.disconnect().catch(() => {}))
    await this.#running
    cancel()
    await this.#dropSession()
    await this.#remember(true)
    await this.#upstream.close().catch(() => {})
  }

  /** The next offset that upstream is known to have acknowledged, by `partitionKey`: for retention. */
  positions(): Positions {
    return this.#positions
  }

  status(): ReplicatorStatus {
    const partitions = this.#log.partitions().map((state) => {
      const position = this.#positions.get(partitionKey(state.stream, state.partition)) ?? null
      return {
        stream: state.stream,
        partition: state.partition,
        position,
        durableOffset: state.durableOffset,
        lagRecords: Math.max(0, state.durableOffset - Math.max(position ?? 0, state.logStartOffset)),
      }
    })
    const lagRecords = partitions.reduce((sum, partition) => sum + partition.lagRecords, 0)
    const oldest = lagRecords === 0 ? null : this.#oldestTimestamp
    return {
      name: this.#upstream.name,
      kind: this.#upstream.kind,
      address: this.#upstream.address,
      state: this.#state.kind,
      since: this.#since,
      retryAt: this.#state.kind === 'backoff' ? this.#state.until : null,
      tries: this.#tries,
      lagRecords,
      lagSecondsOldest: oldest === null ? null : Math.max(0, (this.#clock.now() - oldest) / 1000),
      partitions,
      sentRecords: this.#sentRecords,
      sentBytes: this.#sentBytes,
      rounds: this.#rounds,
      lastAckAt: this.#lastAckAt,
      lastError: this.#lastError,
      recordsPerSecond: this.#rate.perSecond(),
    }
  }

  async #run(): Promise<void> {
    await this.#recall()
    while (this.#state.kind !== 'closed') {
      const next = await this.#step(this.#state).catch((error) => this.#failed(error))
      if (next.kind !== this.#state.kind) this.#since = this.#clock.now()
      this.#state = next
    }
    this.#rewinds.close(this.#upstream.name)
  }

  async #step(state: ReplicatorState): Promise<ReplicatorState> {
    if (this.#closeWanted) return { kind: 'closed' }
    if (this.#pauseWanted && state.kind !== 'paused') {
      await this.#dropSession()
      await this.#upstream.disconnect().catch(() => {})
      await this.#remember(true)
      return { kind: 'paused' }
    }
    if (!this.#rewinds.isEmpty) return this.#rewind(state)
    switch (state.kind) {
      case 'recovering':
        return this.#recover()
      case 'sending':
        return this.#send(state.lingered)
      case 'idle':
        return this.#idle()
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

  // -- states ---------------------------------------------------------------------------------------------------------

  async #recover(): Promise<ReplicatorState> {
    await this.#dropSession()
    const partitions = this.#log.partitions()
    const recovered = await this.#upstream.recover(this.#log.identity, partitions)
    // The log went on meanwhile; a position is compared with where it ends now.
    const start = await decideStart(
      this.#log,
      this.#current(partitions),
      recovered,
      this.#remembered.checkpoint,
    )
    for (const warning of start.warnings) this.#sink.warn(`upstream ${this.#upstream.name}: ${warning}`)
    this.#recovered = recovered
    this.#positions = start.positions
    this.#builder = new RoundBuilder(this.#log.openCursor(start.positions), start.positions)
    return { kind: 'sending', lingered: true }
  }

  async #send(lingered: boolean): Promise<ReplicatorState> {
    const builder = this.#builder!
    await builder.fill(this.#roundBytes)
    if (this.#partitionsChanged(builder)) return { kind: 'recovering' }
    const full = builder.pendingBytes >= this.#roundBytes
    if (builder.pendingBytes === 0) return this.#caughtUp()
    this.#oldestTimestamp = builder.oldestTimestamp
    // Records that arrived during the last round: more may follow, and a transaction for each would be a waste.
    if (!full && !lingered) return this.#linger()
    this.#nowWanted = false
    const round = builder.take(this.#roundBytes)
    if (round !== null) await this.#sendRound(builder, round)
    // What is left of a backlog does not wait.
    return { kind: 'sending', lingered: full }
  }

  async #sendRound(builder: RoundBuilder, round: Round): Promise<void> {
    const startedAt = this.#clock.monotonic()
    // The next round is read while this one is on its way; an error of reading is raised when it is its turn.
    const readAhead = builder.fill(this.#roundBytes).catch(() => {})
    try {
      const positions = await this.#upstream.send(round)
      builder.acknowledge(round, positions)
    } finally {
      await readAhead
    }
    this.#acknowledged(builder, round, this.#clock.monotonic() - startedAt)
    await this.#remember(false)
  }

  async #idle(): Promise<ReplicatorState> {
    await this.#remember(true)
    // a commit between the read that found nothing and this state raised no signal
    if (!isBehind(this.#log.partitions(), this.#positions)) await this.#signal.wait()
    if (this.#interrupted()) return this.#state
    return this.#linger()
  }

  async #linger(): Promise<ReplicatorState> {
    const until = this.#clock.monotonic() + this.#options.round.lingerMs
    for (;;) {
      const left = until - this.#clock.monotonic()
      if (left <= 0 || this.#interrupted() || this.#nowWanted) return { kind: 'sending', lingered: true }
      await this.#signal.wait(left)
    }
  }

  async #backoff(state: ReplicatorState & { kind: 'backoff' }): Promise<ReplicatorState> {
    for (;;) {
      const left = state.wakeAt - this.#clock.monotonic()
      if (left <= 0 || this.#interrupted() || this.#nowWanted) break
      await this.#signal.wait(left)
    }
    this.#nowWanted = false
    return { kind: 'recovering' }
  }

  async #paused(state: ReplicatorState): Promise<ReplicatorState> {
    this.#resumeWanted = false
    if (!this.#pauseWanted) return { kind: 'recovering' }
    await this.#signal.wait()
    return this.#pauseWanted ? state : { kind: 'recovering' }
  }

  async #stopped(state: ReplicatorState): Promise<ReplicatorState> {
    this.#resumeWanted = false
    await this.#signal.wait()
    if (!this.#resumeWanted) return state
    this.#resumeWanted = false
    return { kind: 'recovering' }
  }

  async #rewind(state: ReplicatorState): Promise<ReplicatorState> {
    await this.#dropSession()
    const save: SavePositions = (positions, recovered) => this.#remembered.save(positions, recovered, true)
    const move = async (change: RewindChange) => {
      const { checkpoint } = this.#remembered
      const asked = this.#log.partitions()
      const rewound = await rewindUpstream(this.#log, asked, this.#upstream, checkpoint, save, change)
      this.#positions = new Map(rewound.positions)
      return rewound
    }
    const hasMoved = await this.#rewinds.runNext(move, toHeadwaterError)
    await this.#upstream.disconnect().catch(() => {})
    const stays = state.kind === 'paused' || (state.kind === 'stopped' && !hasMoved)
    return stays ? state : { kind: 'recovering' }
  }

  // -- transitions ----------------------------------------------------------------------------------------------------

  #interrupted(): boolean {
    return this.#pauseWanted || this.#closeWanted || !this.#rewinds.isEmpty
  }

  async #failed(thrown: unknown): Promise<ReplicatorState> {
    const error = toHeadwaterError(thrown)
    await this.#dropSession()
    await this.#upstream.disconnect().catch(() => {})
    if (this.#closeWanted) return { kind: 'closed' }
    this.#tries++
    const { code, message, hint } = error
    this.#lastError = { code, message, hint, at: this.#clock.now() }
    if (!error.retryable) {
      this.#sink.error(`upstream ${this.#upstream.name} stopped: ${error.line}`, { code })
      return { kind: 'stopped', error }
    }
    this.#failures.failed(error, this.#tries)
    const { round, backoff } = this.#options
    if (error instanceof UpstreamTimeoutError) {
      this.#roundBytes = nextRoundBytes(round, this.#roundBytes, Number.POSITIVE_INFINITY)
    }
    const slow = error instanceof UpstreamError && error.slow
    const wait = backoffMs(backoff, this.#tries, slow, this.#random())
    return { kind: 'backoff', until: this.#clock.now() + wait, wakeAt: this.#clock.monotonic() + wait }
  }

  #caughtUp(): ReplicatorState {
    this.#oldestTimestamp = null
    this.#nowWanted = false
    this.#healthy()
    return { kind: 'idle' }
  }

  #acknowledged(builder: RoundBuilder, round: Round, tookMs: number): void {
    const batches = round.parts.flatMap((part) => part.batches)
    const records = batches.reduce((sum, batch) => sum + recordCountOf(batch.bytes), 0)
    const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0)
    this.#positions = new Map(builder.positions)
    this.#sentRecords += records
    this.#sentBytes += bytes
    this.#rounds++
    this.#rate.add(records)
    this.#lastAckAt = this.#clock.now()
    // Only a round that was full says that a larger one would be as quick.
    if (bytes >= this.#roundBytes || tookMs > this.#options.round.msTarget) {
      this.#roundBytes = nextRoundBytes(this.#options.round, this.#roundBytes, tookMs)
    }
    this.#healthy()
  }

  #healthy(): void {
    this.#failures.recovered(this.#tries)
    this.#tries = 0
    this.#lastError = null
  }

  #partitionsChanged(builder: RoundBuilder): boolean {
    return builder.foundUnknown || this.#log.partitions().length !== builder.positions.size
  }

  #current(partitions: readonly PartitionState[]): PartitionState[] {
    const asked = new Set(partitions.map(({ stream, partition }) => partitionKey(stream, partition)))
    return this.#log
      .partitions()
      .filter(({ stream, partition }) => asked.has(partitionKey(stream, partition)))
  }

  async #dropSession(): Promise<void> {
    const builder = this.#builder
    this.#builder = null
    await builder?.close().catch(() => {})
  }

  async #recall(): Promise<void> {
    await this.#remembered.load()
    const known = this.#remembered.checkpoint?.positions ?? {}
    for (const [key, { next }] of Object.entries(known)) this.#positions.set(key, next)
  }

  #remember(atOnce: boolean): Promise<void> {
    return this.#remembered.save(this.#positions, this.#recovered, atOnce)
  }
}

/** What is not an operating error is a mistake: a broken invariant stops, anything else is tried again. */
function toHeadwaterError(thrown: unknown): HeadwaterError {
  if (thrown instanceof HeadwaterError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new SyncInternalError(message, !(thrown instanceof AssertionError), thrown)
}
