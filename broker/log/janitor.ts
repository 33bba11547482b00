/**
 * Carries out what retention, the disk's budget and compaction plan, in bounded steps beside the writer: first pure plans, then
 * one change of a manifest each (segment-row.ts). A crash between any two steps leaves the log whole, and the next run plans
 * again from what is there.
 */
import type { LogSink } from '../log-sink.ts'
import type { Disk } from '../storage/store.ts'
import { BALLAST_BYTES, keepBallast } from './ballast.ts'
import type { Chain } from './chain.ts'
import { planCompaction } from './compaction-plan.ts'
import { type CompactionProgress, type CompactionReport, compactChain } from './compactor.ts'
import { DiskSpace } from './disk-space.ts'
import type { LogPartition } from './partition.ts'
import {
  liveBytesFrom,
  type PlannedStream,
  planRemovals,
  planRetention,
  type RetentionPlan,
} from './retention-plan.ts'
import { type Segment, segmentDirectory } from './segment.ts'
import { type Keep, rewriteSegments } from './segment-rewriter.ts'
import type { DiskBudget, StreamPolicy } from './stream-policy.ts'
import type { UpstreamFloors } from './upstream-floors.ts'

export interface JanitorStream {
  readonly name: string
  readonly policy: StreamPolicy
  readonly chain: Chain
  readonly partitions: readonly LogPartition[]
}

export interface JanitorOptions {
  readonly budget: DiskBudget
  /** A stream is compacted once this share of its bytes came since the last time. */
  readonly dirtyShare: number
  readonly segmentBytes: number
  /** Bytes are kept aside for a start on a full disk. */
  readonly hasBallast: boolean
  /** ms since 1970, or null while the clock is not to be trusted. */
  readonly trustedNow: () => number | null
  /** Commits of a chain across which batches are not put together: what is known of their clocks differs. */
  readonly boundariesOf: (chain: string) => readonly number[]
}

export interface RetentionStatus {
  /** By stream, since the start: bytes that went within their retention because the disk needed room. */
  readonly evictedBytes: Readonly<Record<string, number>>
  readonly removedSegments: number
  readonly rewrittenSegments: number
  readonly rewrittenBytes: number
  readonly compaction: CompactionStatus
}

export interface CompactionStatus {
  readonly isRunning: boolean
  /** Rounds that removed something, since the start. */
  readonly rounds: number
  readonly savedBytes: number
  readonly writtenBytes: number
  readonly removedRecords: number
}

const TICK_MS = 5_000
/** While the disk is full, or nearly so, room is looked for more often. */
const TICK_FULL_MS = 500
/** From which share of dead bytes on a segment is written anew: each byte is then copied once at most, on average. */
const DEAD_SHARE = 0.5
/** The same when the disk needs room. */
const DEAD_SHARE_PRESSED = 0.1
/** A stream with a retention by time is sealed this often within it, so that it expires in small portions. */
const AGE_PORTIONS = 8

export class Janitor {
  readonly space: DiskSpace
  readonly #chains: readonly Chain[]
  readonly #streams: readonly JanitorStream[]
  readonly #floors: UpstreamFloors
  readonly #disk: Disk
  readonly #path: string
  readonly #options: JanitorOptions
  readonly #log: LogSink
  readonly #evicted = new Map<string, number>()
  readonly #stats = { removedSegments: 0, rewrittenSegments: 0, rewrittenBytes: 0 }
  readonly #compactions = { rounds: 0, savedBytes: 0, writtenBytes: 0, removedRecords: 0 }
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | null = null
  /** Rounds of compaction follow one another. */
  #compacting: Promise<unknown> | null = null
  #isClosing = false
  #lastReason = ''
  #bytesAtCheck = 0
  #rollsAtCheck = 0

  constructor(
    disk: Disk,
    path: string,
    chains: readonly Chain[],
    streams: readonly JanitorStream[],
    floors: UpstreamFloors,
    options: JanitorOptions,
    log: LogSink,
  ) {
    this.#disk = disk
    this.#path = path
    this.#chains = chains
    this.#streams = streams
    this.#floors = floors
    this.#options = options
    this.#log = log
    this.space = new DiskSpace(disk, path, options.budget, options.segmentBytes, log)
  }

