/**
 * The table of one stream: the latest record of every key, in a LevelDB of its own, kept up to date by one loop. See DESIGN.md
 * beside this file.
 *
 * The loop does one bounded piece after another: open, apply a part of the log, write what is pending, sweep. Everything else only
 * asks it: a durable commit, a reader that waits, `rebuild`, `close`. So no two pieces meet, and between two of them what is written
 * and what is pending are together the fold of the log up to the positions.
 */
import { TableUnavailableError } from '../errors.ts'
import { murmur2, partitionOfHash } from '../log/murmur2.ts'
import type { LogSink } from '../log-sink.ts'
import type { Disk } from '../storage/store.ts'
import { type OneAtATime, Pace } from './pace.ts'
import { RebuildPause } from './rebuild-pause.ts'
import { Sweep } from './sweep.ts'
import { TableContents } from './table-contents.ts'
import { decodeEntry, entryKey, type KeyRange, type StoredEntry } from './table-entry.ts'
import { TableIntake } from './table-intake.ts'
import type { TableLimits } from './table-limits.ts'
import type { TableLog, TablePartition } from './table-log.ts'
import { appliedOf, TablePass } from './table-pass.ts'
import type { TableSnapshot } from './table-snapshot.ts'
import { delayText, type TableStatus } from './table-status.ts'
import { openTableStore, removeTable } from './table-store.ts'
import { hasReached, type Until, Waiters } from './waiters.ts'
import { Wake } from './wake.ts'

export interface TableFiles {
  readonly disk: Disk
  /** Of this table alone. */
  readonly directory: string
  readonly log: TableLog
  readonly sink: LogSink
  readonly limits: TableLimits
  /** Of all tables together. */
  readonly writing: OneAtATime
}

/** Snapshots open at one time. */
const SNAPSHOTS_MAX = 100
const MEASURE_MS = 10_000
const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 60_000

export class Table {
  readonly stream: string
  /** Resolves once it is open for the first time, or has failed to. */
  readonly opened: Promise<void>
  #tellOpened!: () => void
  readonly #files: TableFiles
  readonly #partitions: readonly TablePartition[]
  readonly #wake = new Wake()
  readonly #waiters = new Waiters()
  readonly #pace = new Pace(() => !this.#waiters.isEmpty)
  readonly #rebuildPause = new RebuildPause()
  readonly #unsubscribe: () => void
  readonly #ended: Promise<void>
  /** null while it is not open. The four are made anew with each opening. */
  #contents: TableContents | null = null
  #pass!: TablePass
  #intake!: TableIntake
  #sweep!: Sweep
  #state: TableStatus['state'] = 'opening'
  #reason: string | null = null
  #isNew = false
  #isClosing = false
  #snapshots = 0
  #retryMs = RETRY_MS_MIN
  /** Why it has to be built again. */
  #damage: string | null = null
  #rebuilds = 0
  #bytes = 0
  #measuredAt = Number.NEGATIVE_INFINITY

