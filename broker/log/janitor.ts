/**
 * Carries out what retention, the disk's budget and compaction plan, in bounded steps beside the writer: first pure plans, then
 * one change of a manifest each (segment-row.ts). A crash between any two steps leaves the log whole, and the next run plans
 * again from what is there.
 */
import type { LogSink } from '../log-sink.ts'
import type { Disk } from '../storage/store.ts'
import { BALLAST_BYTES, keepBallast } from './ballast.ts'
import type { Chain } from './chain.ts'
import { type CompactionStatus, Compactions } from './compactions.ts'
import type { CompactionProgress, CompactionReport } from './compactor.ts'
import { DiskSpace } from './disk-space.ts'
import { Retention } from './retention.ts'
import { type Segment, segmentDirectory } from './segment.ts'
import type { DiskBudget } from './stream-policy.ts'
import type { TidiedStream } from './tidied-stream.ts'
import type { UpstreamFloors } from './upstream-floors.ts'

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

const TICK_MS = 5_000
/** While the disk is full, or nearly so, room is looked for more often. */
const TICK_FULL_MS = 500
export class Janitor {
  readonly space: DiskSpace
  readonly #chains: readonly Chain[]
  readonly #disk: Disk
  readonly #path: string
  readonly #options: JanitorOptions
  readonly #log: LogSink
  readonly #retention: Retention
  readonly #compactions: Compactions
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | null = null
  #isClosing = false
  #lastReason = ''
  #bytesAtCheck = 0
  #rollsAtCheck = 0

  constructor(
    disk: Disk,
    path: string,
    chains: readonly Chain[],
    streams: readonly TidiedStream[],
    floors: UpstreamFloors,
    options: JanitorOptions,
    log: LogSink,
  ) {
    this.#disk = disk
    this.#path = path
    this.#chains = chains
    this.#options = options
    this.#log = log
    const isClosing = () => this.#isClosing
    const isHindered = () => this.#isClosing || this.#compactions.isRunning
    this.space = new DiskSpace(disk, path, options.budget, options.segmentBytes, log)
    const writableBytes = () => this.space.writableBytes()
    this.#compactions = new Compactions(chains, streams, floors, { ...options, isClosing, writableBytes })
    const retentionOptions = { ...options, isClosing, isHindered, writableBytes }
    this.#retention = new Retention(chains, streams, floors, retentionOptions, log)
  }

  /** Runs now, then every few seconds, whenever a segment was sealed, and when the log has grown by what the reserve can bear. */
  start(): void {
    this.wake()
  }

  /** Another budget, and another share; acted upon at once. */
  tune(budget: DiskBudget, dirtyShare: number): void {
    this.space.budget = budget
    this.#compactions.dirtyShare = dirtyShare
    this.wake()
  }

  async close(): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#timer)
    await this.#running
    await this.#compactions.ended()
  }

  /** Called after each durable commit. */
  committed(): void {
    const { bytes, rolls } = this.#written()
    const { reserveBytes } = this.space.budget
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
    return { ...this.#retention.status(), compaction: this.#compactions.status() }
  }

  /**
   * Compacts the streams whose cleanup says so: those that are dirty enough, or, when it is forced, all that are dirty.
   * @param stream one of them, or null for all
   * @returns a report for each round that was made
   */
  compact(
    stream: string | null = null,
    isForced = false,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport[]> {
    return this.#compactions.run(stream, isForced, onProgress)
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
    if (now !== null) this.#retention.sealOld(now)
    await this.#measure()
    try {
      await this.#retention.run(now, this.space.bytesToFree)
    } finally {
      // whatever came of it: a disk that is full is said to be so, and one that has room is no longer
      await this.#decide()
    }
    if (this.#options.hasBallast && this.space.hasRoomFor(BALLAST_BYTES))
      await keepBallast(this.#disk, this.#path)
    this.#lastReason = ''
  }

  async #decide(): Promise<void> {
    await this.#measure()
    if (this.space.bytesToFree > 0) this.#retention.sealForRoom()
    if (this.space.decide()) for (const chain of this.#chains) chain.admission.hold(this.space.isFull)
  }

  async #measure(): Promise<void> {
    let bytes = 0
    for (const chain of this.#chains) {
      for (const segment of [...chain.segments]) {
        const isKnown = segment.isSealed && segment.fileBytes !== null
        const usage = isKnown ? segment.fileBytes! : await this.#usage(chain, segment)
        const measured = usage ?? segment.bytes
        // measured a second time later: right after the roll LevelDB still has both the write-ahead file and its table
        const isFinal = segment.isSealed && !chain.cache.holdsBuffers(segment)
        if (isFinal && usage !== null) segment.fileBytes = measured
        bytes += measured
      }
    }
    await this.space.measure(bytes)
  }

  /** null where the disk does not say: the others are measured all the same, and what the disk has free. */
  async #usage({ files }: Chain, { id }: Segment): Promise<number | null> {
    return this.#disk.usage(segmentDirectory(files.directory, id)).catch(() => null)
  }
}