  /** Runs now, then every few seconds, whenever a segment was sealed, and when the log has grown by what the reserve can bear. */
  start(): void {
    this.wake()
  }

  async close(): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#timer)
    await this.#running
    await this.#compacting?.catch(() => undefined)
  }

  /** Called after each durable commit. */
  committed(): void {
    const { bytes, rolls } = this.#written()
    const { reserveBytes } = this.#options.budget
    const isMuch = bytes - this.#bytesAtCheck > Math.max(reserveBytes / 4, this.#options.segmentBytes)
    // a window is kept to within a segment only if each new one makes an old one go
    if (isMuch || rolls !== this.#rollsAtCheck) this.wake()
  }

  #written(): { bytes: number; rolls: number } {
    let bytes = 0
    let rolls = 0
    for (const { stats } of this.#chains) {
      bytes += stats.bytes
      rolls += stats.rolls
    }
    return { bytes, rolls }
  }

  wake(): void {
    if (this.#isClosing || this.#running !== null) return
    void this.run().catch(() => undefined)
  }

  /** Resolves once a run that began after this call has ended. */
  async run(): Promise<void> {
    while (this.#running !== null) await this.#running
    clearTimeout(this.#timer)
    this.#running = this.#run()
      .catch((error) => this.#failed(error as Error))
      .finally(() => {
        this.#running = null
        if (this.#isClosing) return
        this.#timer = setTimeout(() => this.wake(), this.space.isFull ? TICK_FULL_MS : TICK_MS)
        this.#timer.unref()
      })
    await this.#running
  }

  status(): RetentionStatus {
    const compaction = { isRunning: this.#compacting !== null, ...this.#compactions }
    return { evictedBytes: Object.fromEntries(this.#evicted), ...this.#stats, compaction }
  }

  #failed(error: Error): void {
    if (this.#isClosing || error.message === this.#lastReason) return
    this.#lastReason = error.message
    this.#log.warn('tidying the log failed; it is tried again', { reason: error.message })
  }

  async #run(): Promise<void> {
    const { bytes, rolls } = this.#written()
    this.#bytesAtCheck = bytes
    this.#rollsAtCheck = rolls
    const now = this.#options.trustedNow()
    for (const chain of this.#chains) {
      if (now !== null && chain.condition.state === 'open') await chain.dateSealed(now)
    }
    if (now !== null) this.#sealOld(now)
    await this.#measure()
    await this.#retain(now)
    await this.#measure()
    if (this.space.bytesToFree > 0) this.#sealForRoom()
    if (this.space.decide()) for (const chain of this.#chains) chain.hold(this.space.isFull)
    if (this.#options.hasBallast && this.space.hasRoomFor(BALLAST_BYTES))
      await keepBallast(this.#disk, this.#path)
    this.#lastReason = ''
  }

  async #measure(): Promise<void> {
    let bytes = 0
    for (const chain of this.#chains) {
      for (const segment of [...chain.segments]) {
        const isKnown = segment.isSealed && segment.fileBytes !== null
        const measured = isKnown ? segment.fileBytes! : await this.#disk.usage(directoryOf(chain, segment))
        // measured a second time later: right after the roll LevelDB still has both the write-ahead file and its table
        if (segment.isSealed && !chain.cache.holdsBuffers(segment)) segment.fileBytes = measured
        bytes += measured
      }
    }
    await this.space.measure(bytes)
  }

  /** Seals what a retention by time would otherwise keep for as long as the segment fills. */
  #sealOld(now: number): void {
    for (const stream of this.#streams) {
      const { retentionMs, deletes } = stream.policy
      if (retentionMs === null || !deletes) continue
      const oldest = oldestActive(stream)
      if (oldest !== null && now - oldest > retentionMs / AGE_PORTIONS) stream.chain.roll()
    }
  }

  /** Room is needed and all that could go stands in active segments. */
  #sealForRoom(): void {
    for (const { policy, chain, partitions } of this.#streams) {
      const isInActive = partitions.some(
        ({ id }) => (chain.row.open.index.partitions.get(id)?.count ?? 0) > 0,
      )
      if (policy.deletes && isInActive && chain.segments.length === 1) chain.roll()
    }
  }

  async #retain(now: number | null): Promise<void> {
    const open = this.#chains.filter((chain) => chain.condition.state === 'open')
    const plan = planRetention({
      sealed: open.flatMap((chain) => chain.row.sealed),
      activeBytes: new Map(open.flatMap(activeBytes)),
      streams: this.#planned(open),
      now,
      bytesToFree: this.space.bytesToFree,
    })
    for (const chain of open) await this.#apply(chain, plan)
  }

  #planned(chains: readonly Chain[]): PlannedStream[] {
    return this.#plannedOf(this.#streams.filter(({ chain }) => chains.includes(chain)))
  }

  #plannedOf(streams: readonly JanitorStream[]): PlannedStream[] {
    return streams.map(({ name, policy, partitions }) => ({
      name,
      policy,
      partitions: partitions.map(({ id, partition, logStartOffset }) => ({
        id,
        logStartOffset,
        floor: this.#floors.of(name, partition),
      })),
    }))
  }

  async #apply(chain: Chain, plan: RetentionPlan): Promise<void> {
    const own = this.#streams.filter((stream) => stream.chain === chain)
    const starts = new Map([...plan.starts].filter(([id]) => chain.partitions.has(id)))
    const startOf = (id: number) => starts.get(id) ?? chain.partitions.get(id)?.logStartOffset ?? 0
    const removals = planRemovals(chain.row.sealed, {
      liveBytesOf: (segment) => liveBytesFrom(segment, startOf),
      spanMsOf: (segment) => spanMs(own, segment, startOf),
      deadShare: this.space.bytesToFree > 0 ? DEAD_SHARE_PRESSED : DEAD_SHARE,
      segmentBytes: this.#options.segmentBytes,
    })
    const empty = removals.filter(({ isEmpty }) => isEmpty).flatMap(({ segments }) => segments)
    if (empty.length > 0 || starts.size > 0) {
      const dropped = new Map(
        [...plan.dropped].filter(([name]) => own.some((stream) => stream.name === name)),
      )
      if (!(await chain.rearrange({ remove: empty, starts, dropped }))) return
      this.#stats.removedSegments += empty.length
      this.#tell(own, plan, dropped)
    }
    for (const { segments, isEmpty } of removals) {
      // a round of compaction takes it along
      if (isEmpty || this.#isClosing || this.#compacting !== null) continue
      await this.rewrite(chain, segments, (id, { offset }) => offset >= startOf(id))
    }
  }

  #tell(own: readonly JanitorStream[], plan: RetentionPlan, dropped: ReadonlyMap<string, number>): void {
    for (const { name } of own) {
      const bytes = plan.evicted.get(name)
      if (bytes !== undefined) {
        this.#evicted.set(name, (this.#evicted.get(name) ?? 0) + bytes)
        this.#log.warn('the disk needs room: old records went before their time', { stream: name, bytes })
      }
      const records = dropped.get(name)
      if (records !== undefined) {
        this.#log.error('records went that upstream never got, as the stream says', { stream: name, records })
      }
    }
  }

  /**
   * Compacts the streams whose cleanup says so: those that are dirty enough, or, when it is forced, all that are dirty.
   * @param stream one of them, or null for all
   * @returns a report for each round that was made
   */
  async compact(
    stream: string | null = null,
    isForced = false,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport[]> {
    while (this.#compacting !== null) await this.#compacting.catch(() => undefined)
    const compacting = this.#compact(stream, isForced, onProgress)
    this.#compacting = compacting
    return compacting.finally(() => {
      this.#compacting = null
    })
  }

  async #compact(
    name: string | null,
    isForced: boolean,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport[]> {
    const reports: CompactionReport[] = []
    for (const chain of this.#chains) {
      const wanted = (stream: JanitorStream) =>
        stream.chain === chain && stream.policy.compacts && (name === null || stream.name === name)
      if (!this.#streams.some(wanted)) continue
      // what came last is taken along when someone asks for it
      if (isForced && chain.condition.state === 'open' && chain.row.open.index.count > 0) await chain.seal()
      for (;;) {
        const report = await this.#round(chain, wanted, isForced, onProgress)
        if (report === null) break
        reports.push(report)
        if (report.isComplete || this.#isClosing) break
      }
    }
    return reports
  }

  async #round(
    chain: Chain,
    wanted: (stream: JanitorStream) => boolean,
    isForced: boolean,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport | null> {
    if (this.#isClosing || chain.condition.state !== 'open') return null
    const now = this.#options.trustedNow()
    const own = this.#streams.filter((stream) => stream.chain === chain)
    const rounds = planCompaction({
      sealed: chain.row.sealed,
      streams: this.#plannedOf(own.filter(wanted)),
      cleaned: chain.row.facts.cleaned,
      dirtyShare: this.#options.dirtyShare,
      isForced,
      now,
    })
    if (rounds.length === 0) return null
    const report = await compactChain(chain, rounds, {
      segmentBytes: this.#options.segmentBytes,
      now,
      spanMsOf: (segment) => spanMs(own, segment, (id) => chain.partitions.get(id)?.logStartOffset ?? 0),
      boundaries: this.#options.boundariesOf(chain.name),
      isClosing: () => this.#isClosing,
      ...(onProgress === undefined ? {} : { onProgress }),
    })
    if (report === null) return null
    const { recordsRemoved, bytesBefore, bytesAfter, bytesWritten } = report
    if (report.segments > 0) this.#compactions.rounds++
    this.#compactions.savedBytes += bytesBefore - bytesAfter
    this.#compactions.writtenBytes += bytesWritten
    this.#compactions.removedRecords += recordsRemoved
    return report
  }

  /** @returns bytes of stored batches before and after; null when the plan was stale */
  async rewrite(
    chain: Chain,
    segments: readonly Segment[],
    keep: Keep,
  ): Promise<{ before: number; after: number } | null> {
    const before = segments.reduce((sum, { bytes }) => sum + bytes, 0)
    const written = await rewriteSegments(chain, segments, keep, {
      isClosing: () => this.#isClosing,
      boundaries: this.#options.boundariesOf(chain.name),
    })
    if (written === null) return null
    const insert = written.segment ?? undefined
    const done = await chain.rearrange({ remove: segments, ...(insert === undefined ? {} : { insert }) })
    if (!done) return null
    const after = insert?.bytes ?? 0
    this.#stats.rewrittenSegments += segments.length
    this.#stats.rewrittenBytes += after
    return { before, after }
  }
}

function directoryOf(chain: Chain, segment: Segment): string {
  return segmentDirectory(chain.files.directory, segment.id)
}

function activeBytes(chain: Chain): [number, number][] {
  return [...chain.row.open.index.partitions.values()].map(({ id, bytes }) => [id, bytes])
}

/** When the oldest record of the stream in the active segment was accepted, ms since 1970. */
function oldestActive({ chain, partitions }: JanitorStream): number | null {
  let oldest: number | null = null
  for (const { id } of partitions) {
    const index = chain.row.open.index.partitions.get(id)
    if (index === undefined || index.count === 0) continue
    oldest = Math.min(oldest ?? Number.POSITIVE_INFINITY, index.timestampAt(0))
  }
  return oldest
}

/** How far apart segments may lie that become one, for the sake of what they hold with a retention by time. */
export function spanMs(
  streams: readonly JanitorStream[],
  segment: Segment,
  startOf: (id: number) => number,
): number {
  const live = new Set(
    segment.summaries.filter(({ id, nextOffset }) => nextOffset > startOf(id)).map(({ id }) => id),
  )
  const own = streams.filter(({ partitions }) => partitions.some(({ id }) => live.has(id)))
  return Math.min(...own.map(({ policy }) => (policy.retentionMs ?? Number.POSITIVE_INFINITY) / AGE_PORTIONS))
}
