/** What a replicator tells about itself. */
import type { HeadwaterError } from '../broker/index.ts'
import type { Clock } from './clock.ts'

/**
 * idle        all that is durable is upstream
 * recovering  connecting, and asking upstream where it stands
 * sending     rounds are on their way
 * backoff     waiting before the next try
 * paused      by a person
 * stopped     by an error that a person must look at
 * closed      this process is ending
 */
export type ReplicatorState =
  | { readonly kind: 'recovering' }
  | { readonly kind: 'sending'; readonly lingered: boolean }
  | { readonly kind: 'idle' }
  /** `until` is for people, ms since 1970; `wakeAt` is monotonic, so that a clock that is set does not change the wait. */
  | { readonly kind: 'backoff'; readonly until: number; readonly wakeAt: number }
  | { readonly kind: 'paused' }
  | { readonly kind: 'stopped'; readonly error: HeadwaterError }
  | { readonly kind: 'closed' }

export interface ReplicatorPartitionStatus {
  readonly stream: string
  readonly partition: number
  /** The next offset that upstream expects, as last known; null when nothing is known yet. */
  readonly position: number | null
  readonly durableOffset: number
  readonly lagRecords: number
}

export interface ReplicatorStatus {
  readonly name: string
  readonly kind: string
  readonly address: string
  readonly state: ReplicatorState['kind']
  /** ms since 1970 of the last change of state */
  readonly since: number
  /** In backoff: when the next try is, ms since 1970; failures in a row. */
  readonly retryAt: number | null
  readonly tries: number
  readonly lagRecords: number
  /** Age of the oldest record that upstream does not have, as far as it has been read; null when none is known. */
  readonly lagSecondsOldest: number | null
  readonly partitions: readonly ReplicatorPartitionStatus[]
  /** Since the start of this process. */
  readonly sentRecords: number
  readonly sentBytes: number
  readonly rounds: number
  /** ms since 1970 of the last round that upstream acknowledged */
  readonly lastAckAt: number | null
  readonly lastError: {
    readonly code: string
    readonly message: string
    readonly hint: string
    readonly at: number
  } | null
  /** Records a second over the last ten seconds. */
  readonly recordsPerSecond: number
}

const WINDOW_MS = 10_000
const SAMPLES_MAX = 1000

/** Records a second over a sliding window. */
export class Rate {
  readonly #clock: Clock
  readonly #startedAt: number
  #samples: { at: number; records: number }[] = []

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startedAt = clock.monotonic()
  }

  add(records: number): void {
    this.#samples.push({ at: this.#clock.monotonic(), records })
    if (this.#samples.length > SAMPLES_MAX) this.#samples = this.#samples.slice(-SAMPLES_MAX / 2)
  }

  perSecond(): number {
    const now = this.#clock.monotonic()
    this.#samples = this.#samples.filter((sample) => now - sample.at <= WINDOW_MS)
    const records = this.#samples.reduce((sum, sample) => sum + sample.records, 0)
    const ms = Math.max(1000, Math.min(WINDOW_MS, now - this.#startedAt))
    return Math.round((records * 1000) / ms)
  }
}
