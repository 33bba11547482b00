/**
 * What retention takes next: a pure plan from what the log holds and what its streams' policies say.
 *
 * A stream goes in portions: what one sealed segment holds of it, all its partitions together, oldest first. A portion goes
 *
 *   by size    while the stream without it still has `retentionBytes`
 *   by age     when its segment was sealed longer ago than `retentionMs`, by a clock that is trusted
 *   by budget  when the disk needs room: of what every upstream has, the lowest priority first; then, of streams that say so,
 *              what upstream has not got, the lowest priority first
 *
 * and never past what every upstream has acknowledged (the floor), but for streams that say `drop-oldest`. What only compaction
 * may take (a stream that does not `delete`) stays.
 */
import type { Segment } from './segment.ts'
import type { StreamPolicy } from './stream-policy.ts'

export interface PlannedPartition {
  readonly id: number
  readonly logStartOffset: number
  /** Every upstream has all below; Infinity where there is no upstream. */
  readonly floor: number
}

export interface PlannedStream {
  readonly name: string
  readonly policy: StreamPolicy
  readonly partitions: readonly PlannedPartition[]
}

export interface RetentionInput {
  /** Sealed segments in commit order. */
  readonly sealed: readonly Segment[]
  /** By partition id: bytes of stored batches in the active segment. */
  readonly activeBytes: ReadonlyMap<number, number>
  readonly streams: readonly PlannedStream[]
  /** ms since 1970, or null while no clock is to be trusted: then nothing goes by age. */
  readonly now: number | null
  /** Bytes that have to go although no stream's retention says so. */
  readonly bytesToFree: number
  /** What is left of a segment can be written anew up to this: on a disk that is full nothing goes that would free no room. Default Infinity. */
  readonly liveBytesMax?: number
}

export interface RetentionPlan {
  /** New log start offsets by partition id. */
  readonly starts: Map<number, number>
  /** By stream: records that go before every upstream has them. */
  readonly dropped: Map<string, number>
  /** By stream: bytes that go within their retention, because the disk needs room. */
  readonly evicted: Map<string, number>
  /** Bytes of stored batches that go. */
  readonly bytes: number
}

/** What one sealed segment holds of one stream. */
interface Portion {
  readonly segment: Segment
  readonly bytes: number
  /** By partition: where the log would start without it. */
  readonly ends: readonly { readonly partition: PlannedPartition; readonly nextOffset: number }[]
}

class Planner {
  readonly plan: RetentionPlan & { bytes: number } = {
    starts: new Map(),
    dropped: new Map(),
    evicted: new Map(),
    bytes: 0,
  }
  readonly #portions = new Map<PlannedStream, Portion[]>()
  readonly #input: RetentionInput

  constructor(input: RetentionInput) {
    this.#input = input
    for (const stream of input.streams) {
      if (stream.policy.deletes) this.#portions.set(stream, portionsOf(stream, input.sealed))
    }
  }

  byRetention(): void {
    const { now, activeBytes } = this.#input
    for (const [stream, portions] of this.#portions) {
      const { retentionBytes, retentionMs, unsynced } = stream.policy
      let bytes = portions.reduce((sum, portion) => sum + portion.bytes, 0)
      for (const { id } of stream.partitions) bytes += activeBytes.get(id) ?? 0
      while (portions.length > 0) {
        const portion = portions[0]!
        const isTooMuch = retentionBytes !== null && bytes - portion.bytes >= retentionBytes
        const { sealedAt } = portion.segment
        const isTooOld =
          retentionMs !== null && now !== null && sealedAt !== null && sealedAt + retentionMs < now
        if (!isTooMuch && !isTooOld) break
        if (unsynced === 'keep' && !isSynced(portion)) break
        this.#take(stream, portions)
        bytes -= portion.bytes
      }
    }
  }

