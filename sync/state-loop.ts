/**
 * A loop over states: what a replicator and a downlink are. The step of each state says which one is next; whoever wants something
 * else (a person, the end, news) raises the signal, and the loop sees to it between two steps.
 *
 *   any -> paused -> begin     stopped -> begin, when a person resumes it     any -> closed
 */
import type { HeadwaterError } from '../broker/index.ts'
import { type Clock, Signal } from './clock.ts'
import { Ending } from './ending.ts'

/** What every loop has beside its own states: paused by a person, stopped by an error that a person must look at, at its end. */
export type CommonState =
  | { readonly kind: 'paused' }
  | { readonly kind: 'stopped'; readonly error: HeadwaterError }
  | { readonly kind: 'closed' }

interface AnyState {
  readonly kind: string
}

/** One for each of a loop's own states. */
export type Steps<Own extends AnyState> = {
  readonly [Kind in Own['kind']]: (state: Extract<Own, { kind: Kind }>) => Promise<Own | CommonState>
}

export interface StateLoopParts<Own extends AnyState> {
  readonly clock: Clock
  /** Where it begins, and goes on after a pause or a stop. */
  readonly begin: Own
  readonly steps: Steps<Own>
  /** Before it is paused. */
  disconnect(): Promise<void>
  /** What follows from what a step has thrown. */
  failed(thrown: unknown): Promise<Own | CommonState>
  changed?(from: Own | CommonState, to: Own | CommonState): void
  /** What goes before the state's own step, paused or not. */
  readonly errand?: {
    isWanted(): boolean
    run(state: Own | CommonState): Promise<Own | CommonState>
  }
}

export class StateLoop<Own extends AnyState> {
  readonly signal: Signal
  readonly #parts: StateLoopParts<Own>
  readonly #abandoned = new Ending()
  #state: Own | CommonState
  #since: number
  #running: Promise<void> | null = null
  #resumeWanted = false
  #closeWanted = false
  /** By a person: does not begin, or stops after the step under way. */
  pauseWanted = false
  /** By a person: tries at once. Who does so takes it back. */
  nowWanted = false

  constructor(parts: StateLoopParts<Own>) {
    this.#parts = parts
    this.#state = parts.begin
    this.#since = parts.clock.now()
    this.signal = new Signal(parts.clock)
  }

  get state(): Own | CommonState {
    return this.#state
  }

  /** ms since 1970 of the last change of state */
  get since(): number {
    return this.#since
  }

  get closeWanted(): boolean {
    return this.#closeWanted
  }

  /** Something goes before the step under way, which should come to its end. */
  get isInterrupted(): boolean {
    return this.pauseWanted || this.#closeWanted || (this.#parts.errand?.isWanted() ?? false)
  }

  /** @returns false when it runs already */
  start(): boolean {
    if (this.#running !== null) return false
    this.#running = this.#run()
    return true
  }

  pause(): void {
    this.pauseWanted = true
    this.signal.raise()
  }

  /** Goes on after `pause`, or after an error that stopped it. */
  resume(): void {
    this.pauseWanted = false
    this.#resumeWanted = true
    this.signal.raise()
  }

  now(): void {
    this.nowWanted = true
    this.signal.raise()
  }

  /** Ends after the step under way; `ended` tells when. */
  close(): void {
    this.#closeWanted = true
    this.signal.raise()
  }

  /** The step under way is not waited for any more. */
  abandon(): void {
    this.#abandoned.end()
  }

  /** At once where it never began. */
  async ended(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, failed, changed } = this.#parts
    while (this.#state.kind !== 'closed') {
      const step = this.#step(this.#state).catch((thrown) => failed(thrown))
      const next = (await this.#abandoned.within(step)) ?? ({ kind: 'closed' } as const)
      const before = this.#state
      if (next.kind !== before.kind) this.#since = clock.now()
      this.#state = next
      if (next.kind !== before.kind) changed?.(before, next)
    }
  }

  async #step(state: Own | CommonState): Promise<Own | CommonState> {
    const { steps, disconnect, errand } = this.#parts
    if (this.#closeWanted) return { kind: 'closed' }
    if (this.pauseWanted && state.kind !== 'paused') {
      await disconnect()
      return { kind: 'paused' }
    }
    if (errand?.isWanted()) return errand.run(state)
    if (state.kind === 'paused') return this.#paused(state)
    if (state.kind === 'stopped') return this.#stopped(state)
    const step = steps[state.kind as Own['kind']] as (state: AnyState) => Promise<Own | CommonState>
    return step(state)
  }

  async #paused(state: Own | CommonState): Promise<Own | CommonState> {
    this.#resumeWanted = false
    if (this.pauseWanted) await this.signal.wait()
    return this.pauseWanted ? state : this.#parts.begin
  }

  async #stopped(state: Own | CommonState): Promise<Own | CommonState> {
    this.#resumeWanted = false
    await this.signal.wait()
    if (!this.#resumeWanted) return state
    this.#resumeWanted = false
    return this.#parts.begin
  }
}
