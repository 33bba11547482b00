/**
 * Keeps one upstream up to date with the log. A loop drives a state machine; events (durable commits, commands) only raise
 * a signal. Any error drops all that was assumed about upstream: the next step is to recover. Ingest never waits for it.
 *
 *   recovering -> sending | held | backoff | stopped     sending -> idle | held | backoff | stopped | recovering (new partition)
 *   idle -> sending | held | recovering (new partition)  backoff -> recovering
 *   held -> recovering                                   any -> paused -> recovering
 */
import type { LogSink, LogSource, UpstreamEvent } from '../broker/index.ts'
import type { BackoffOptions, RoundSizeOptions } from './backoff.ts'
import { type CheckpointCache, decideStart } from './checkpoint.ts'
import { type Clock, systemClock } from './clock.ts'
import { Courier } from './courier.ts'
import { UpstreamTimeoutError } from './errors.ts'
import { EVERYTHING, Selection } from './filter/selection.ts'
import { Health } from './health.ts'
import { openLanes } from './lanes.ts'
import { Link } from './link/link.ts'
import type { GateView } from './link/link-gate.ts'
import { type Backoff, Retries, toHeadwaterError } from './retries.ts'
import { type RewindChange, RewindQueue, type Rewound, rewindUpstream, type SavePositions } from './rewind.ts'
import { RoundBuilder } from './round-builder.ts'
import { Standing } from './standing.ts'
import { StateFeed } from './state-feed.ts'
import { StateLoop } from './state-loop.ts'
import type { ReplicatorState, ReplicatorStatus, RunningState } from './status.ts'
import { statusOf } from './status-report.ts'
import type { Positions, Upstream } from './upstream.ts'

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
  /** What of the log goes there; all of it without. */
  readonly selection?: Selection
  /** Without it nothing holds the link back. */
  readonly link?: Link
  readonly clock?: Clock
  /** From [0, 1). */
  readonly random?: () => number
}

/** How long `close` lets a round under way come to its end. */
const CLOSE_GRACE_MS = 3000
/** A schedule and a calendar are looked at this often where nothing else wakes. */
const LOOK_MS = 60_000

export class Replicator {
  readonly #options: ReplicatorOptions
  readonly #log: LogSource
  readonly #upstream: Upstream
  readonly #standing: Standing
  readonly #sink: LogSink
  readonly #clock: Clock
  readonly #retries: Retries
  readonly #loop: StateLoop<RunningState>
  readonly #selection: Selection
  readonly #link: Link
  readonly #courier: Courier
  readonly #health: Health
  readonly #feed: StateFeed
  /** Records became durable since the log was last read to its end. */
  #hasNews = false
  readonly #rewinds = new RewindQueue()
  #running: Promise<void> | null = null

  #builder: RoundBuilder | null = null

