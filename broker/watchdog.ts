/**
 * Tells the service manager that this process is well, as long as it is: an event loop that turns says so by turning, and what else has to
 * go on is asked for each time. Where something does not, nothing is told, and the service manager restarts the process.
 */
import type { LogSink } from './log-sink.ts'
import type { ServiceManager } from './service-manager.ts'
import type { Clock } from './timers.ts'

/** As often as the status is told where there is no watchdog. */
const STATUS_MS = 60_000
/** Times that it is fed in the time that the service manager waits: one that is late does not matter. */
const FEEDS = 3

export interface WatchdogParts {
  readonly manager: Pick<ServiceManager, 'watchdogMs' | 'alive' | 'status'>
  readonly clock: Clock
  readonly log: LogSink
  /** One line that says what goes on. */
  readonly status: () => string
  /** @returns what has come to a halt and should not have; null: nothing */
  readonly halted: () => string | null
}

export class Watchdog {
  readonly #parts: WatchdogParts
  readonly #everyMs: number
  #cancel = () => {}
  #halted: string | null = null

  constructor(parts: WatchdogParts) {
    this.#parts = parts
    const { watchdogMs } = parts.manager
    this.#everyMs = watchdogMs === null ? STATUS_MS : Math.max(1, Math.floor(watchdogMs / FEEDS))
  }

  start(): void {
    this.#cancel = this.#parts.clock.after(this.#everyMs, () => {
      this.#look()
      this.start()
    })
  }

  stop(): void {
    this.#cancel()
  }

  #look(): void {
    const { manager, log } = this.#parts
    const before = this.#halted
    this.#halted = this.#parts.halted()
    if (this.#halted === null) {
      if (before !== null) log.info('what had come to a halt goes on', { halted: before })
      void (manager.watchdogMs === null
        ? manager.status(this.#parts.status())
        : manager.alive(this.#parts.status()))
      return
    }
    if (before === null) {
      const then =
        manager.watchdogMs === null ? '' : '; the service manager restarts this process unless it goes on'
      log.error(`something has come to a halt${then}`, { halted: this.#halted })
    }
    void manager.status(`halted: ${this.#halted}`)
  }
}
