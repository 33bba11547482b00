/** A backlog on its way upstream: what a process is asked and what it answers. */

import type { UpstreamConfig } from '../../../sync/index.ts'
import { type Moment, usedSince } from '../process-usage.ts'

export type SyncJob =
  | {
      readonly kind: 'prepare'
      readonly directory: string
      readonly records: number
      readonly payload: PayloadKind
    }
  | { readonly kind: 'headwater'; readonly directory: string; readonly upstream: UpstreamConfig }
  | PeerJob

/** numbers: 200 B that hardly compress; sensors: a typical stream of small JSON objects. */
export type PayloadKind = 'numbers' | 'sensors'

export interface PeerJob {
  readonly kind: 'peer'
  readonly peer: PeerName
  readonly bootstrap: string
  readonly topic: string
  readonly records: number
}

export type PeerName = 'platformatic' | 'platformatic idempotent' | 'kafkajs' | 'kafkajs idempotent'

export type SyncResult = {
  readonly records: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly rssPeakBytes: number
  readonly rssAnonBytes: number
  /** Written to sockets, and the keys and values that went there; NaN where it was not counted. */
  readonly wireBytes: number
  readonly payloadBytes: number
}

export function resultOf(start: Moment, records: number): SyncResult {
  const { seconds, cpuSeconds, rssPeakBytes, rssAnonBytes } = usedSince(start)
  const uncounted = { wireBytes: Number.NaN, payloadBytes: Number.NaN }
  return { records, seconds, cpuSeconds, rssPeakBytes, rssAnonBytes, ...uncounted }
}
