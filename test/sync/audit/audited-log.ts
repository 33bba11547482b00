/** A log in memory as the verification sees it, and sources made by hand. */
import { type LogRecord, partitionKey, readRecords } from '../../../broker/index.ts'
import type { AuditedLog, AuditItem, AuditSource } from '../../../sync/audit/source.ts'
import { type AuditReport, type VerifyRequest, verifyUpstream } from '../../../sync/audit/verify.ts'
import type { MemoryLog } from '../memory-log.ts'

export function auditedLog(log: MemoryLog, readBytes = 200): AuditedLog {
  return {
    identity: log.identity,
    partitions: async () => log.partitions(),
    read: async (stream, partition, offset) =>
      (await log.read(stream, partition, offset, readBytes)).map(({ bytes }) => bytes),
  }
}

/** The end of each partition: all of it is upstream. */
export function ends(log: MemoryLog): Map<string, number> {
  return new Map(
    log.partitions().map((state) => [partitionKey(state.stream, state.partition), state.durableOffset]),
  )
}

export function recordsOf(log: MemoryLog, stream: string, partition: number): LogRecord[] {
  return log.commits
    .filter((batch) => batch.stream === stream && batch.partition === partition)
    .flatMap(({ bytes }) => [...readRecords(bytes)])
}

export function verify(
  log: MemoryLog,
  source: AuditSource,
  request: Partial<VerifyRequest> = {},
): Promise<AuditReport> {
  const whole = { positions: ends(log), ...request }
  return verifyUpstream(auditedLog(log), source, whole, () => {}, new AbortController().signal)
}

export function handSource(items: readonly AuditItem[]): AuditSource {
  return {
    name: 'hand',
    kind: 'hand',
    address: 'nowhere',
    strangers: { otherEdges: 0, otherLogs: 0, unmarked: 0 },
    async *read() {
      yield* items
    },
    close: async () => {},
  }
}
