/**
 * What an upstream holds, read back for `headwater sync verify`. The verification knows no engine: each upstream that can be
 * read back gives an AuditSource (create.ts).
 */
import type { LogIdentity, LogRecord, PartitionState } from '../../broker/index.ts'

/** Records of one partition of the edge that stand one behind the other in one place upstream. */
export interface AuditRun {
  readonly kind: 'records'
  /** Where they stand: within a place a partition's offsets only rise. */
  readonly place: string
  readonly stream: string
  readonly partition: number
  /** Each with the edge's offset, without what the upstream added. Keys and values are valid until the next run. */
  readonly records: readonly LogRecord[]
  /** The upstream has put its own time in the place of the records'. */
  readonly hasOwnTime?: boolean
}

/** Of this partition records may be gone here, and nobody can say which: they are not called missing. */
export interface AuditGap {
  readonly kind: 'gap'
  /** It ends at the next record of this place. */
  readonly place: string
  readonly stream: string
  readonly partition: number
  /** As in "cannot be compared: …" */
  readonly reason: string
}

export type AuditItem = AuditRun | AuditGap

/** What an upstream's filters say of a stream's records. */
export interface RecordWish {
  /** It is not sent, on purpose. */
  leavesOut(record: LogRecord): boolean
  /** Why others may not have been sent either, and nobody can say which; null for none. */
  readonly mayPassOver: string | null
}

/** Records that were passed over because they are not of this log. */
export interface Strangers {
  readonly otherEdges: number
  /** Of this edge's name, but of another incarnation or of a stream that this log does not have. */
  readonly otherLogs: number
  /** They do not say where they are from. */
  readonly unmarked: number
}

export interface AuditSource {
  readonly name: string
  readonly kind: string
  /** For people, without secrets. */
  readonly address: string
  /**
   * All that upstream holds at the moment of the call, of the partitions asked for, place by place in order.
   * @throws UpstreamError
   */
  read(
    identity: LogIdentity,
    partitions: readonly PartitionState[],
    signal: AbortSignal,
  ): AsyncIterable<AuditItem>
  /** Complete when `read` has ended. */
  readonly strangers: Strangers
  close(): Promise<void>
}

/** The edge's side. A running broker is asked for it, or a data directory is open. */
export interface AuditedLog {
  readonly identity: LogIdentity
  /** As they are now. */
  partitions(): Promise<readonly PartitionState[]>
  /**
   * Stored batches of one partition from the one that holds `offset`, some at a time, empty where nothing follows. Their bytes
   * are valid until the next read of this partition.
   */
  read(stream: string, partition: number, offset: number): Promise<readonly Buffer[]>
}
