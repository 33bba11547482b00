/** A backlog on its way to Kafka: what a process is asked and what it answers. */

import type { KafkaUpstreamConfig } from '../../../sync/index.ts'
import { type Moment, usedSince } from '../process-usage.ts'

export type SyncJob =
  | { readonly kind: 'prepare'; readonly directory: string; readonly records: number }
  | { readonly kind: 'headwater'; readonly directory: string; readonly upstream: KafkaUpstreamConfig }
  | PeerJob

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
}

export function resultOf(start: Moment, records: number): SyncResult {
  const { seconds, cpuSeconds, rssPeakBytes, rssAnonBytes } = usedSince(start)
  return { records, seconds, cpuSeconds, rssPeakBytes, rssAnonBytes }
}
