/** What may go from a stream, and when: given by the configuration at each start, never stored. */

export interface StreamPolicy {
  /** Old records go by size or age. */
  readonly deletes: boolean
  /** The newest record of each key stays, older ones go. */
  readonly compacts: boolean
  /** The newest bytes that are kept at least, of all partitions together; null is no limit. */
  readonly retentionBytes: number | null
  /** How long a record is kept at least; null is for ever. */
  readonly retentionMs: number | null
  /** What happens to records that an upstream has not got when they would have to go. */
  readonly unsynced: 'keep' | 'drop-oldest'
  /** When the disk is full, streams with a lower one give way first. */
  readonly priority: number
  /** How long a tombstone is seen after older values of its key are gone. */
  readonly tombstoneMs: number
}

export const DEFAULT_POLICY: StreamPolicy = {
  deletes: true,
  compacts: false,
  retentionBytes: null,
  retentionMs: null,
  unsynced: 'keep',
  priority: 5,
  tombstoneMs: 86_400_000,
}

/** What the disk may hold. */
export interface DiskBudget {
  /** Bytes that all segments may take; null is as many as the disk has. */
  readonly bytesMax: number | null
  /** Bytes of the disk that are left free: room to commit what was admitted, to roll and to rewrite. */
  readonly reserveBytes: number
}

export const DEFAULT_BUDGET: DiskBudget = { bytesMax: null, reserveBytes: 134_217_728 }
