/** A stream at run time, and what it holds. */
import type { Chain } from './chain.ts'
import type { LogPartition } from './partition.ts'
import type { StreamState } from './source.ts'
import type { StreamPolicy } from './stream-policy.ts'

/** A stream to append to. */
export interface LogStream {
  readonly name: string
  readonly policy: StreamPolicy
  readonly chain: Chain
  readonly partitions: readonly LogPartition[]
}

export function streamState({ name, policy, chain, partitions }: LogStream): StreamState {
  return {
    stream: name,
    partitions: partitions.length,
    records: partitions.map((partition) => recordsOf(chain, partition)),
    bytes: bytesOf(chain, partitions),
    droppedRecords: chain.row.facts.dropped?.[name] ?? 0,
    isCompacted: policy.compacts,
    priority: policy.priority,
    policy,
  }
}

/** Stored batches of these partitions from their log starts on; a segment that holds both sides counts whole. */
function bytesOf(chain: Chain, partitions: readonly LogPartition[]): number {
  let bytes = 0
  for (const { id, spans, logStartOffset } of partitions) {
    for (const span of spans) if (span.nextOffset > logStartOffset) bytes += span.bytes
    bytes += chain.row.open?.index.partitions.get(id)?.bytes ?? 0
  }
  return bytes
}

/** Records from the log start on; of a segment that holds both sides as many as it has offsets there, at most. */
function recordsOf(chain: Chain, { id, spans, logStartOffset }: LogPartition): number {
  const active = chain.row.open?.index.partitions.get(id)
  let records = active?.records ?? 0
  for (const span of spans) records += Math.max(0, Math.min(span.records, span.nextOffset - logStartOffset))
  return records
}
