/**
 * Keeps one upstream up to date with the log. A loop drives a state machine; events (durable commits, commands) only raise
 * a signal. Any error drops all that was assumed about upstream: the next step is to recover. Ingest never waits for it.
 *
 *   recovering -> sending | held | backoff | stopped     sending -> idle | held | backoff | stopped | recovering (new partition)
 *   idle -> sending | held | recovering (new partition)  backoff -> recovering
 *   held -> recovering                                   any -> paused -> recovering
 */
import type { UpstreamEvent } from '../broker/index.ts'
import { UpstreamError, UpstreamTimeoutError } from './errors.ts'
import type { GateView } from './link/link-gate.ts'
import { findLeftOut, recover } from './recovery.ts'
import {
  assemble,
  type ReplicatorDeps,
  type ReplicatorOptions,
  type ReplicatorParts,
} from './replicator-parts.ts'
import { type Backoff, toHeadwaterError } from './retries.ts'
import { type RewindChange, RewindQueue, type Rewound, rewindUpstream, type SavePositions } from './rewind.ts'
import type { RoundBuilder } from './round-builder.ts'
import { StateLoop } from './state-loop.ts'
import type { ReplicatorState, ReplicatorStatus, RunningState } from './status.ts'
import { statusOf } from './status-report.ts'
import type { Positions } from './upstream.ts'

/** How long `close` lets a round under way come to its end. */
const CLOSE_GRACE_MS = 3000
/** A schedule and a calendar are looked at this often where nothing else wakes. */
const LOOK_MS = 60_000

export class Replicator {
  readonly #parts: ReplicatorParts
  readonly #loop: StateLoop<RunningState>
  /** Records became durable since the log was last read to its end. */
  #hasNews = false
  readonly #rewinds = new RewindQueue()
  #running: Promise<void> | null = null

  #builder: RoundBuilder | null = null
  /** The log's streams are others, or have another priority, than when the builder was made. */
  #isStale = false

  constructor(options: ReplicatorOptions, deps: ReplicatorDeps) {
    this.#parts = assemble(options, deps)
    this.#loop = this.#newLoop()
    this.#loop.pauseWanted = this.#parts.link.isPaused
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Calls back at each change of state. @returns the way to stop */
  onChange(listener: (event: UpstreamEvent) => void): () => void {
    return this.#parts.feed.add(listener)
  }

  /** Stops after the round under way and drops the connection, also after a restart. Done when that is remembered. */
  pause(): Promise<void> {
    this.#loop.pause()
    return this.#parts.link.setPaused(true)
  }

  /** Goes on after `pause`, or after an error that stopped this upstream. */
  resume(): Promise<void> {
    this.#parts.refusals.hurry(true)
    this.#loop.resume()
    return this.#parts.link.setPaused(false)
  }

  /** Tries at once instead of at the end of a backoff, and sends all that waits, whatever the schedule says. */
  now(): void {
    this.#parts.link.isOverridden = true
    this.#parts.refusals.hurry()
    this.#loop.now()
  }

  /** Moves the position between two rounds; it goes on from there, unless it is paused. @throws where it cannot: it stays */
  rewind(change: RewindChange): Promise<Rewound> {
    this.#loop.signal.raise()
    return this.#rewinds.add(this.#parts.upstream.name, change)
  }

  /** The log has other streams, or other priorities of them: looked at before the next round. */
  streamsChanged(): void {
    this.#parts.standing.streamsChanged()
    this.#isStale = true
    this.#durable()
  }

  /** A call upstream that was given up and goes on all the same: until it ends nobody else may ask there. */
  get leftBehind(): Promise<void> | null {
    return this.#parts.courier.leftBehind
  }

  async close(): Promise<void> {
    this.#loop.close()
    const cancel = this.#parts.clock.after(
      CLOSE_GRACE_MS,
      () => void this.#parts.upstream.disconnect().catch(() => {}),
    )
    await this.#running
    cancel()
    await this.#dropSession()
    await this.#parts.standing.remember(true)
    await this.#parts.link.close()
    await this.#parts.upstream.close().catch(() => {})
  }

  /** The next offset that upstream is known to have acknowledged, by `partitionKey`: for retention. */
  positions(): Positions {
    return this.#parts.standing.floors
  }

  status(): ReplicatorStatus {
    return statusOf({
      log: this.#parts.log,
      upstream: this.#parts.upstream,
      selection: this.#parts.selection,
      state: this.#loop.state,
      since: this.#loop.since,
      tries: this.#parts.retries.tries,
      positions: this.#parts.standing.positions,
      done: this.#builder?.done() ?? this.#parts.standing.done,
      health: this.#parts.health,
      link: this.#parts.link.status(),
      stalls: this.#parts.courier.stalls,
      lastError: this.#parts.retries.lastError,
      refusals: this.#parts.refusals,
      now: this.#parts.clock.now(),
    })
  }

