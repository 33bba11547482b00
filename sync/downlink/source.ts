/** Where a downlink reads from: one topic. Kafka is the one there is (kafka-source.ts); a test hands in another. */
import type { RecordHeader } from '../../broker/index.ts'

export interface SourceRecord {
  readonly offset: number
  /** ms since 1970 */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

export interface SourcePartition {
  readonly partition: number
  /** The oldest offset there is, and the one after the newest that is committed. */
  readonly startOffset: number
  readonly endOffset: number
}

export interface SourceTopic {
  readonly cluster: string
  readonly topic: string
  /** Another one when the topic was deleted and made again. */
  readonly topicId: string
  readonly partitions: readonly SourcePartition[]
}

export interface FetchedPartition {
  readonly partition: number
  /** Committed ones, in offset order, none below the position asked for. */
  readonly records: readonly SourceRecord[]
  /** Where to go on: behind the records, and behind what is no record (control records, aborted ones). */
  readonly nextOffset: number
  readonly endOffset: number
}

export interface DownlinkSource {
  readonly address: string
  readonly topic: string
  /** Connects where it has to, and says what the topic is now. @throws UpstreamError */
  open(): Promise<SourceTopic>
  /**
   * Waits a moment for records where there are none.
   * @param positions the next offset of each partition
   * @throws SourceMovedError, UpstreamError
   */
  fetch(positions: ReadonlyMap<number, number>): Promise<FetchedPartition[]>
  disconnect(): Promise<void>
}

/** The topic is not what it was at `open`: a position is out of range, or it is another topic. It is opened again. */
export class SourceMovedError extends Error {}
