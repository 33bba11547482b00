/**
 * Compares one partition: the edge's records in order on one side, on the other what upstream holds as it comes. Where both are in
 * order, record meets record. A record of the edge that upstream has passed over is missing until it comes late; its content
 * is remembered as a CRC meanwhile.
 *
 *   offset that comes   at the cursor -> compared          above -> those between are missing for now, compared
 *                       below: missing for now -> it came late, or by another place; compared by CRC
 *                              gone from the edge -> cannot be compared      else -> duplicated
 *
 * Memory: ranges of faults and of what is gone from the edge, and LATE_MAX CRCs.
 */
import type { LogRecord, PartitionState } from '../../broker/index.ts'
import { EdgeCursor } from './edge-cursor.ts'
import { type OffsetRange, RangeSet } from './range-set.ts'
import { contentCrc, isSameContent } from './record-content.ts'
import type { AuditedLog, AuditGap, AuditRun, RecordWish } from './source.ts'

/** Records passed over whose content is remembered, in case that they come late. */
const LATE_MAX = 200_000
const RANGES_TOLD_MAX = 100

export interface AuditFault {
  readonly records: number
  /** In order; the first hundred. */
  readonly ranges: readonly OffsetRange[]
  readonly rangesLeftOut: number
}

export interface PartitionReport {
  readonly stream: string
  readonly partition: number
  /** The edge's offsets that were compared: from, and the first after them. */
  readonly fromOffset: number
  readonly toOffset: number
  /** Records on both sides, the same in key, value, headers and time. */
  readonly compared: number
  readonly missing: AuditFault
  readonly duplicated: AuditFault
  readonly outOfOrder: AuditFault
  readonly different: AuditFault
  /** Upstream has them of this log, and the log has not written so far. */
  readonly unknown: AuditFault
  readonly notCompared: {
    /** Upstream has them, retention or compaction removed them here. */
    readonly goneFromEdge: number
    /** Removed here before they were sent: upstream never had them. */
    readonly dropped: number
    /** The edge has them; upstream does not, and cannot be blamed: `reasons`. */
    readonly excused: number
    /** Left out on purpose, by this upstream's filters. */
    readonly leftOut: number
    /** Beyond the position: not sent yet, or not known to be acknowledged. */
    readonly notSent: number
    /** Came late, after their content was forgotten. */
    readonly contentUnknown: number
  }
  readonly reasons: readonly string[]
}

export class PartitionAudit {
  readonly #state: PartitionState
  readonly #from: number
  readonly #to: number
  readonly #dropped: number
  readonly #cursor: EdgeCursor
  #head: LogRecord | null = null
  #primed = false
  /** The edge's offset after the last record that the cursor gave. */
  #passed: number
  #compared = 0
  readonly #missing = new RangeSet()
  readonly #excused = new RangeSet()
  readonly #duplicated = new RangeSet()
  readonly #outOfOrder = new RangeSet()
  readonly #different = new RangeSet()
  readonly #unknown = new RangeSet()
  /** Offsets that the edge does not have. */
  readonly #holes = new RangeSet()
  readonly #late = new Map<number, { plain: number; timeless: number }>()
  readonly #lastIn = new Map<string, number>()
  readonly #reasons = new Set<string>()
  /** Places in which records may be gone before the next one. */
  readonly #gaps = new Set<string>()
  readonly #wish: RecordWish | null
  readonly #leftOut = new RangeSet()
  #goneFromEdge = 0
  #contentUnknown = 0

  /**
   * @param from where to begin; what is below is not looked at
   * @param position up to where upstream has acknowledged
   */
  constructor(
    log: AuditedLog,
    state: PartitionState,
    from: number,
    position: number,
    wish: RecordWish | null = null,
  ) {
    const { stream, partition, logStartOffset, durableOffset } = state
    this.#wish = wish
    if (wish !== null && wish.mayPassOver !== null) this.excuse({ place: '', reason: wish.mayPassOver })
    this.#state = state
    this.#to = Math.min(position, durableOffset)
    this.#from = Math.max(from, logStartOffset)
    this.#dropped = Math.max(0, logStartOffset - Math.max(position, from))
    this.#passed = this.#from
    this.#cursor = new EdgeCursor(log, stream, partition, this.#from, Math.max(this.#to, this.#from))
  }

