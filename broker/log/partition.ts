/** One partition at run time: where it stands, and the batch that is being filled for the next commit. */
import type { BatchBuilder } from './record-batch.ts'
import type { Segment } from './segment.ts'

/** A stretch of the partition's offsets that one sealed segment holds. */
export interface Span {
  readonly segment: Segment
  readonly firstOffset: number
  readonly nextOffset: number
  readonly records: number
  readonly bytes: number
  readonly maxTimestamp: number
}

export class LogPartition {
  readonly stream: string
  readonly partition: number
  /** The catalog's id, unique over all streams. */
  readonly id: number
  /** All offsets below are fsynced; the next commit's batch starts here. */
  durableOffset = 0
  /** Where the batch of the last commit that had records of this partition starts. */
  commitOffset = 0
  logStartOffset = 0
  /** Sealed segments that hold records of this partition, in order. */
  spans: Span[] = []
  /** The batch of the open commit, when it has records of this partition. */
  open: BatchBuilder | null = null

  constructor(stream: string, partition: number, id: number) {
    this.stream = stream
    this.partition = partition
    this.id = id
  }

  /** The first sealed span that ends after `offset`, by its place in `spans`; their count when the active segment does. */
  findSpan(offset: number): number {
    let low = 0
    let high = this.spans.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.spans[middle]!.nextOffset > offset) high = middle
      else low = middle + 1
    }
    return low
  }
}
