/**
 * The contract between the replicator and a place that keeps the log upstream. Every implementation passes
 * test/sync/upstream-contract.ts.
 *
 * The upstream owns the position: what `recover` and `send` return is the only truth about what is there. After any
 * error from `send` the caller knows nothing and asks `recover` again.
 */
import type { LogIdentity, PartitionState, StoredBatch, Validity } from '../broker/index.ts'
import type { RefusedStreams } from './refused-streams.ts'

/** For each `partitionKey`, the next offset of the edge's log that is expected. */
export type Positions = ReadonlyMap<string, number>

/** Where an upstream stands in one partition. */
export interface RecoveredPartition {
  /** The next offset of the edge's log that it expects; null when it knows nothing of the partition. */
  readonly next: number | null
  /** `recordProof` (proof.ts) of the record before `next`, as it was sent; null when none was. */
  readonly proof: number | null
  /**
   * The identity of the place that holds the partition: it changes when the data there is gone (another cluster, a
   * topic deleted and created again). A position that the edge remembers counts for the same place alone.
   */
  readonly place: string
  /** The position that upstream had acknowledged, where it lost records since: `next` is what is left, null when nothing is. */
  readonly acknowledged?: number
  /** Only some of the records from `next` to `acknowledged` are lost: upstream takes those alone when all of them come again. */
  readonly isPartly?: boolean
  /**
   * The position that the records there tell, whatever the checkpoint says: behind the last one of this log. Asked when the
   * checkpoint is gone or fell back.
   */
  readonly lookBack?: () => Promise<LookBack>
}

/**
 * `none`: it holds no record of this log. `unknown`: it cannot be told, or not cheaply. All below `next` is there; with `end`, some of
 * what is between the two as well, which upstream does not take again when it comes.
 */
export type LookBack =
  | { readonly kind: 'found'; readonly next: number; readonly end?: number }
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown'; readonly reason: string }

export interface Recovered {
  /** By `partitionKey`, all partitions that `recover` was asked for, but for those of streams that are refused. */
  readonly partitions: ReadonlyMap<string, RecoveredPartition>
  /** Streams that are not taken as they are, while the others are: nothing of them is sent before they are asked for again. */
  readonly refused?: RefusedStreams
}

/**
 * The batches of one partition in one round: from `fromOffset`, in order, without what retention removed and what this
 * upstream's filters leave out. All below `nextOffset` is done with afterwards, whether it was sent or left out.
 */
export interface RoundPart {
  readonly stream: string
  readonly partition: number
  /** The upstream's position. The first batch may begin below it; records below are not sent. */
  readonly fromOffset: number
  /** The position after the round: where the last batch ends, or further where records behind it are left out. */
  readonly nextOffset: number
  /** None where all records from `fromOffset` to `nextOffset` are left out: only the position moves. */
  readonly batches: readonly StoredBatch[]
  /** The proof of the record before `nextOffset` where that record is left out; `partProof` knows. */
  readonly proof?: number | null
}

/**
 * What is sent and acknowledged at once; one part a partition. Each record is visible upstream together with the position
 * behind it. After an error Kafka and an archive show all of the round or none; NATS may show parts of it, or the
 * beginning of a part: `recover` tells how far each partition came, and nothing more is needed to go on.
 */
export interface Round {
  readonly parts: readonly RoundPart[]
}

export interface Upstream {
  readonly name: string
  readonly kind: string
  /** Names the place for people, without secrets. */
  readonly address: string
  /** How long the certificate is good that this device shows upstream; null where it shows none, or not yet. */
  readonly certificate?: Validity | null
  /**
   * Connects where needed, and finds the positions of what is asked for, which may be a part of what was asked before. Fences earlier processes of this edge where the upstream can. After an
   * error that is not `retryable` it is called again only when a person said so. Where all streams are refused it may throw why one is.
   * @throws UpstreamError; one that is not `retryable` stops this upstream until a person acts.
   */
  recover(identity: LogIdentity, partitions: readonly PartitionState[]): Promise<Recovered>
  /**
   * Sends one round, exactly once, for partitions that the last `recover` has found. @returns the positions after it.
   * @throws UpstreamError; one that is about a `stream` says that a round without that stream may be taken, after `recover`
   */
  send(round: Round): Promise<Positions>
  /** Drops connections, and makes a `send` under way fail soon; `recover` may be called again afterwards. */
  disconnect(): Promise<void>
  close(): Promise<void>
  /**
   * Bytes that went over the link since the start, tries that failed included; may be left out where nobody counts them: then the
   * bytes of the rounds' batches are taken for it, for bandwidth and data budgets.
   */
  readonly wireBytes?: number | undefined
}
