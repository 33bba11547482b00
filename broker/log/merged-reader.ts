/**
 * Reads the partitions of one stream together, each in order, merged by the time at which their records were accepted (the corrected one
 * where there is one), as far as they are on disk at that moment. What is not there any more is told with the record that follows.
 */
import type { CommitClock, RecordClock } from '../clock/facts.ts'
import { type LogRecord, readRecords } from './record-batch.ts'
import type { LogSource, StoredBatch } from './source.ts'

export interface MissingOffsets {
  readonly from: number
  /** The first offset after them. */
  readonly to: number
  readonly reason: string
}

export interface MergeableLog extends Pick<LogSource, 'partitions' | 'read'> {
  /** What is to be known of the clock that stamped a batch's records; null where it was trusted. */
  clockOf(batch: Pick<StoredBatch, 'stream' | 'commit'>): CommitClock | null
  /** Offsets of a partition that are known to be lost, in order. */
  lostOffsets(stream: string, partition: number): readonly MissingOffsets[]
}

export interface ReadRecord {
  readonly record: LogRecord
  readonly clock: RecordClock | null
}

/** Where a partition is read. */
export interface LaneRange {
  readonly partition: number
  /** Below the log start: what retention took is told. */
  readonly from: number
  /** Where it ends; null goes on. */
  readonly end: number | null
}

const RETENTION = 'retention'
/** Gaps that wait to be told; what is more is told with them, less exactly. */
export const GAPS_MAX = 64

/** One partition on its way to the reader. */
export class Lane {
  readonly partition: number
  readonly end: number | null
  /** The next offset to be looked for. */
  next: number
  /** From `next` to here the log has nothing that it can give; 0 where that is not known. */
  emptyTo = 0
  head: ReadRecord | null = null
  /** Offsets before the head that are not there, and were not told yet. */
  readonly gaps: MissingOffsets[] = []
  /** Of `gaps`, the first one since a record was handed on: those after it are one stretch of offsets. */
  #stretch = 0
  /** Offsets that are known to be lost. */
  #holes: readonly MissingOffsets[] = []
  #records: Iterator<ReadRecord> = [][Symbol.iterator]()
  /** The offset after the batches that are read: beyond its last record where later ones were compacted away. */
  #recordsEnd = 0

  constructor({ partition, from, end }: LaneRange) {
    this.partition = partition
    this.next = from
    this.end = end
  }

  /** @param durableOffset of the partition */
  async refill(log: MergeableLog, stream: string, durableOffset: number, bytesMax: number): Promise<void> {
    const end = Math.min(this.end ?? durableOffset, durableOffset)
    while (this.head === null && this.next < end) {
      const batches = await log.read(stream, this.partition, this.next, bytesMax)
      if (batches.length === 0) {
        this.emptyTo = end
        return
      }
      this.#holes = log.lostOffsets(stream, this.partition)
      this.#passRetention(log, stream, batches[0]!.baseOffset)
      this.#records = recordsOf(log, batches)
      this.#recordsEnd = batches.at(-1)!.nextOffset
      this.advance()
    }
  }

  #passRetention(log: MergeableLog, stream: string, foundOffset: number): void {
    if (foundOffset <= this.next) return
    const state = log.partitions().find((own) => own.stream === stream && own.partition === this.partition)
    const to = Math.min(state?.logStartOffset ?? 0, foundOffset)
    if (to <= this.next) return
    this.addGap({ from: this.next, to, reason: RETENTION })
    this.next = to
  }

  /** Neighbours with one reason are one gap. */
  addGap({ from, to, reason }: MissingOffsets): void {
    const last = this.gaps.at(-1)
    const isNext = last !== undefined && this.gaps.length > this.#stretch
    const isSame = isNext && last.to === from && last.reason === reason
    if (isSame || (isNext && this.gaps.length >= GAPS_MAX)) {
      const both = last.reason === reason ? reason : 'several reasons'
      this.gaps[this.gaps.length - 1] = { from: last.from, to, reason: both }
    } else this.gaps.push({ from, to, reason })
  }

  /** So many were told, with a record that was handed on. */
  told(count: number): void {
    this.gaps.splice(0, count)
    this.#stretch = this.gaps.length
  }

  /** @returns false when it ran dry. */
  advance(): boolean {
    for (;;) {
      const { done, value } = this.#records.next()
      if (done === true || (this.end !== null && value.record.offset >= this.end)) {
        this.next = Math.max(this.next, this.#recordsEnd)
        this.head = null
        return false
      }
      // The first batch may begin below the position.
      if (value.record.offset < this.next) continue
      for (const hole of this.#holes) {
        if (hole.to > this.next && hole.from < value.record.offset) this.addGap(hole)
      }
      this.next = value.record.offset + 1
      this.head = value
      return true
    }
  }
}

export class MergedReader {
  readonly #log: MergeableLog
  readonly #stream: string
  readonly #bytesMax: number
  readonly lanes: readonly Lane[]

  /** @param bytesMax read ahead of each partition, apart from one batch */
  constructor(log: MergeableLog, stream: string, ranges: readonly LaneRange[], bytesMax: number) {
    this.#log = log
    this.#stream = stream
    this.#bytesMax = bytesMax
    this.lanes = ranges.map((range) => new Lane(range))
  }

  /** Gives each lane without a head its next records, if there are any. @throws LogUnavailableError, or where the disk is at fault */
  async refill(): Promise<void> {
    const durable = new Map<number, number>()
    for (const state of this.#log.partitions()) {
      if (state.stream === this.#stream) durable.set(state.partition, state.durableOffset)
    }
    await Promise.all(
      this.lanes.map((lane) =>
        lane.refill(this.#log, this.#stream, durable.get(lane.partition) ?? 0, this.#bytesMax),
      ),
    )
  }

  /** The lane whose head is the oldest; null where none has one. Once a lane ran dry, its next record may be older: `refill` first. */
  oldest(): Lane | null {
    let best: Lane | null = null
    for (const lane of this.lanes) {
      if (lane.head === null) continue
      if (best === null || timeOf(lane.head) < timeOf(best.head!)) best = lane
    }
    return best
  }
}

function* recordsOf(log: MergeableLog, batches: readonly StoredBatch[]): Generator<ReadRecord> {
  for (const batch of batches) {
    const clockOf = log.clockOf(batch)
    for (const record of readRecords(batch.bytes)) {
      yield { record, clock: clockOf === null ? null : clockOf(record.timestamp) }
    }
  }
}

export function timeOf({ record, clock }: ReadRecord): number {
  return clock?.correctedTimestamp ?? record.timestamp
}
