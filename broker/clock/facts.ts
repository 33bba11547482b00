/** What the log asks of the clock, and what a reader learns of the clock behind a record's timestamp. */

/** The clock facts of a record that a trusted clock did not stamp. */
export interface RecordClock {
  readonly trust: 'untrusted' | 'corrected'
  /** ms since 1970; where it is known by how much the clock was wrong. */
  readonly correctedTimestamp?: number
}

/** The clock facts of a commit's records, by their stored timestamps; null for those that a trusted clock stamped. */
export type CommitClock = (timestamp: number) => RecordClock | null

/** Of one chain. */
export interface ClockFacts {
  /** By the commit that holds the records; null where a trusted clock stamped all of them. */
  of(commit: number): CommitClock | null
  /**
   * Commits at which something begins, in order: a batch that is put together of several commits may hold none from before one of
   * them together with that one or a later one.
   */
  boundaries(): number[]
  /** True where a trusted clock stamped every record of these commits, both ends included. */
  isTrustedThroughout(fromCommit: number, toCommit: number): boolean
}