  byBudget(): void {
    const streams = [...this.#portions.keys()].toSorted((a, b) => a.policy.priority - b.policy.priority)
    for (const mayDrop of [false, true]) {
      const mayGo = (stream: PlannedStream, portion: Portion) =>
        isSynced(portion) || (mayDrop && stream.policy.unsynced !== 'keep')
      const makesRoom = this.#roomMakers(mayGo)
      for (const stream of streams) {
        const portions = this.#portions.get(stream)!
        while (this.plan.bytes < this.#input.bytesToFree) {
          // older ones go with it, also those that make no room
          const at = portions.findIndex(({ segment }) => makesRoom.has(segment))
          if (at < 0 || !portions.slice(0, at + 1).every((portion) => mayGo(stream, portion))) break
          for (let taken = 0; taken <= at; taken++) {
            const { bytes } = portions[0]!
            this.#take(stream, portions)
            this.plan.evicted.set(stream.name, (this.plan.evicted.get(stream.name) ?? 0) + bytes)
          }
        }
      }
    }
  }

  /** Segments that can be removed, or written anew, once all that may go of them has gone. */
  #roomMakers(mayGo: (stream: PlannedStream, portion: Portion) => boolean): ReadonlySet<Segment> {
    const going = new Map<Segment, number>()
    for (const [stream, portions] of this.#portions) {
      for (const portion of portions) {
        if (!mayGo(stream, portion)) break
        going.set(portion.segment, (going.get(portion.segment) ?? 0) + portion.bytes)
      }
    }
    const { streams, sealed, liveBytesMax = Number.POSITIVE_INFINITY } = this.#input
    const starts = new Map(
      streams.flatMap(({ partitions }) => partitions.map(({ id, logStartOffset }) => [id, logStartOffset])),
    )
    const startOf = (id: number) => this.plan.starts.get(id) ?? starts.get(id) ?? 0
    const staysOf = (segment: Segment) => liveBytesFrom(segment, startOf) - (going.get(segment) ?? 0)
    return new Set(sealed.filter((segment) => staysOf(segment) <= liveBytesMax))
  }

  #take(stream: PlannedStream, portions: Portion[]): void {
    const { bytes, ends } = portions.shift()!
    this.plan.bytes += bytes
    for (const { partition, nextOffset } of ends) {
      const start = this.plan.starts.get(partition.id) ?? partition.logStartOffset
      const unsynced = nextOffset - Math.max(start, Math.min(partition.floor, nextOffset))
      if (unsynced > 0) {
        this.plan.dropped.set(stream.name, (this.plan.dropped.get(stream.name) ?? 0) + unsynced)
      }
      this.plan.starts.set(partition.id, nextOffset)
    }
  }
}

export function planRetention(input: RetentionInput): RetentionPlan {
  const planner = new Planner(input)
  planner.byRetention()
  if (planner.plan.bytes < input.bytesToFree) planner.byBudget()
  return planner.plan
}

function portionsOf(stream: PlannedStream, sealed: readonly Segment[]): Portion[] {
  const own = new Map(stream.partitions.map((partition) => [partition.id, partition]))
  const portions: Portion[] = []
  for (const segment of sealed) {
    let bytes = 0
    const ends: { partition: PlannedPartition; nextOffset: number }[] = []
    for (const summary of segment.summaries) {
      const partition = own.get(summary.id)
      if (partition === undefined || summary.nextOffset <= partition.logStartOffset) continue
      bytes += summary.bytes
      ends.push({ partition, nextOffset: summary.nextOffset })
    }
    if (ends.length > 0) portions.push({ segment, bytes, ends })
  }
  return portions
}

function isSynced({ ends }: Portion): boolean {
  return ends.every(({ partition, nextOffset }) => nextOffset <= partition.floor)
}

// -- from what is dead to what is done about it ------------------------------------------------------------------------