  /** For progress. */
  get done(): number {
    return Math.max(0, Math.min(this.#passed, this.#to) - this.#from)
  }
  get total(): number {
    return Math.max(0, this.#to - this.#from)
  }

  /** What upstream misses from here on until the next record of that place is not its fault. */
  excuse({ place, reason }: Pick<AuditGap, 'place' | 'reason'>): void {
    this.#reasons.add(reason)
    this.#gaps.add(place)
  }

  async take({ place, records, hasOwnTime = false }: AuditRun): Promise<void> {
    for (const record of records) {
      const { offset } = record
      const last = this.#lastIn.get(place) ?? -1
      if (offset > last) this.#lastIn.set(place, offset)
      // Sent since the verification began.
      if (offset >= this.#to && offset >= this.#from) {
        if (offset >= this.#state.durableOffset) addOnce(this.#unknown, offset)
        continue
      }
      if (offset < this.#from) this.#belowStart(offset, offset <= last)
      else {
        if (offset >= this.#passed || this.#head?.offset === offset) await this.#advance(offset)
        if (this.#head?.offset === offset) await this.#meet(record, hasOwnTime)
        else this.#behind(record, hasOwnTime, offset <= last)
        this.#gaps.delete(place)
      }
    }
  }

  /**
   * Upstream has no more: what the edge still has is missing.
   * @param durableNow what came since the beginning was written since
   */
  async finish(durableNow: number): Promise<PartitionReport> {
    await this.#advance(Number.POSITIVE_INFINITY)
    const unknown = new RangeSet()
    for (const { from, to } of this.#unknown.ranges(Number.POSITIVE_INFINITY)) {
      if (to > durableNow) unknown.add(Math.max(from, durableNow), to)
    }
    const { stream, partition, durableOffset } = this.#state
    return {
      stream,
      partition,
      fromOffset: this.#from,
      toOffset: Math.max(this.#from, this.#to),
      compared: this.#compared,
      missing: fault(this.#missing),
      duplicated: fault(this.#duplicated),
      outOfOrder: fault(this.#outOfOrder),
      different: fault(this.#different),
      unknown: fault(unknown),
      notCompared: {
        goneFromEdge: this.#goneFromEdge,
        dropped: this.#dropped,
        excused: this.#excused.size,
        leftOut: this.#leftOut.size,
        notSent: Math.max(0, durableOffset - Math.max(this.#from, this.#to)),
        contentUnknown: this.#contentUnknown,
      },
      reasons: [...this.#reasons],
    }
  }

  /** Moves the cursor to the first record at or above `offset`; those before are missing. */
  async #advance(offset: number): Promise<void> {
    if (!this.#primed) {
      this.#primed = true
      await this.#step()
    }
    while (this.#head !== null && this.#head.offset < offset) {
      const { offset: skipped } = this.#head
      this.#absent(this.#head).add(skipped)
      if (this.#late.size < LATE_MAX) {
        const crcs = { plain: contentCrc(this.#head, false), timeless: contentCrc(this.#head, true) }
        this.#late.set(skipped, crcs)
      }
      await this.#step()
    }
  }

  /** Where a record that upstream has passed over belongs. */
  #absent(record: LogRecord): RangeSet {
    if (this.#wish?.leavesOut(record)) return this.#leftOut
    return this.#gaps.size > 0 ? this.#excused : this.#missing
  }

  async #step(): Promise<void> {
    const next = this.#cursor.next()
    this.#head = next instanceof Promise ? await next : next
    const at = this.#head?.offset ?? Math.max(this.#to, this.#from)
    if (at > this.#passed) this.#holes.add(this.#passed, at)
    this.#passed = this.#head === null ? at : at + 1
  }

  async #meet(record: LogRecord, hasOwnTime: boolean): Promise<void> {
    if (isSameContent(this.#head!, record, hasOwnTime)) this.#compared++
    else addOnce(this.#different, record.offset)
    await this.#step()
  }

  #behind(record: LogRecord, hasOwnTime: boolean, isBackwards: boolean): void {
    const { offset } = record
    const isLate = [this.#missing, this.#excused, this.#leftOut].some((set) => set.delete(offset))
    if (isLate) {
      if (isBackwards) addOnce(this.#outOfOrder, offset)
      const crcs = this.#late.get(offset)
      this.#late.delete(offset)
      const own = hasOwnTime ? crcs?.timeless : crcs?.plain
      if (own === undefined) this.#contentUnknown++
      else if (own === contentCrc(record, hasOwnTime)) this.#compared++
      else addOnce(this.#different, offset)
    } else if (this.#holes.has(offset) && !isBackwards) this.#goneFromEdge++
    else addOnce(this.#duplicated, offset)
  }

  #belowStart(offset: number, isBackwards: boolean): void {
    if (!isBackwards) this.#goneFromEdge++
    else addOnce(this.#duplicated, offset)
  }
}

function addOnce(set: RangeSet, offset: number): void {
  if (!set.has(offset)) set.add(offset)
}

function fault(set: RangeSet): AuditFault {
  const ranges = set.ranges(RANGES_TOLD_MAX)
  return { records: set.size, ranges, rangesLeftOut: set.rangeCount - ranges.length }
}
