/** The API's shapes, by the names that the page uses: they are the broker's own types. */
import type { Operations } from '../../operations/operations.ts'

export type { Alarm } from '../../operations/alarms/alarm.ts'
export type { HistoryReport, HistorySample } from '../../operations/history/history.ts'
export type {
  DownlinkStatus,
  PartitionReport,
  StatusReport,
  StreamReport,
  UpstreamStatus,
} from '../../operations/operations.ts'
export type { Base64, GapJson, RecordJson } from '../../operations/record-json.ts'
export type ClientStatus = ReturnType<Operations['clients']>[number]
