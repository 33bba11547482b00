/** What one case of the log's benchmark took, in a process that does nothing else. */
import { deviceBytesWritten, memory } from '../process-usage.ts'
import type { LatencyBuckets } from '../statistics.ts'
import type { LogResult } from './job.ts'

export interface Start {
  readonly at: number
  readonly cpu: NodeJS.CpuUsage
  readonly deviceBytes: number
}

export function started(): Start {
  return { at: performance.now(), cpu: process.cpuUsage(), deviceBytes: deviceBytesWritten() }
}

export interface Work {
  readonly records: number
  readonly recordBytes: number
  /** Of the commits, where there are any. */
  readonly latency?: LatencyBuckets
}

export function finished(start: Start, { records, recordBytes, latency }: Work): LogResult {
  const { user, system } = process.cpuUsage(start.cpu)
  return {
    records,
    payloadBytes: records * recordBytes,
    seconds: (performance.now() - start.at) / 1000,
    cpuSeconds: (user + system) / 1e6,
    commitP50Ms: (latency?.quantile(0.5) ?? Number.NaN) / 1000,
    commitP99Ms: (latency?.quantile(0.99) ?? Number.NaN) / 1000,
    deviceBytes: deviceBytesWritten() - start.deviceBytes,
    rssPeakBytes: memory('self').rssPeakBytes,
  }
}
