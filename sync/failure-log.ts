/** Tells of trouble without drowning the log: the first failure, then a reminder now and then, then one line at the end. */
import type { HeadwaterError, LogSink } from '../broker/index.ts'
import type { Clock } from './clock.ts'

const REMIND_MS = 5 * 60_000

export class FailureLog {
  readonly #log: LogSink
  readonly #clock: Clock
  readonly #who: string
  #lastCode: string | null = null
  #lastAt = 0

  constructor(log: LogSink, clock: Clock, who: string) {
    this.#log = log
    this.#clock = clock
    this.#who = who
  }

  /** True between a failure that was told and `recovered`. */
  get isTold(): boolean {
    return this.#lastCode !== null
  }

  failed(error: HeadwaterError, tries: number): void {
    const now = this.#clock.monotonic()
    if (error.code === this.#lastCode && now - this.#lastAt < REMIND_MS) return
    this.#lastCode = error.code
    this.#lastAt = now
    this.#log.warn(`${this.#who}: ${error.line}`, { code: error.code, tries })
  }

  recovered(tries: number): void {
    if (tries > 0)
      this.#log.info(`${this.#who}: recovered after ${tries} ${tries === 1 ? 'try' : 'tries'}`, { tries })
    this.#lastCode = null
  }
}
