/** What one case of the log's benchmark took, in a process that does nothing else. */
import { type Moment, usedSince } from '../../process-usage.ts'
import type { LatencyBuckets } from '../../statistics.ts'
import type { LogResult } from '../job.ts'

export interface Work {
  readonly records: number
  readonly recordBytes: number
  /** Of the commits, where there are any. */
  readonly latency?: LatencyBuckets
}

export function finished(start: Moment, { records, recordBytes, latency }: Work): LogResult {
  return {
    records,
    payloadBytes: records * recordBytes,
    commitP50Ms: (latency?.quantile(0.5) ?? Number.NaN) / 1000,
    commitP99Ms: (latency?.quantile(0.99) ?? Number.NaN) / 1000,
    ...usedSince(start),
  }
}
