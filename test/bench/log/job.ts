/** What a process of the log's benchmark is asked and what it answers. */

export interface StreamShape {
  readonly name: string
  readonly partitions: number
  /** Old records go beyond this much; without it all are kept. */
  readonly retentionBytes?: number
  readonly isCompacted?: boolean
}

/** What is written: commits of the same shape. All streams are of one chain. */
export interface Shape {
  readonly recordBytes: number
  readonly streams: readonly StreamShape[]
  /** Partitions that each commit writes to, in turn over those of all streams. */
  readonly partitionsPerCommit: number
  readonly recordsPerCommit: number
  /** Records have one of so many keys, drawn at random, each always in the same partition. */
  readonly keys?: number
}

export interface AppendJob {
  readonly kind: 'append' | 'append to a file'
  readonly directory: string
  readonly shape: Shape
  readonly commits: number
  /** Nothing is fsynced: for a log that is only made to be measured afterwards. */
  readonly isHasty?: boolean
  /** The time taken ends when retention and compaction have done all that they find to do. */
  readonly isTidied?: boolean
  /** So many looks at the process's memory, evenly over the records. */
  readonly samples?: number
}

export interface OpenJob {
  readonly kind: 'read batches' | 'read in turns' | 'read in commit order' | 'open'
  readonly directory: string
}

export interface CompactJob {
  readonly kind: 'compact'
  readonly directory: string
  readonly shape: Shape
}

export interface PacedJob {
  readonly kind: 'paced'
  readonly directory: string
  readonly shape: Shape
  readonly recordsPerSecond: number
  /** Measured without compaction, half before it and half after. */
  readonly seconds: number
}

/** One record of each of so many keys; then, in another process, the table of them: built, and asked. */
export interface TableJob {
  readonly kind: 'fill a table' | 'build a table'
  readonly directory: string
  readonly partitions: number
  readonly keys: number
  readonly recordBytes: number
  readonly lookups: number
}

export type LogJob = AppendJob | OpenJob | CompactJob | PacedJob | TableJob

export type LogResult = {
  readonly records: number
  readonly payloadBytes: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly commitP50Ms: number
  readonly commitP99Ms: number
  readonly deviceBytes: number
  /** Bytes dirtied and then gone before they had to be written: not in `deviceBytes`. */
  readonly cancelledBytes: number
  readonly rssBytes: number
  readonly rssPeakBytes: number
  readonly rssAnonBytes: number
}

export interface MemorySample {
  readonly records: number
  readonly rssBytes: number
  readonly rssAnonBytes: number
}

export type OpenResult = LogResult & {
  readonly segments: number
  readonly storedBytes: number
  /** Of them, those in the active segment, which a start reads whole. */
  readonly activeBytes: number
}

export type AppendResult = LogResult & {
  readonly segments: number
  /** Bytes of stored batches, at the end. */
  readonly storedBytes: number
  /** Of them, those in streams without a retention. */
  readonly keptBytes: number
  readonly rewrittenBytes: number
  readonly compactions: number
  readonly compactedBytes: number
  readonly samples: readonly MemorySample[]
}

export type CompactResult = LogResult & {
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly bytesWritten: number
  readonly recordsRemoved: number
  readonly rssBeforeBytes: number
}

export type TableResult = LogResult & {
  /** Bytes of the table's files. */
  readonly tableBytes: number
  /** By `QUANTILES`, ms of a lookup of a key that is there, one after another. */
  readonly lookupMs: readonly number[]
  /** The same of keys that are not there. */
  readonly missMs: readonly number[]
  /** A scan of all entries. */
  readonly scannedPerSecond: number
}

export const QUANTILES = [0.5, 0.9, 0.99, 0.999] as const

export interface PacedResult {
  readonly compactionSeconds: number
  readonly recordsPerSecond: number
  /** By `QUANTILES`, ms from when a record was due to its commit. */
  readonly aloneMs: readonly number[]
  readonly besideMs: readonly number[]
}

export const STREAM = 'bench'

export function oneStream(partitions: number): StreamShape[] {
  return [{ name: STREAM, partitions }]
}