  #newLoop(): StateLoop<RunningState> {
    return new StateLoop<RunningState>({
      clock: this.#parts.clock,
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
        this.#parts.feed.changed(
          from.kind,
          to.kind,
          this.#parts.retries.lastError,
          this.#parts.link.status().hold,
        ),
      errand: { isWanted: () => !this.#rewinds.isEmpty, run: (state) => this.#rewind(state) },
    })
  }

  async #run(): Promise<void> {
    const stopListening = this.#parts.log.onDurable(() => this.#durable())
    await this.#parts.standing.recall()
    await this.#findOldest().catch(() => {})
    this.#loop.start()
    await this.#loop.ended()
    this.#rewinds.close(this.#parts.upstream.name)
    stopListening()
  }

  // -- states ---------------------------------------------------------------------------------------------------------

  async #recover(): Promise<ReplicatorState> {
    await this.#dropSession()
    if (await this.#isBusy()) return { kind: 'recovering' }
    const gate = this.#parts.link.look()
    if (!this.#mayGo(gate)) return this.#hold()
    this.#isStale = false
    this.#builder = await recover(this.#parts)
    return { kind: 'sending', lingered: true }
  }

  async #send(state: ReplicatorState & { kind: 'sending' }): Promise<ReplicatorState> {
    const builder = this.#builder!
    if (this.#parts.refusals.isDue) return { kind: 'recovering' }
    const throttled = this.#parts.link.waitMs()
    if (throttled > 0) {
      await this.#loop.signal.wait(throttled)
      return state
    }
    const { priorityMin } = this.#parts.link.look()
    const bytes = this.#parts.link.roundBytes(this.#parts.courier.roundBytes)
    this.#hasNews = false
    await builder.fill(bytes, priorityMin)
    if (this.#partitionsChanged(builder)) return { kind: 'recovering' }
    const pending = builder.pendingBytes(priorityMin)
    if (pending === 0) {
      // what was read may all have been left out, also a stretch so long that there is more to read
      await this.#move(builder, priorityMin)
      return builder.caughtUp ? this.#caughtUp(builder, priorityMin) : state
    }
    const full = pending >= bytes
    this.#parts.health.oldestTimestamp = builder.oldestTimestamp
    // Records that arrived during the last round: more may follow, and a transaction for each would be a waste.
    if (!full && !state.lingered) return this.#linger()
    this.#loop.nowWanted = false
    const round = builder.take(bytes, { priorityMin, withMoves: this.#parts.courier.isMoveDue })
    const tookMs = round === null ? 0 : await this.#parts.courier.send(builder, round, bytes, priorityMin)
    if (round !== null) {
      this.#parts.retries.over()
      this.#parts.refusals.served(new Set(round.parts.map(({ stream }) => stream)))
    }
    if (full) await this.#parts.link.yield(tookMs, (ms) => this.#loop.signal.wait(ms))
    // What is left of a backlog does not wait, nor does what came during a round that took as long as it would wait.
    return { kind: 'sending', lingered: full || tookMs >= this.#parts.options.round.lingerMs }
  }

  async #idle(state: ReplicatorState): Promise<ReplicatorState> {
    const gate = this.#parts.link.look()
    if (gate.priorityMin > 0) return this.#hold()
    const builder = this.#builder!
    await this.#parts.standing.remember(false)
    if (!this.#hasNews && !this.#loop.nowWanted) await this.#loop.signal.wait(this.#idleMsMax(builder))
    if (this.#loop.isInterrupted) return state
    if (this.#parts.refusals.isDue) return { kind: 'recovering' }
    if (this.#hasNews || this.#loop.nowWanted) return this.#linger()
    await this.#move(builder, gate.priorityMin)
    return state
  }

  /** undefined where only a signal can change something. */
  #idleMsMax(builder: RoundBuilder): number | undefined {
    const { link, standing, refusals, courier, clock } = this.#parts
    const movesDueMs = builder.hasMoves ? courier.movesAt - clock.monotonic() : null
    const lookMs = link.isAlwaysOpen ? null : LOOK_MS
    const times = [standing.saveDueMs, refusals.dueMs, movesDueMs, lookMs].filter((ms) => ms !== null)
    return times.length === 0 ? undefined : Math.max(1, Math.min(...times))
  }

  async #linger(): Promise<ReplicatorState> {
    const until = this.#parts.clock.monotonic() + this.#parts.options.round.lingerMs
    for (;;) {
      const left = until - this.#parts.clock.monotonic()
      if (left <= 0 || this.#loop.isInterrupted || this.#loop.nowWanted)
        return { kind: 'sending', lingered: true }
      await this.#loop.signal.wait(left)
    }
  }

  async #backoff(state: Backoff): Promise<ReplicatorState> {
    await this.#parts.retries.wait(
      state,
      this.#loop.signal,
      () => this.#loop.isInterrupted || this.#loop.nowWanted,
    )
    this.#loop.nowWanted = false
    this.#parts.refusals.hurry()
    return { kind: 'recovering' }
  }

  async #held(state: ReplicatorState): Promise<ReplicatorState> {
    this.#loop.nowWanted = false
    this.#hasNews = false
    const gate = this.#parts.link.look()
    if (this.#mayGo(gate)) return { kind: 'recovering' }
    const left = gate.until === null ? LOOK_MS : Math.max(1, gate.until - this.#parts.clock.now())
    await this.#loop.signal.wait(Math.min(LOOK_MS, left))
    return state
  }

  async #rewind(state: ReplicatorState): Promise<ReplicatorState> {
    await this.#dropSession()
    if (await this.#isBusy()) return state
    const save: SavePositions = (positions, recovered) => this.#parts.standing.save(positions, recovered)
    const move = async (change: RewindChange) => {
      const { log, standing, courier } = this.#parts
      const { wanted, remembered } = standing
      const rewound = await rewindUpstream(log, wanted, courier.watched, remembered, save, change)
      standing.at(rewound.positions)
      return rewound
    }
    const hasMoved = await this.#rewinds.runNext(move, toHeadwaterError)
    await this.#parts.upstream.disconnect().catch(() => {})
    // A person has said where to go on.
    if (hasMoved) this.#parts.refusals.hurry(true)
    const stays = state.kind === 'paused' || (state.kind === 'stopped' && !hasMoved)
    return stays ? state : { kind: 'recovering' }
  }

  /** A call that was left behind goes on: waits for its end, or for somebody who wants something else. */
  async #isBusy(): Promise<boolean> {
    const { leftBehind } = this.#parts.courier
    if (leftBehind === null) return false
    void leftBehind.then(() => this.#loop.signal.raise())
    await this.#loop.signal.wait()
    return true
  }

  // -- transitions ----------------------------------------------------------------------------------------------------

  #durable(): void {
    this.#hasNews = true
    this.#parts.health.arrived()
    const { kind } = this.#loop.state
    if (kind === 'idle' || kind === 'held') this.#loop.signal.raise()
  }

  /** Whether there is something that the link may bear now. */
  #mayGo({ priorityMin }: GateView): boolean {
    if (priorityMin === 0) return true
    if (!Number.isFinite(priorityMin)) return false
    return this.#parts.standing.isBehind(priorityMin, (stream) => this.#parts.refusals.mustWait(stream))
  }

  /** Nothing more may go: the connection is dropped, so that it costs nothing. */
  async #hold(): Promise<ReplicatorState> {
    if (this.#builder !== null) await this.#parts.courier.move(this.#builder, 0, true)
    await this.#disconnect()
    await this.#findOldest()
    return { kind: 'held' }
  }

  async #disconnect(): Promise<void> {
    await this.#dropSession()
    await this.#parts.upstream.disconnect().catch(() => {})
    await this.#parts.standing.remember(true)
  }

  async #move(builder: RoundBuilder, priorityMin: number): Promise<void> {
    if (await this.#parts.courier.move(builder, priorityMin, false)) this.#parts.retries.over()
  }

  async #failed(thrown: unknown): Promise<ReplicatorState> {
    const error = toHeadwaterError(thrown)
    await this.#dropSession()
    if (this.#leavesOut(error)) return { kind: 'recovering' }
    await this.#parts.upstream.disconnect().catch(() => {})
    if (this.#loop.closeWanted) return { kind: 'closed' }
    if (error instanceof UpstreamTimeoutError) this.#parts.courier.timedOut()
    return this.#parts.retries.failed(error)
  }

  /** Whether an error is about one stream of several: then the others go on without it. */
  #leavesOut(error: unknown): boolean {
    const stream = error instanceof UpstreamError ? error.stream : null
    if (stream === null || this.#parts.refusals.isOut(stream) || this.#loop.closeWanted) return false
    const isOther = (other: string) => other !== stream && !this.#parts.refusals.isOut(other)
    if (!this.#parts.standing.wanted.some((each) => isOther(each.stream))) return false
    this.#parts.refusals.refuse(stream, error as UpstreamError)
    return true
  }

  async #caughtUp(builder: RoundBuilder, priorityMin: number): Promise<ReplicatorState> {
    this.#loop.nowWanted = false
    if (priorityMin === 0) {
      this.#parts.link.isOverridden = false
      this.#parts.health.oldestTimestamp = this.#hasNews ? this.#parts.clock.now() : null
      this.#parts.refusals.caughtUp()
      this.#parts.standing.read(builder.done())
      await findLeftOut(this.#parts)
    }
    this.#parts.retries.over()
    return { kind: 'idle' }
  }

  #partitionsChanged(builder: RoundBuilder): boolean {
    if (this.#isStale) return true
    const served = this.#parts.standing.wanted.filter(({ stream }) => !this.#parts.refusals.isOut(stream))
    return builder.foundUnknown || served.length !== builder.positions.size
  }

  async #findOldest(): Promise<void> {
    const { health, log, standing } = this.#parts
    health.oldestTimestamp = await health.findOldest(log, standing.wanted, standing.done)
  }

  async #dropSession(): Promise<void> {
    const builder = this.#builder
    this.#builder = null
    if (builder === null) return
    await builder.close().catch(() => {})
    this.#parts.standing.read(builder.done())
  }
}