export interface Removal {
  /** Adjacent sealed segments. */
  readonly segments: readonly Segment[]
  /** Nothing of them is left: they go as they are. Else one new segment holds what is left. */
  readonly isEmpty: boolean
}

export interface RemovalOptions {
  /** Bytes of the segment's batches that stay. */
  liveBytesOf(segment: Segment): number
  /** How far apart the ends of two segments may lie that become one, in ms: age is counted by the younger one. */
  spanMsOf(segment: Segment): number
  /** From which part of its bytes on a segment is written anew without its dead records. */
  readonly deadShare: number
  /** A new segment holds at most this much. */
  readonly segmentBytes: number
}

/** Rewritten neighbours of about one size become one when there are so many: a byte is copied once for each step of that factor. */
const NEIGHBOURS_MIN = 7
/** Of about one size: at most this many times as large as what is written anyway. */
const NEIGHBOUR_FACTOR = 2

/** Which sealed segments to remove or to write anew, oldest first. */
export function planRemovals(sealed: readonly Segment[], options: RemovalOptions): Removal[] {
  const removals: Removal[] = []
  let run: Segment[] = []
  /** The place after the last segment that a removal has. */
  let taken = 0
  const endRun = (before: number) => {
    if (run.length === 0) return
    removals.push({ segments: withNeighbours(run, sealed.slice(taken, before), options), isEmpty: false })
    taken = before + run.length
    run = []
  }
  for (const [i, segment] of sealed.entries()) {
    if (options.liveBytesOf(segment) === 0) {
      endRun(i - run.length)
      removals.push({ segments: [segment], isEmpty: true })
      taken = i + 1
    } else if (isDeadEnough(segment, options)) {
      if (!fits([...run, segment], options)) endRun(i - run.length)
      run.push(segment)
    } else endRun(i - run.length)
  }
  endRun(sealed.length - run.length)
  return removals
}

/** @param before the free segments just before the run */
function withNeighbours(
  run: readonly Segment[],
  before: readonly Segment[],
  options: RemovalOptions,
): Segment[] {
  const joined = [...run]
  const left = [...before]
  for (;;) {
    const bytes = joined.reduce((sum, segment) => sum + options.liveBytesOf(segment), 0)
    const alike: Segment[] = []
    for (const neighbour of left.toReversed()) {
      const isAlike = neighbour.isRewritten && options.liveBytesOf(neighbour) <= bytes * NEIGHBOUR_FACTOR
      if (!isAlike || !fits([neighbour, ...alike, ...joined], options)) break
      alike.unshift(neighbour)
    }
    if (alike.length < NEIGHBOURS_MIN) return joined
    joined.unshift(...alike)
    left.splice(left.length - alike.length)
  }
}

function fits(run: readonly Segment[], { liveBytesOf, spanMsOf, segmentBytes }: RemovalOptions): boolean {
  if (run.length === 1) return true
  const bytes = run.reduce((sum, segment) => sum + liveBytesOf(segment), 0)
  const spanMs = Math.min(...run.map(spanMsOf))
  const dates = run.flatMap(({ sealedAt }) => (sealedAt === null ? [] : [sealedAt]))
  const isClose = dates.length < 2 || Math.max(...dates) - Math.min(...dates) <= spanMs
  return bytes <= segmentBytes && isClose
}

function isDeadEnough(segment: Segment, { liveBytesOf, deadShare }: RemovalOptions): boolean {
  const all = batchBytesOf(segment)
  const dead = all - liveBytesOf(segment)
  return dead > 0 && dead >= all * deadShare
}

/** Bytes of a segment's batches. */
export function batchBytesOf({ summaries }: Segment): number {
  return summaries.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** What is left of a sealed segment when the log starts at these offsets: whole portions count. */
export function liveBytesFrom({ summaries }: Segment, startOf: (id: number) => number): number {
  return summaries.reduce((sum, { id, nextOffset, bytes }) => sum + (nextOffset > startOf(id) ? bytes : 0), 0)
}
