/**
 * Ends a call upstream that goes on without an end. Upstreams have timeouts of their own for each request; this is for what they did
 * not foresee: a disk that does not answer, a request that is repeated for ever. The connection is dropped, which makes the call fail
 * soon. One that does not fail even then is left behind, and nothing is asked of that upstream until it has come to its end: what
 * it still does must not meet what is done next.
 */
import type { Clock } from '../clock.ts'
import { UpstreamStalledError } from '../errors.ts'

/** A call may take this many times what such calls took lately. */
const TIMES = 10
const MS_MIN = 60_000
const MS_MAX = 600_000
/** After a disconnect a call has this long to fail. */
const LET_GO_MS = 10_000

export class Watchdog {
  readonly #clock: Clock
  readonly #disconnect: () => Promise<void>
  #expectedMs = 0
  #leftBehind: Promise<void> | null = null
  /** Calls ended, since the start. */
  stalls = 0

  constructor(clock: Clock, disconnect: () => Promise<void>) {
    this.#clock = clock
    this.#disconnect = disconnect
  }

  /** A call that has not come to its end: nothing may be asked before. */
  get leftBehind(): Promise<void> | null {
    return this.#leftBehind
  }

  get msMax(): number {
    return Math.min(MS_MAX, Math.max(MS_MIN, this.#expectedMs * TIMES))
  }

  /** @throws UpstreamStalledError, and what the call throws */
  async watch<T>(what: string, call: () => Promise<T>): Promise<T> {
    const startedAt = this.#clock.monotonic()
    const work = call()
    const ended = work.then(
      () => {},
      () => {},
    )
    if (!(await this.#within(ended, this.msMax))) {
      this.stalls++
      void this.#disconnect().catch(() => {})
      const seconds = Math.round((this.#clock.monotonic() - startedAt) / 1000)
      if (!(await this.#within(ended, LET_GO_MS))) {
        this.#leftBehind = ended.then(() => {
          this.#leftBehind = null
        })
      }
      throw new UpstreamStalledError(what, seconds)
    }
    const value = await work
    const took = this.#clock.monotonic() - startedAt
    this.#expectedMs += (took - this.#expectedMs) * 0.2
    return value
  }

  /** @returns false when the time was up first */
  async #within(ended: Promise<void>, ms: number): Promise<boolean> {
    let cancel = () => {}
    const late = new Promise<false>((resolve) => {
      cancel = this.#clock.after(ms, () => resolve(false))
    })
    const inTime = await Promise.race([ended.then(() => true as const), late])
    cancel()
    return inTime
  }
}
