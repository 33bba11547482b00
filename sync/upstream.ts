/**
 * The contract between the replicator and a place that keeps the log upstream. Every implementation passes
 * test/sync/upstream-contract.ts.
 *
 * The upstream owns the position: what `recover` and `send` return is the only truth about what is there. After any
 * error from `send` the caller knows nothing and asks `recover` again.
 */
import type { LogIdentity, PartitionState, StoredBatch } from '../broker/index.ts'

/** Where an upstream stands: for each `partitionKey`, the next offset of the edge's log that it expects. */
export type Positions = ReadonlyMap<string, number>

export interface Recovered {
  readonly positions: Positions
}

/** The batches of one partition in one round: contiguous from `fromOffset`, in order. */
export interface RoundPart {
  readonly stream: string
  readonly partition: number
  /** The upstream's position. The first batch may begin below it; records below are not sent. */
  readonly fromOffset: number
  /** The position after the round. */
  readonly nextOffset: number
  readonly batches: readonly StoredBatch[]
}

/** What is sent and checkpointed at once: all of it is visible upstream afterwards, or none. */
export interface Round {
  readonly parts: readonly RoundPart[]
}

export interface Upstream {
  readonly name: string
  readonly kind: string
  /** Names the place for people, without secrets. */
  readonly address: string
  /**
   * Connects where needed, and finds the positions. Fences earlier processes of this edge where the upstream can.
   * @throws UpstreamError; one that is not `retryable` stops this upstream until a person acts.
   */
  recover(identity: LogIdentity, partitions: readonly PartitionState[]): Promise<Recovered>
  /** Sends one round, exactly once. @returns the positions after it, for the round's partitions. */
  send(round: Round): Promise<Positions>
  /** Drops connections; `recover` may be called again afterwards. */
  disconnect(): Promise<void>
  close(): Promise<void>
}
