/**
 * Writes what sessions must not lose: one write at a time, and what is put meanwhile goes with the next (group commit).
 *
 * `put` and `remove` collect; `flush` resolves once they are on disk. `flush(true)` and `checkpoint` take the derived state along: the
 * builder is asked at the moment at which the write begins, so that queues, retained messages and positions in the log are of one moment.
 *
 * After a write that failed nobody knows what the disk kept. Who waits is told so; what was to be written is kept, newest value by key,
 * and written again once the store has been closed and opened, with growing pauses. Memory is what counts meanwhile: writing it again
 * brings the disk to it, whatever was kept.
 */
import { SessionStateError } from '../../errors.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk, Store, StoreOptions } from '../../storage/store.ts'
import { sealed, unsealed } from './state-format.ts'

export const STATE_STORE_OPTIONS: StoreOptions = {
  writeBufferBytes: 1024 * 1024,
  createIfMissing: true,
  fileBytes: 1024 * 1024,
}

const REOPEN_MS_MIN = 100
const REOPEN_MS_MAX = 5_000

interface Change {
  readonly key: Buffer
  /** null: removed */
  readonly payload: Buffer | null
}

interface Waiter {
  resolve(): void
  reject(error: Error): void
}

/** Puts the derived state, all of it that has changed. */
export type StateBuilder = () => void

export class StateStore {
  readonly #disk: Disk
  readonly #directory: string
  readonly #log: LogSink
  #store: Store
  /** By key as latin1. */
  #pending = new Map<string, Change>()
  #writing: Map<string, Change> | null = null
  readonly #later = new Map<string, Buffer>()
  #waiters: Waiter[] = []
  #flushed: Promise<void> | null = null
  #wantsSync = false
  #wantsBuild = false
  #isRunning = false
  #idle: (() => void)[] = []
  #failure: SessionStateError | null = null
  #reopenTimer: NodeJS.Timeout | undefined
  #reopening: Promise<void> = Promise.resolve()
  #isClosing = false
  /** Set by who knows the derived state. */
  build: StateBuilder = () => {}
  readonly stats = { writes: 0, synced: 0, failed: 0, bytes: 0 }

  constructor(disk: Disk, directory: string, store: Store, log: LogSink) {
    this.#disk = disk
    this.#directory = directory
    this.#store = store
    this.#log = log
  }

  /** Why nothing reaches the disk now; null where it does. */
  get failure(): Error | null {
    return this.#failure
  }

  /** What was put or removed and is not on its way. */
  get unwritten(): number {
    return this.#pending.size + this.#later.size
  }

  put(key: Buffer, payload: Buffer): void {
    const name = key.toString('latin1')
    this.#later.delete(name)
    this.#pending.set(name, { key, payload })
  }

  remove(key: Buffer): void {
    this.#pending.set(key.toString('latin1'), { key, payload: null })
  }

  /** Removed with the derived state that is written next, unless it is put again before. */
  removeLater(key: Buffer): void {
    this.#later.set(key.toString('latin1'), key)
  }

