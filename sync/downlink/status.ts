/** What a downlink tells about itself. */
import type { Backoff } from '../retries.ts'
import type { CommonState } from '../state-loop.ts'
import type { PassedOver } from './mapping.ts'

/**
 * connecting  asking the topic what it has
 * reading     there is more to read
 * idle        all there is has been delivered
 * backoff     waiting before the next try
 * paused      by a person
 * stopped     by an error that a person must look at
 * closed      this process is ending
 */
export type DownlinkState = RunningState | CommonState

export type RunningState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'reading' }
  | { readonly kind: 'idle' }
  | Backoff

export interface DownlinkPartitionStatus {
  readonly partition: number
  /** The next offset; all below are done. */
  readonly position: number
  /** The one after the newest committed record, as last seen. */
  readonly endOffset: number
  readonly lagRecords: number
}

export interface DownlinkStatus {
  readonly name: string
  readonly address: string
  readonly topic: string
  readonly state: DownlinkState['kind']
  /** ms since 1970 of the last change of state */
  readonly since: number
  /** In backoff: when the next try is, ms since 1970; failures in a row. */
  readonly retryAt: number | null
  readonly tries: number
  readonly lagRecords: number
  readonly partitions: readonly DownlinkPartitionStatus[]
  /** Since the start of this process: published, and passed over by reason. */
  readonly delivered: number
  readonly passedOver: Readonly<Record<PassedOver, number>>
  /** Deliveries to a subscriber that did not acknowledge in time. */
  readonly unacknowledged: number
  /** Records that the topic no longer had when they were to be read. */
  readonly lost: number
  /** ms since 1970 of the last message that was delivered */
  readonly lastDeliveredAt: number | null
  /** Since the topic answered last, by a clock that nobody sets; of one that is well a minute at most, as long as what came is delivered. null before the first answer. */
  readonly answerAgeSeconds: number | null
  readonly lastError: {
    readonly code: string
    readonly message: string
    readonly hint: string
    readonly at: number
  } | null
}
