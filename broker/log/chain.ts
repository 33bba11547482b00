/**
 * A chain: segments of commit-ordered LevelDB under one sequence of commits, one writer, group commit with fsync.
 *
 * Appends collect while the previous commit's fsync is under way, then go as one: a batch a partition, a note where states
 * changed, one synced write, then all their listeners. There is no timer: a lone publisher pays one fsync and no wait.
 *
 * After a commit that failed nothing is known about it. Everything waiting is told so, the store is closed, opened again
 * with growing pauses, and read from its head: what the disk kept is then part of the log (never acknowledged, so its
 * sender sends it again), and the next commit follows it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { CommitFailedError, LogUnavailableError } from '../errors.ts'
import { Admission } from './admission.ts'
import { dropBallast } from './ballast.ts'
import type { ChainCondition } from './chain-condition.ts'
import { type ChainCut, CutRequests } from './chain-cut.ts'
import type { ChainLimits } from './chain-limits.ts'
import { LatencyHistogram } from './commit-latency.ts'
import type { CommitState } from './commit-state.ts'
import type { DamagedSegmentError } from './damaged-segment.ts'
import { Gathering, systemPace } from './gathering.ts'
import { type CommitListener, OpenCommit } from './open-commit.ts'
import type { LogPartition } from './partition.ts'
import type { Rearrangement } from './rearrangement.ts'
import { RepeatedFault } from './repeated-fault.ts'
import { sealCommit } from './sealed-commit.ts'
import type { Segment, SegmentCache } from './segment.ts'
import { SegmentRow, UncertainManifestError } from './segment-row.ts'
import type { ChainFiles } from './segment-store.ts'

const SEAL_CHECK_MS = 2
const REOPEN_MS_MIN = 100
const REOPEN_MS_MAX = 5_000

export class Chain {
  readonly name: string
  readonly partitions = new Map<number, LogPartition>()
  readonly row: SegmentRow
  readonly admission: Admission
  readonly latency = new LatencyHistogram()
  readonly stats = {
    commits: 0,
    records: 0,
    bytes: 0,
    failedCommits: 0,
    failedRecords: 0,
    rolls: 0,
    failedRolls: 0,
  }
  readonly files: ChainFiles
  condition: ChainCondition = { state: 'closed' }
  /** Called after each durable commit and after a recovery. */
  onDurable: () => void = () => {}

  #limits: ChainLimits
  readonly #states: readonly CommitState[]
  readonly #open = new OpenCommit()
  readonly #gathering: Gathering
  #inFlightBytes = 0
  #isRunning = false
  #idle: (() => void)[] = []
  readonly #cuts: CutRequests
  /** Failures since the last commit that reached the disk: the pauses grow and the log stays quiet until then. */
  #failures = 0
  #reopenTimer: NodeJS.Timeout | undefined
  #reopening: Promise<void> = Promise.resolve()
  #isClosing = false
  #closed: Promise<void> | undefined
  /** The size at which the active segment is sealed: its limit, or more after a roll that failed. */
  #rollAtBytes: number
  #isRollWanted = false
  readonly #rollFault = new RepeatedFault('a segment could not be sealed; it grows until the next try')
  /** A rearrangement whose manifest may or may not be on disk. */
  #uncertain: Error | null = null

  private constructor(
    name: string,
    files: ChainFiles,
    limits: ChainLimits,
    states: readonly CommitState[],
    trustedNow: () => number | null,
  ) {
    this.name = name
    this.files = files
    this.#limits = limits
    this.#states = states
    this.#rollAtBytes = limits.segmentBytes
    this.#gathering = new Gathering(limits.pace ?? systemPace)
    this.admission = new Admission(limits.admittedBytesMax, () => this.admittedBytes)
    this.row = new SegmentRow(files, this.partitions, states, trustedNow)
    this.#cuts = new CutRequests(this.row, () => this.condition.state === 'open')
  }

  /**
   * @param partitions those that the catalog places in this chain
   * @param trustedNow ms since 1970, or null while the clock is not to be trusted
   */
  static async open(
    name: string,
    files: ChainFiles,
    limits: ChainLimits,
    states: readonly CommitState[],
    partitions: readonly LogPartition[],
    trustedNow: () => number | null = Date.now,
  ): Promise<Chain> {
    const chain = new Chain(name, files, limits, states, trustedNow)
    for (const partition of partitions) chain.partitions.set(partition.id, partition)
    await chain.#load()
    return chain
  }

  /** In commit order; the last is active. */
  get segments(): readonly Segment[] {
    return this.row.segments
  }
  get cache(): SegmentCache {
    return this.row.cache
  }
  get active(): Segment {
    return this.row.active
  }
  /** The last commit that is on disk. */
  get durableCommit(): number {
    return this.active.lastCommit
  }
  /** The size at which a segment is sealed. */
  get segmentBytes(): number {
    return this.#limits.segmentBytes
  }
  set segmentBytes(segmentBytes: number) {
    this.#limits = { ...this.#limits, segmentBytes }
    this.#rollAtBytes = segmentBytes
  }
  get admittedBytes(): number {
    return this.#open.bytes + this.#inFlightBytes
  }
  /** How long what was appended has waited without a commit coming to its end, ms. */
  get waitingMs(): number {
    return this.admittedBytes === 0 || !this.#isRunning ? 0 : this.#gathering.sinceMs
  }

  /**
   * Copies one record into the open commit. It is durable, and readable, once a listener added afterwards is called with null.
   * @param timestamp ms since 1970
   * @param headers a section from `encodeHeaders`
   * @returns its place in the commit's batch of this partition: its offset is `partition.commitOffset` and this, once a listener is called.
   * @throws LogUnavailableError while the storage is away or the log is closing.
   */
  append(
    partition: LogPartition,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: Uint8Array,
  ): number {
    if (this.condition.state !== 'open' || this.#isClosing) throw this.unavailable()
    const delta = this.#open.append(partition, timestamp, key, value, headers)
    this.#schedule()
    return delta
  }

  /** Of the open commit: another number means that what was added before goes with an earlier one. */
  get openCommit(): number {
    return this.#open.number
  }

  /**
   * Called when the open commit, with all that was appended and added to states so far, is on disk or has failed.
   * @throws LogUnavailableError
   */
  onCommit(listener: CommitListener): void {
    if (this.condition.state !== 'open' || this.#isClosing) throw this.unavailable()
    this.#open.listen(listener)
    this.#schedule()
  }

  /** Where the chain stands between two commits. @throws LogUnavailableError */
  async cut(): Promise<ChainCut> {
    const cut = await this.#cuts.ask(this.#isRunning)
    if (cut === null) throw this.unavailable()
    return cut
  }

  /** Commits what is open, then closes. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#reopenTimer)
    await this.#reopening
    while (this.#isRunning) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.condition = { state: 'closed' }
    await this.row.close()
  }

  // -- the writer ---------------------------------------------------------------------------------------------------

  #schedule(): void {
    if (this.#isRunning) {
      this.#gathering.appended()
      return
    }
    this.#isRunning = true
    this.#gathering.begin()
    // after this turn's socket reads, so that all they bring goes into one commit
    setImmediate(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (
      this.condition.state === 'open' &&
      (!this.#open.isEmpty || this.#isRollWanted || this.#uncertain !== null)
    ) {
      if (!this.#isClosing && !this.admission.isFull) await this.#gathering.wait(this.#open)
      this.#cuts.answer()
      if (this.#uncertain !== null) {
        this.#fail(this.#uncertain, [])
        break
      }
      if (this.active.bytes >= this.#rollAtBytes || this.#isRollWanted) await this.#roll()
      if (this.condition.state === 'open' && !this.#open.isEmpty) await this.#commit()
    }
    this.#isRunning = false
    this.#cuts.answer()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #commit(): Promise<void> {
    const { partitions, listeners, bytes, records } = this.#open.take()
    this.#inFlightBytes = bytes
    const commit = this.durableCommit + 1
    const started = performance.now()
    this.#gathering.started()
    try {
      const sealed = sealCommit(this.row.open.store.batch(), commit, partitions, this.#states)
      // the store has copied the batches: the builders are free for the next commit
      for (const partition of partitions) this.#open.recycle(partition)
      await sealed.write.write({ sync: true })
      this.active.lastCommit = commit
      this.active.bytes += sealed.bytes
      for (const { partition, ...batch } of sealed.batches) {
        this.row.open.index.of(partition.id, batch.baseOffset).add(commit, batch)
        partition.commitOffset = batch.baseOffset
        partition.durableOffset = batch.nextOffset
      }
      this.stats.commits++
      this.stats.records += records
      this.stats.bytes += sealed.bytes
      this.latency.record(performance.now() - started)
      if (this.#failures > 0) this.#recovered()
    } catch (error) {
      this.#fail(error, listeners, records)
      return
    }
    this.#inFlightBytes = 0
    this.#gathering.ended(records)
    for (const listener of listeners) listener(null)
    this.admission.letIn()
    this.onDurable()
  }

  // -- failure ------------------------------------------------------------------------------------------------------

  #fail(cause: unknown, listeners: CommitListener[], records = 0): void {
    const reason = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message
    this.stats.failedCommits++
    this.condition = { state: 'failed', reason, since: Date.now() }
    this.#failures++
    // a disk that is full must not be filled by lines about it: told once, and once more when it is over
    if (this.#failures === 1) {
      this.files.log.error('a commit failed; the log opens again by itself', { chain: this.name, reason })
    }
    const error = new CommitFailedError(reason, cause)
    const open = this.#open.take()
    // those of QoS 0 have no sender that would send them again: they are at least counted
    this.stats.failedRecords += records + open.records
    for (const partition of [...this.partitions.values()]) this.#open.recycle(partition)
    this.#inFlightBytes = 0
    for (const listener of [...listeners, ...open.listeners]) listener(error)
    this.admission.letAllIn()
    this.#reopenLater(Math.min(REOPEN_MS_MIN * 2 ** (this.#failures - 1), REOPEN_MS_MAX))
  }

  #recovered(): void {
    if (this.#failures > 1) {
      this.files.log.info('the log commits again', { chain: this.name, failures: this.#failures })
    }
    this.#failures = 0
  }

  #reopenLater(afterMs: number): void {
    if (this.#isClosing) return
    this.#reopenTimer = setTimeout(() => {
      this.#reopening = this.#reopen(afterMs)
    }, afterMs)
  }

  async #reopen(afterMs: number): Promise<void> {
    try {
      await this.row.close()
      await this.#load()
      if (this.#failures <= 1) this.files.log.info('the log is open again', { chain: this.name })
      this.onDurable()
    } catch (error) {
      if (this.condition.state === 'failed') {
        this.condition = { ...this.condition, reason: (error as Error).message }
      }
      this.#reopenLater(Math.min(afterMs * 2, REOPEN_MS_MAX))
    }
  }

  unavailable(): LogUnavailableError {
    const { condition } = this
    return new LogUnavailableError(condition.state === 'failed' ? condition.reason : 'it is closed')
  }

  // -- segments -----------------------------------------------------------------------------------------------------

  async #load(): Promise<void> {
    this.#uncertain = null
    if (this.#failures > 0) await dropBallast(this.files.disk, this.files.dataDirectory)
    await this.row.load(this.#failures > 1)
    this.condition = { state: 'open' }
  }

  async #roll(): Promise<void> {
    const segment = this.active
    this.#isRollWanted = false
    try {
      await this.row.roll()
      this.#rollAtBytes = this.#limits.segmentBytes
      this.stats.rolls++
      this.#rollFault.isOver(this.files.log, 'segments are sealed again', { chain: this.name })
    } catch (error) {
      this.stats.failedRolls++
      this.#rollAtBytes = segment.bytes + this.#limits.segmentBytes / 8
      this.#rollFault.came(this.files.log, { segment: segment.id, reason: (error as Error).message })
      if (error instanceof UncertainManifestError) this.#fail(error, [])
    }
  }

  /** Seals the active segment although it is not full: what it holds can then expire. */
  roll(): void {
    if (this.condition.state !== 'open' || this.#isClosing) return
    this.#isRollWanted = true
    this.#schedule()
  }

  /** The same, and waits for it. @returns whether it is sealed now */
  async seal(): Promise<boolean> {
    const { active } = this
    const { failedRolls } = this.stats
    this.roll()
    while (this.condition.state === 'open' && this.active === active && !this.#isClosing) {
      if (this.stats.failedRolls !== failedRolls) return false
      await delay(SEAL_CHECK_MS)
    }
    return this.active !== active
  }

  /**
   * Carries out a plan for the segments (segment-row.ts).
   * @returns false when nothing has changed: the plan is stale, or the chain is not open.
   */
  rearrange(plan: Rearrangement): Promise<boolean> {
    return this.#change(() => this.row.rearrange(plan))
  }

  /** A trusted clock says the time: what was sealed without one counts from now. */
  dateSealed(now: number): Promise<boolean> {
    return this.#change(() => this.row.dateSealed(now))
  }

  /**
   * A reader could not open a segment: what can be read of it takes its place (segment-salvage.ts).
   * @throws what kept it from being saved, as a full disk: nothing has changed then, and the next reader tries again
   */
  async repair(error: DamagedSegmentError): Promise<void> {
    await this.#change(async () => {
      await this.row.repair(error)
      return true
    })
  }

  async #change(change: () => Promise<boolean>): Promise<boolean> {
    if (this.condition.state !== 'open' || this.#isClosing) return false
    try {
      return await change()
    } catch (error) {
      if (!(error instanceof UncertainManifestError)) throw error
      // only reading the manifest again can tell which one stands: after the commit that is under way
      this.#uncertain = error
      this.#schedule()
      return false
    }
  }
}
