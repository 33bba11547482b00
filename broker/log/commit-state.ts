/**
 * State that is derived from the log and committed with it, such as the QoS 2 packet ids in flight. What is added to an open
 * commit becomes durable with the commit's records, in one write; after a restart or a failed commit the state is
 * restored from the active segment's head and its notes.
 */
export interface CommitState {
  /** The state's name in notes. On disk: never change. */
  readonly name: string
  /** What was added since the last call, for the note of the commit that is sealed now; undefined when nothing. */
  takePending(commit: number): unknown
  /** Starts over from a snapshot; undefined is the empty state. Pending additions are dropped. */
  restore(snapshot: unknown): void
  /** Applies what an earlier `takePending` returned for this commit. */
  apply(added: unknown, commit: number): void
  /**
   * The whole state without what is pending, for a new segment's head. Small: it is rewritten at every roll.
   * @param firstCommit of the chain's first segment: nobody asks about earlier ones any more
   */
  snapshot(firstCommit: number): unknown
}
