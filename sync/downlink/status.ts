/** What a downlink tells about itself. */
import type { DownlinkStatus as ShownDownlink } from '../../broker/index.ts'
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

/** As the broker shows it. */
export interface DownlinkStatus extends ShownDownlink {
  readonly state: DownlinkState['kind']
  readonly passedOver: Readonly<Record<PassedOver, number>>
}
