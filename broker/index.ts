/** The broker's public surface: what sync and the command line may use. */
export { AssertionError, assert, unreachable } from './assert.ts'
export {
  certificateStatus,
  certificatesIn,
  isCertificateDue,
  type Validity,
  validityOf,
} from './certificate-dates.ts'
export { EARLIEST_TIME, type Trust } from './clock/trust.ts'
export * from './errors.ts'
export { LimitedLog } from './limited-log.ts'
export { filterBatch, trimBatch } from './log/batch-trim.ts'
export type { Keep } from './log/compaction/batch-filter.ts'
export { KeyMap } from './log/compaction/key-map.ts'
export { type ScannedRecord, scanRecords } from './log/compaction/key-scan.ts'
export { murmur2, partitionOfHash } from './log/murmur2.ts'
export * from './log/record-batch.ts'
export * from './log/source.ts'
export { cursor, readVarint, varintSize, writeVarint } from './log/varint.ts'
export { type LogSink, silentSink } from './log-sink.ts'
export type { LocalMessage, LocalPublisher, Published } from './mqtt/local-publisher.ts'
export { openLog } from './open-log.ts'
export type { DownlinkStatus, LinkStatus, UpstreamEvent, UpstreamStatus } from './operations/operations.ts'
export { crc32c } from './storage/crc32c.ts'
export type { FactStore } from './storage/fact-store.ts'
export { nodeDisk } from './storage/node-disk.ts'
export { type Clock, systemClock } from './timers.ts'
export { VERSION } from './version.ts'
