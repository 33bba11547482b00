/** What the metrics are made of. */
import type { Alarm } from '../alarms/alarm.ts'
import type { BrokerStatus, DownlinkStatus, Operations, StreamReport, UpstreamStatus } from '../operations.ts'
import { streamReports } from '../operations.ts'
import type { WearReport } from '../wear/wear.ts'
import { type ProcessFacts, processFacts } from './process-facts.ts'

export interface MetricsReport {
  /** ms since 1970, as the system's clock has it */
  readonly now: number
  readonly broker: BrokerStatus
  readonly streams: readonly StreamReport[]
  readonly upstreams: readonly UpstreamStatus[]
  readonly downlinks: readonly DownlinkStatus[]
  readonly alarms: readonly Alarm[]
  readonly wear: WearReport
  readonly process: ProcessFacts
}

export function metricsReport(operations: Operations, now = Date.now()): MetricsReport {
  const { log, tables, sync } = operations
  return {
    now,
    broker: operations.status(),
    streams: streamReports(log, tables),
    upstreams: sync?.status() ?? [],
    downlinks: sync?.downlinks?.() ?? [],
    alarms: operations.alarms(),
    wear: operations.wear(),
    process: processFacts(),
  }
}