  /** Begins at once, in the background. */
  constructor(stream: string, files: TableFiles) {
    this.stream = stream
    this.#files = files
    this.opened = new Promise((resolve) => {
      this.#tellOpened = resolve
    })
    this.#partitions = files.log.stream(stream).partitions
    this.#unsubscribe = files.log.onDurable(() => {
      const now = performance.now()
      this.#pace.committed(now)
      const isResting = this.#contents !== null && now < this.#pass.restUntil
      if (!isResting || !this.#waiters.isEmpty) this.#wake.raise()
    })
    this.#ended = this.#run()
  }

  // -- readers ------------------------------------------------------------------------------------------------------

  /**
   * The latest record of a key, among all that were durable at the time of the call; null when there is none.
   * @throws TableUnavailableError
   */
  async get(key: Buffer): Promise<StoredEntry | null> {
    const partition = partitionOfHash(murmur2(key), this.#partitions.length)
    const until = new Map([[partition, this.#partitions[partition]!.durableOffset]])
    const deadline = performance.now() + this.#files.limits.waitMsMax
    for (;;) {
      const contents = this.#contents
      if (contents === null || this.#damage !== null || !hasReached(contents.meta.next, until)) {
        await this.#reach(until, deadline - performance.now())
        continue
      }
      const found = await this.#find(contents, key)
      if (found === null) return null
      const entry = typeof found === 'string' ? found : decodeEntry(entryKey(key), found)
      if (typeof entry !== 'string') {
        return entry.offset >= this.#partitions[entry.partition]!.logStartOffset ? entry : null
      }
      // asked once more when it is open again, or built again
      if (contents === this.#contents) this.#damaged(entry)
    }
  }

  /** @returns text where the store cannot tell */
  async #find(contents: TableContents, key: Buffer): Promise<Buffer | null | string> {
    try {
      return await contents.find(key)
    } catch (error) {
      return (error as Error).message
    }
  }

  /**
   * All entries as they are once everything is applied that was durable at the time of the call. The caller closes it.
   * @param limitMs how long to wait for that
   * @param signal does not wait any longer
   * @throws TableUnavailableError
   */
  async snapshot(
    range: KeyRange = {},
    limitMs = this.#files.limits.waitMsMax,
    signal?: AbortSignal,
  ): Promise<TableSnapshot> {
    if (this.#snapshots >= SNAPSHOTS_MAX) {
      throw this.#unavailable(`has ${SNAPSHOTS_MAX} readers at work already`)
    }
    const until = new Map(this.#partitions.map(({ durableOffset }, i) => [i, durableOffset]))
    const ended = {
      damaged: (reason: string) => this.#damaged(reason),
      closed: () => {
        this.#snapshots--
      },
    }
    this.#snapshots++
    try {
      let snapshot: TableSnapshot | undefined
      const take = (contents: TableContents) => {
        snapshot = contents.snapshot(this.stream, range, ended)
      }
      await this.#reach(until, limitMs, take, signal)
      return snapshot!
    } catch (error) {
      this.#snapshots--
      throw error
    }
  }

  /** @param then runs in the loop, between two pieces of work */
  async #reach(
    until: Until,
    limitMs: number,
    then: (contents: TableContents) => void = () => {},
    signal?: AbortSignal,
  ) {
    if (this.#isClosing) throw this.#unavailable('is closed')
    const refused = () => this.#unavailable(delayText(this.status()))
    this.#wake.raise()
    await this.#waiters.wait(until, limitMs, refused, () => then(this.#contents!), signal)
  }

  #unavailable(reason: string): TableUnavailableError {
    return new TableUnavailableError(this.stream, reason)
  }

  status(): TableStatus {
    const contents = this.#contents
    const next = contents?.meta.next ?? this.#partitions.map(() => 0)
    const { lag, percent } = appliedOf(this.#partitions, next)
    return {
      stream: this.stream,
      state: this.#state,
      reason: this.#reason,
      appliedPercent: percent,
      lagRecords: lag,
      keys: contents?.keys ?? 0,
      bytes: this.#bytes,
      rebuilds: this.#rebuilds,
      unkeyed: contents?.meta.unkeyed ?? 0,
      misplaced: contents?.meta.misplaced ?? 0,
    }
  }

  /** Removes what is there and builds it again from the log. */
  rebuild(reason: string): void {
    this.#rebuildPause.skip()
    this.#damaged(reason)
  }

  #damaged(reason: string): void {
    this.#damage ??= reason
    this.#wake.raise()
  }

  /** Writes what is pending, then closes. Readers that wait are told so. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#unsubscribe()
    this.#waiters.fail(this.#unavailable('is closed'))
    this.#wake.raise()
    await this.#ended
  }

  // -- the loop -----------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    while (!this.#isClosing) {
      try {
        const pauseMs = await this.#work()
        if (pauseMs > 0) await this.#wake.wait(pauseMs)
      } catch (error) {
        await this.#fail(error as Error)
      }
    }
    try {
      if (this.#damage === null) await this.#contents?.write(async () => {})
    } catch (error) {
      // applied again at the next start
      this.#files.sink.warn('a table was closed without its last changes', this.#told(error as Error))
    }
    await this.#closeStore()
    this.#state = 'closed'
    this.#tellOpened()
  }

  /** One piece of work. @returns for how long there is none, in ms */
  async #work(): Promise<number> {
    if (this.#damage !== null) return this.#buildAgain(this.#damage)
    const contents = this.#contents
    if (contents === null) return this.#open()
    contents.skipDropped()
    const now = performance.now()
    const lost = this.#intake.lost(now, this.#files.limits.holesEveryMs)
    if (lost !== null) {
      this.#damaged(lost)
      return 0
    }
    this.#waiters.answer(contents.meta.next)
    const writeMs = contents.writeDueMs(now)
    if (writeMs === 0) {
      this.#pace.begin()
      await contents.write(() => this.#pace.rest())
      await this.#measure()
      return 0
    }
    const partition = this.#pass.nextPartition(now, !this.#waiters.isEmpty)
    if (partition !== null) return this.#take(partition)
    if (this.#pass.hasCaughtUp) this.#caughtUp(contents)
    if (this.#sweep.isDue(now)) return this.#sweepStep()
    const restMs = this.#pass.restUntil - now
    return restMs > 0 ? Math.min(restMs, writeMs) : writeMs
  }

  async #fail(error: Error): Promise<void> {
    if (this.#state !== 'failed') {
      this.#files.sink.error('a table cannot be kept; it is tried again by itself', this.#told(error))
    }
    this.#state = 'failed'
    this.#reason = error.message
    this.#tellOpened()
    await this.#closeStore()
    await this.#pause(this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX)
  }

  /** Nothing but `close` cuts it short. */
  async #pause(ms: number): Promise<void> {
    const until = performance.now() + ms
    while (!this.#isClosing && performance.now() < until) await this.#wake.wait(until - performance.now())
  }

  #told(error: Error): Record<string, unknown> {
    return { stream: this.stream, reason: error.message }
  }

  async #open(): Promise<number> {
    const { disk, directory, log, limits, writing } = this.#files
    const opened = await openTableStore(disk, directory, log, this.stream, limits.writeBufferBytes)
    if (typeof opened === 'string') {
      this.#damaged(opened)
      return 0
    }
    const contents = new TableContents(opened.store, opened.meta, this.#partitions, limits, writing)
    this.#pass = new TablePass(this.#partitions, contents.meta.next, limits.restMs)
    this.#sweep = new Sweep(contents, limits)
    this.#contents = contents
    this.#intake = new TableIntake(
      this.stream,
      contents,
      this.#files,
      this.#pace,
      () => this.#isClosing || this.#damage !== null,
    )
    this.#isNew = opened.isNew
    await this.#measure()
    this.#state = 'building'
    this.#reason = null
    this.#tellOpened()
    return 0
  }

  /** Looks at its files, but not all the time. */
  async #measure(): Promise<void> {
    const now = performance.now()
    if (now - this.#measuredAt < MEASURE_MS) return
    this.#measuredAt = now
    this.#bytes = await this.#files.disk.usage(this.#files.directory).catch(() => this.#bytes)
  }

  /** What is pending goes with it: the positions on disk say what is there. */
  async #closeStore(): Promise<void> {
    const contents = this.#contents
    this.#contents = null
    await contents?.store.close().catch(() => undefined)
  }

  async #buildAgain(reason: string): Promise<number> {
    const { disk, directory, sink } = this.#files
    await this.#closeStore()
    const pauseMs = this.#rebuildPause.leftMs(performance.now())
    if (pauseMs > 0) {
      this.#state = 'failed'
      this.#reason = `it is damaged: ${reason}`
      await this.#pause(pauseMs)
      if (this.#isClosing) return 0
    }
    sink.warn('a table is built again from the log', { stream: this.stream, reason })
    this.#state = 'opening'
    await removeTable(disk, directory)
    this.#rebuilds++
    this.#rebuildPause.began(performance.now())
    this.#damage = null
    return 0
  }

  #caughtUp(contents: TableContents): void {
    if (this.#state === 'current') return
    this.#state = 'current'
    this.#reason = null
    this.#retryMs = RETRY_MS_MIN
    const keys = contents.keys
    if (this.#isNew && keys > 0) this.#files.sink.info('a table is built', { stream: this.stream, keys })
    this.#isNew = false
  }

  async #take(partition: number): Promise<number> {
    const taken = await this.#intake.take(partition, this.#partitions[partition]!.durableOffset)
    if (taken === 'taken') {
      this.#reason = null
      return 0
    }
    if ('stale' in taken) {
      this.#damaged(taken.stale)
      return 0
    }
    // the log opens itself again, and says so
    this.#reason = taken.away
    return RETRY_MS_MIN
  }

  async #sweepStep(): Promise<number> {
    const result = await this.#sweep.step()
    if (typeof result === 'number') return result
    this.#damaged(result)
    return 0
  }
}
