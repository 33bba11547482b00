/**
 * What the log shows to those who read it: consumers, the replicator, the command line. Readers hold no locks and never
 * see a record that is not fsynced.
 */

import type { StreamPolicy } from './stream-policy.ts'

export interface LogIdentity {
  /** The edge's name, stable over its life: the group and transactional id upstream. */
  readonly edge: string
  /** A UUID that changes when the log's identity does: a cloned card, a restored backup. */
  readonly incarnation: string
}

export interface PartitionState {
  readonly stream: string
  readonly partition: number
  /** The first offset that can be read. */
  readonly logStartOffset: number
  /** All offsets below are fsynced: the next one a reader waits for. */
  readonly durableOffset: number
}

export interface StreamState {
  readonly stream: string
  readonly partitions: number
  /** By partition: records that can be read. */
  readonly records: readonly number[]
  /** Bytes of stored batches. */
  readonly bytes: number
  /** Records that retention took before every upstream had them, ever. */
  readonly droppedRecords: number
  /** Older records of a key go. */
  readonly isCompacted: boolean
  /** From 0 to 9, 5 where it is not given: the higher goes upstream first, the lower gives way when the disk is full. */
  readonly priority?: number
  /** What may go, and when; as the configuration of who opened the log has it. */
  readonly policy?: StreamPolicy
}

/** One stored RecordBatch v2 (record-batch.ts): its bytes are as they stand on disk, real base offset and CRC included. */
export interface StoredBatch {
  readonly stream: string
  readonly partition: number
  readonly baseOffset: number
  /** The offset after the last one that the batch covers. */
  readonly nextOffset: number
  readonly bytes: Buffer
  /** The commit that holds it, the last one where it was put together of several; for `clockOf`. */
  readonly commit?: number
}

/** `stream/partition`, the key by which positions are kept outside the log. */
export function partitionKey(stream: string, partition: number): string {
  return `${stream}/${partition}`
}

/** Where a cursor puts the batches that it copies: memory that its reader uses again when he is done with them. */
export interface BatchMemory {
  copy(bytes: Buffer): Buffer
  /** Nobody reads it any more. Also called with buffers that are not of this memory: they are passed over. */
  release(copied: Buffer): void
}

/** Reads many partitions in commit order, each from its own position; for the replicator. */
export interface LogCursor {
  /**
   * The next stored batches, at least one when any is durable past the cursor, none when it has caught up.
   * Within a partition they are in offset order without gap, but for what retention removed. The first batch of a
   * partition may begin below the position asked for; the reader skips those records.
   */
  next(bytesMax: number): Promise<StoredBatch[]>
  /** Not while `next` is under way. */
  close(): Promise<void>
}

export interface LogSource {
  readonly identity: LogIdentity
  streams(): StreamState[]
  /** All partitions of all streams, in a stable order. */
  partitions(): PartitionState[]
  /**
   * Stored batches of one partition from the batch that holds `offset`; empty where nothing whole follows. It may bring
   * fewer bytes than asked for: what follows is brought by the next read.
   */
  read(stream: string, partition: number, offset: number, bytesMax: number): Promise<StoredBatch[]>
  /**
   * @param from next offset by `partitionKey`; a partition not named starts at its log start offset
   * @param memory for batches; without it they are the reader's for as long as he likes
   */
  openCursor(from: ReadonlyMap<string, number>, memory?: BatchMemory): LogCursor
  /** Calls back after each durable commit; many commits may be one call. @returns the way to stop. */
  onDurable(listener: () => void): () => void
}