  /**
   * Resolves once all that was put is on disk.
   * @param withDerived the derived state goes in the same write
   * @throws SessionStateError
   */
  flush(withDerived = false): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    this.#wantsSync = true
    this.#wantsBuild ||= withDerived
    this.#flushed ??= new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
    this.#schedule()
    return this.#flushed
  }

  /** The derived state is written, without waiting for the disk. */
  checkpoint(): void {
    this.#wantsBuild = true
    if (this.#failure === null) this.#schedule()
  }

  /** What is stored or about to be. @throws where the disk is at fault */
  async get(key: Buffer): Promise<Buffer | undefined> {
    const name = key.toString('latin1')
    const change = this.#pending.get(name) ?? this.#writing?.get(name)
    if (change !== undefined) return change.payload ?? undefined
    const value = await this.#store.get(key)
    return value === undefined ? undefined : unsealed(key, value)
  }

  /** The same for several, in one call into the store. @throws where the disk is at fault */
  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const changes = keys.map((key) => {
      const name = key.toString('latin1')
      return this.#pending.get(name) ?? this.#writing?.get(name)
    })
    const stored = keys.filter((_, i) => changes[i] === undefined)
    const values = stored.length === 0 ? [] : await this.#store.getMany(stored)
    let next = 0
    return keys.map((key, i) => {
      const change = changes[i]
      if (change !== undefined) return change.payload ?? undefined
      const value = values[next++]
      return value === undefined ? undefined : unsealed(key, value)
    })
  }

  #schedule(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    // after this turn's packets, so that all they bring goes into one write
    setImmediate(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#failure === null && (this.#wantsSync || this.#wantsBuild)) await this.#write()
    this.#isRunning = false
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #write(): Promise<void> {
    const sync = this.#wantsSync
    if (this.#wantsBuild) this.#build()
    this.#wantsSync = false
    this.#wantsBuild = false
    const waiters = this.#waiters
    this.#waiters = []
    this.#flushed = null
    const changes = this.#pending
    this.#pending = new Map()
    this.#writing = changes
    try {
      if (changes.size > 0) await this.#writeAll(changes, sync)
      this.#writing = null
      for (const waiter of waiters) waiter.resolve()
    } catch (error) {
      this.#fail(error as Error, changes, waiters)
    }
  }

  #build(): void {
    this.build()
    for (const [name, key] of this.#later) this.#pending.set(name, { key, payload: null })
    this.#later.clear()
  }

  async #writeAll(changes: ReadonlyMap<string, Change>, sync: boolean): Promise<void> {
    const batch = this.#store.batch()
    for (const { key, payload } of changes.values()) {
      if (payload === null) batch.delete(key)
      else {
        const value = sealed(key, payload)
        this.stats.bytes += key.length + value.length
        batch.put(key, value)
      }
    }
    await batch.write({ sync })
    this.stats.writes++
    if (sync) this.stats.synced++
  }

  // -- failure ------------------------------------------------------------------------------------------------------

  #fail(cause: Error, changes: Map<string, Change>, waiters: readonly Waiter[]): void {
    const reason = (cause as { cause?: Error }).cause?.message ?? cause.message
    this.stats.failed++
    this.#log.error('the state of the MQTT sessions could not be written; it is tried again', { reason })
    this.#failure = new SessionStateError(reason, cause)
    // what was put since is newer
    for (const [name, change] of this.#pending) changes.set(name, change)
    this.#pending = changes
    this.#writing = null
    for (const waiter of [...waiters, ...this.#waiters.splice(0)]) waiter.reject(this.#failure)
    this.#flushed = null
    this.#reopenLater(REOPEN_MS_MIN)
  }

  #reopenLater(afterMs: number): void {
    if (this.#isClosing) return
    this.#reopenTimer = setTimeout(() => {
      this.#reopening = this.#reopen(afterMs)
    }, afterMs)
    this.#reopenTimer.unref()
  }

  async #reopen(afterMs: number): Promise<void> {
    let changes = new Map<string, Change>()
    try {
      await this.#store.close().catch(() => undefined)
      this.#store = await this.#disk.openStore(this.#directory, STATE_STORE_OPTIONS)
      this.#build()
      changes = this.#pending
      this.#pending = new Map()
      this.#writing = changes
      await this.#writeAll(changes, true)
      this.#failure = null
      this.#log.info('the state of the MQTT sessions is written again')
    } catch (error) {
      for (const [name, change] of this.#pending) changes.set(name, change)
      this.#pending = changes
      this.#failure = new SessionStateError((error as Error).message, error)
      this.#reopenLater(Math.min(afterMs * 2, REOPEN_MS_MAX))
      return
    } finally {
      this.#writing = null
    }
    this.checkpoint()
  }

  /** Writes the derived state with fsync, then closes. */
  async close(): Promise<void> {
    const last = this.flush(true).catch((error: Error) => {
      this.#log.warn('the state of the MQTT sessions is not all on disk: some messages come again', {
        reason: error.message,
      })
    })
    this.#isClosing = true
    await last
    clearTimeout(this.#reopenTimer)
    await this.#reopening
    while (this.#isRunning) await new Promise<void>((resolve) => this.#idle.push(resolve))
    await this.#store.close()
  }
}
