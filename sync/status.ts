/** What a replicator tells about itself. */
import type { LinkStatus, UpstreamStatus } from '../broker/index.ts'
import type { Clock } from './clock.ts'
import type { Backoff } from './retries.ts'
import type { CommonState } from './state-loop.ts'

/**
 * idle        all that is durable is upstream, but for streams that upstream refuses
 * recovering  connecting, and asking upstream where it stands
 * sending     rounds are on their way
 * backoff     waiting before the next try
 * held        outside its schedule, or over its budget, and disconnected
 * paused      by a person
 * stopped     by an error that a person must look at
 * closed      this process is ending
 */
export type ReplicatorState = RunningState | CommonState

export type RunningState =
  | { readonly kind: 'recovering' }
  | { readonly kind: 'sending'; readonly lingered: boolean }
  | { readonly kind: 'idle' }
  | Backoff
  | { readonly kind: 'held' }

export interface ReplicatorStatus extends UpstreamStatus {
  readonly state: ReplicatorState['kind']
  /** Since the start of this process. */
  readonly rounds: number
}

export type { LinkStatus }

const WINDOW_MS = 10_000
const SAMPLES_MAX = 1000

/** A count a second over a sliding window. */
export class Rate {
  readonly #clock: Clock
  readonly #startedAt: number
  #samples: { at: number; count: number }[] = []

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startedAt = clock.monotonic()
  }

  add(count: number): void {
    this.#samples.push({ at: this.#clock.monotonic(), count })
    if (this.#samples.length > SAMPLES_MAX) this.#samples = this.#samples.slice(-SAMPLES_MAX / 2)
  }

  perSecond(): number {
    const now = this.#clock.monotonic()
    this.#samples = this.#samples.filter((sample) => now - sample.at <= WINDOW_MS)
    const count = this.#samples.reduce((sum, sample) => sum + sample.count, 0)
    const ms = Math.max(1000, Math.min(WINDOW_MS, now - this.#startedAt))
    return Math.round((count * 1000) / ms)
  }
}