  constructor(options: ReplicatorOptions, deps: ReplicatorDeps) {
    this.#options = options
    this.#log = deps.log
    this.#upstream = deps.upstream
    this.#sink = deps.sink
    this.#clock = deps.clock ?? systemClock
    const { name } = deps.upstream
    this.#selection = deps.selection ?? new Selection(EVERYTHING)
    this.#link = deps.link ?? Link.unlimited({ name, clock: this.#clock, sink: deps.sink })
    const { log, cache, sink } = deps
    const clock = this.#clock
    this.#standing = new Standing(name, { log, selection: this.#selection, cache, sink, clock })
    const { random = Math.random } = deps
    this.#retries = new Retries(`upstream ${name}`, {
      backoff: options.backoff,
      link: this.#link,
      sink,
      clock,
      random,
    })
    this.#health = new Health(clock)
    const { round } = options
    const { upstream } = deps
    const parts = { round, upstream, link: this.#link, standing: this.#standing, health: this.#health, clock }
    this.#courier = new Courier(parts)
    this.#feed = new StateFeed(name, deps.sink, this.#clock)
    this.#loop = this.#newLoop()
    this.#loop.pauseWanted = this.#link.isPaused
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Calls back at each change of state. @returns the way to stop */
  onChange(listener: (event: UpstreamEvent) => void): () => void {
    return this.#feed.add(listener)
  }

  /** Stops after the round under way and drops the connection, also after a restart. Done when that is remembered. */
  pause(): Promise<void> {
    this.#loop.pause()
    return this.#link.setPaused(true)
  }

  /** Goes on after `pause`, or after an error that stopped this upstream. */
  resume(): Promise<void> {
    this.#loop.resume()
    return this.#link.setPaused(false)
  }

  /** Tries at once instead of at the end of a backoff, and sends all that waits, whatever the schedule says. */
  now(): void {
    this.#link.isOverridden = true
    this.#loop.now()
  }

  /** Moves the position between two rounds; it goes on from there, unless it is paused. @throws where it cannot: it stays */
  rewind(change: RewindChange): Promise<Rewound> {
    this.#loop.signal.raise()
    return this.#rewinds.add(this.#upstream.name, change)
  }

  async close(): Promise<void> {
    this.#loop.close()
    const cancel = this.#clock.after(CLOSE_GRACE_MS, () => void this.#upstream.disconnect().catch(() => {}))
    await this.#running
    cancel()
    await this.#dropSession()
    await this.#standing.remember(true)
    await this.#link.close()
    await this.#upstream.close().catch(() => {})
  }

  /** The next offset that upstream is known to have acknowledged, by `partitionKey`: for retention. */
  positions(): Positions {
    return this.#standing.floors
  }

  status(): ReplicatorStatus {
    return statusOf({
      log: this.#log,
      upstream: this.#upstream,
      selection: this.#selection,
      state: this.#loop.state,
      since: this.#loop.since,
      tries: this.#retries.tries,
      positions: this.#standing.positions,
      done: this.#builder?.done() ?? this.#standing.done,
      health: this.#health,
      link: this.#link.status(),
      stalls: this.#courier.stalls,
      lastError: this.#retries.lastError,
      now: this.#clock.now(),
    })
  }

  #newLoop(): StateLoop<RunningState> {
    return new StateLoop<RunningState>({
      clock: this.#clock,
      begin: { kind: 'recovering' },
      steps: {
        recovering: () => this.#recover(),
        sending: (state) => this.#send(state),
        idle: (state) => this.#idle(state),
        backoff: (state) => this.#backoff(state),
        held: (state) => this.#held(state),
      },
      disconnect: () => this.#disconnect(),
      failed: (thrown) => this.#failed(thrown),
      changed: (from, to) =>
        this.#feed.changed(from.kind, to.kind, this.#retries.lastError, this.#link.status().hold),
      errand: { isWanted: () => !this.#rewinds.isEmpty, run: (state) => this.#rewind(state) },
    })
  }

  async #run(): Promise<void> {
    const stopListening = this.#log.onDurable(() => this.#durable())
    await this.#standing.recall()
    await this.#findOldest().catch(() => {})
    this.#loop.start()
    await this.#loop.ended()
    this.#rewinds.close(this.#upstream.name)
    stopListening()
  }

  // -- states ---------------------------------------------------------------------------------------------------------

  async #recover(): Promise<ReplicatorState> {
    await this.#dropSession()
    const leftBehind = this.#courier.leftBehind
    if (leftBehind !== null) {
      void leftBehind.then(() => this.#loop.signal.raise())
      await this.#loop.signal.wait()
      return { kind: 'recovering' }
    }
    const gate = this.#link.look()
    if (!this.#mayGo(gate)) return this.#hold()
    const { wanted, remembered } = this.#standing
    const recovered = await this.#courier.recover(this.#log.identity, wanted)
    // The log went on meanwhile; a position is compared with where it ends now.
    const current = this.#standing.current(wanted)
    const { positions, warnings } = await decideStart(this.#log, current, recovered, remembered)
    for (const warning of warnings) this.#sink.warn(`upstream ${this.#upstream.name}: ${warning}`)
    this.#health.skipped(current, positions)
    this.#standing.recovered(recovered, positions)
    this.#builder = new RoundBuilder(openLanes(this.#log, this.#selection, positions), positions)
    return { kind: 'sending', lingered: true }
  }

  async #send(state: ReplicatorState & { kind: 'sending' }): Promise<ReplicatorState> {
    const builder = this.#builder!
    const throttled = this.#link.waitMs()
    if (throttled > 0) {
      await this.#loop.signal.wait(throttled)
      return state
    }
    const { priorityMin } = this.#link.look()
    const bytes = this.#link.roundBytes(this.#courier.roundBytes)
    this.#hasNews = false
    await builder.fill(bytes, priorityMin)
    if (this.#partitionsChanged(builder)) return { kind: 'recovering' }
    const pending = builder.pendingBytes(priorityMin)
    if (pending === 0) {
      // what was read may all have been left out, also a stretch so long that there is more to read
      await this.#move(builder, priorityMin)
      return builder.caughtUp ? this.#caughtUp(priorityMin) : state
    }
    const full = pending >= bytes
    this.#health.oldestTimestamp = builder.oldestTimestamp
    // Records that arrived during the last round: more may follow, and a transaction for each would be a waste.
    if (!full && !state.lingered) return this.#linger()
    this.#loop.nowWanted = false
    const round = builder.take(bytes, { priorityMin, withMoves: this.#courier.isMoveDue })
    const tookMs = round === null ? 0 : await this.#courier.send(builder, round, bytes, priorityMin)
    if (round !== null) this.#retries.over()
    if (full) await this.#link.yield(tookMs, (ms) => this.#loop.signal.wait(ms))
    // What is left of a backlog does not wait, nor does what came during a round that took as long as it would wait.
    return { kind: 'sending', lingered: full || tookMs >= this.#options.round.lingerMs }
  }

  async #idle(state: ReplicatorState): Promise<ReplicatorState> {
    const gate = this.#link.look()
    if (gate.priorityMin > 0) return this.#hold()
    const builder = this.#builder!
    await this.#standing.remember(false)
    if (!this.#hasNews && !this.#loop.nowWanted) await this.#loop.signal.wait(this.#idleMsMax(builder))
    if (this.#loop.isInterrupted) return state
    if (this.#hasNews || this.#loop.nowWanted) return this.#linger()
    await this.#move(builder, gate.priorityMin)
    return state
  }

  /** undefined where only a signal can change something. */
  #idleMsMax(builder: RoundBuilder): number | undefined {
    const { saveDueMs } = this.#standing
    const movesDueMs = builder.hasMoves ? this.#courier.movesAt - this.#clock.monotonic() : null
    const lookMs = this.#link.isAlwaysOpen ? null : LOOK_MS
    const times = [saveDueMs, movesDueMs, lookMs].filter((ms) => ms !== null)
    return times.length === 0 ? undefined : Math.max(1, Math.min(...times))
  }

  async #linger(): Promise<ReplicatorState> {
    const until = this.#clock.monotonic() + this.#options.round.lingerMs
    for (;;) {
      const left = until - this.#clock.monotonic()
      if (left <= 0 || this.#loop.isInterrupted || this.#loop.nowWanted)
        return { kind: 'sending', lingered: true }
      await this.#loop.signal.wait(left)
    }
  }

  async #backoff(state: Backoff): Promise<ReplicatorState> {
    await this.#retries.wait(state, this.#loop.signal, () => this.#loop.isInterrupted || this.#loop.nowWanted)
    this.#loop.nowWanted = false
    return { kind: 'recovering' }
  }

  async #held(state: ReplicatorState): Promise<ReplicatorState> {
    this.#loop.nowWanted = false
    this.#hasNews = false
    const gate = this.#link.look()
    if (this.#mayGo(gate)) return { kind: 'recovering' }
    const left = gate.until === null ? LOOK_MS : Math.max(1, gate.until - this.#clock.now())
    await this.#loop.signal.wait(Math.min(LOOK_MS, left))
    return state
  }

  async #rewind(state: ReplicatorState): Promise<ReplicatorState> {
    await this.#dropSession()
    const { leftBehind } = this.#courier
    if (leftBehind !== null) {
      void leftBehind.then(() => this.#loop.signal.raise())
      await this.#loop.signal.wait()
      return state
    }
    const save: SavePositions = (positions, recovered) => this.#standing.save(positions, recovered)
    const move = async (change: RewindChange) => {
      const { wanted, remembered } = this.#standing
      const rewound = await rewindUpstream(this.#log, wanted, this.#courier.watched, remembered, save, change)
      this.#standing.at(rewound.positions)
      return rewound
    }
    const hasMoved = await this.#rewinds.runNext(move, toHeadwaterError)
    await this.#upstream.disconnect().catch(() => {})
    const stays = state.kind === 'paused' || (state.kind === 'stopped' && !hasMoved)
    return stays ? state : { kind: 'recovering' }
  }

  // -- transitions ----------------------------------------------------------------------------------------------------

  #durable(): void {
    this.#hasNews = true
    this.#health.arrived()
    const { kind } = this.#loop.state
    if (kind === 'idle' || kind === 'held') this.#loop.signal.raise()
  }

  /** Whether there is something that the link may bear now. */
  #mayGo({ priorityMin }: GateView): boolean {
    if (priorityMin === 0) return true
    if (!Number.isFinite(priorityMin)) return false
    return this.#standing.isBehind(priorityMin)
  }

  /** Nothing more may go: the connection is dropped, so that it costs nothing. */
  async #hold(): Promise<ReplicatorState> {
    if (this.#builder !== null) await this.#courier.move(this.#builder, 0, true)
    await this.#disconnect()
    await this.#findOldest()
    return { kind: 'held' }
  }

  async #disconnect(): Promise<void> {
    await this.#dropSession()
    await this.#upstream.disconnect().catch(() => {})
    await this.#standing.remember(true)
  }

  async #move(builder: RoundBuilder, priorityMin: number): Promise<void> {
    if (await this.#courier.move(builder, priorityMin, false)) this.#retries.over()
  }

  async #failed(thrown: unknown): Promise<ReplicatorState> {
    const error = toHeadwaterError(thrown)
    await this.#dropSession()
    await this.#upstream.disconnect().catch(() => {})
    if (this.#loop.closeWanted) return { kind: 'closed' }
    if (error instanceof UpstreamTimeoutError) this.#courier.timedOut()
    return this.#retries.failed(error)
  }

  #caughtUp(priorityMin: number): ReplicatorState {
    this.#loop.nowWanted = false
    if (priorityMin === 0) {
      this.#link.isOverridden = false
      this.#health.oldestTimestamp = this.#hasNews ? this.#clock.now() : null
    }
    this.#retries.over()
    return { kind: 'idle' }
  }

  #partitionsChanged(builder: RoundBuilder): boolean {
    return builder.foundUnknown || this.#standing.wanted.length !== builder.positions.size
  }

  #findOldest(): Promise<void> {
    return this.#health.findOldest(this.#log, this.#standing.wanted, this.#standing.done)
  }

  async #dropSession(): Promise<void> {
    const builder = this.#builder
    this.#builder = null
    if (builder === null) return
    await builder.close().catch(() => {})
    this.#standing.done = builder.done()
  }
}
