/** What a table asks of the log, and which of its records the table is made of. */
import { murmur2, partitionOfHash } from '../log/murmur2.ts'
import type { LogIdentity, StoredBatch } from '../log/source.ts'
import type { RecordScan } from './record-scan.ts'

/** Where a partition stands now. */
export interface TablePartition {
  readonly logStartOffset: number
  readonly durableOffset: number
}

/** Offsets that were written once and cannot be read any more. */
export interface LostOffsets {
  readonly from: number
  /** The first offset after them. */
  readonly to: number
  readonly reason: string
}

export interface TableLog {
  readonly identity: LogIdentity
  /** @throws UnknownStreamError */
  stream(name: string): { readonly partitions: readonly TablePartition[] }
  /** Of a partition, in order. Once known they stay so. */
  lostOffsets(stream: string, partition: number): readonly LostOffsets[]
  /** Compaction has removed older values below, and tombstones may follow them. */
  cleanedOffset(stream: string, partition: number): number
  /** Stored batches of one partition from the batch that holds `offset` or the first after it; none at the durable offset. */
  read(stream: string, partition: number, offset: number, bytesMax: number): Promise<StoredBatch[]>
  /** Calls back after each durable commit. @returns the way to stop. */
  onDurable(listener: () => void): () => void
}

/** Why a record is no part of its stream's table. */
export type PassedOver = 'unkeyed' | 'misplaced'

/**
 * A key has one partition, the one where Kafka's partitioner puts it. A record of it in another one is passed over: between two
 * partitions there is no order that would say which one is the latest.
 * @returns the key's murmur2
 */
export function placedHash(scan: RecordScan, partition: number, partitions: number): number | PassedOver {
  const { key } = scan
  if (key === null) return 'unkeyed'
  const hash = murmur2(key)
  return partitionOfHash(hash, partitions) === partition ? hash : 'misplaced'
}
