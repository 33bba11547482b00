/**
 * Streams that upstream refuses while it takes the others: a topic that is missing or not allowed, a record that is too large, a
 * checkpoint that is not of this log. Each is left out for a while of its own, and asked for again:
 *
 *   retryable   after a backoff: the cap at once where the error is `slow`, else doubling; at once by `sync now`
 *   otherwise   when a person says `sync resume`, or at the next start
 */
import type { HeadwaterError, LogSink, UpstreamStatus } from '../broker/index.ts'
import { type BackoffOptions, backoffMs } from './backoff.ts'
import type { Clock } from './clock.ts'
import { UpstreamError } from './errors.ts'
import { FailureLog } from './failure-log.ts'

export interface RefusalsParts {
  readonly backoff: BackoffOptions
  readonly sink: LogSink
  readonly clock: Clock
  /** From [0, 1). */
  readonly random: () => number
}

interface Refusal {
  error: HeadwaterError
  /** In a row. */
  tries: number
  /** ms since 1970 */
  at: number
  /** It is left out now; else it was asked for again, and has not yet shown that it goes on. */
  isOut: boolean
  /** When it is asked for again: monotonic, and for people ms since 1970; null where a person has to say so. */
  wake: { readonly at: number; readonly until: number } | null
  /** When it was asked for again, monotonic. */
  askedAt: number
  readonly failures: FailureLog
}

export class Refusals {
  readonly #parts: RefusalsParts
  readonly #upstream: string
  readonly #byStream = new Map<string, Refusal>()

  constructor(upstream: string, parts: RefusalsParts) {
    this.#upstream = upstream
    this.#parts = parts
  }

  /** Leaves a stream out. @param isTold the log has a line of it already */
  refuse(stream: string, error: HeadwaterError, isTold = false): void {
    const { clock, sink, backoff, random } = this.#parts
    const known = this.#byStream.get(stream)
    const failures =
      known?.failures ?? new FailureLog(sink, clock, `upstream ${this.#upstream}, stream ${stream}`)
    const tries = (known?.tries ?? 0) + 1
    const slow = error instanceof UpstreamError && error.slow
    const wait = backoffMs(backoff, tries, slow, random())
    const wake = error.retryable ? { at: clock.monotonic() + wait, until: clock.now() + wait } : null
    this.#byStream.set(stream, { error, tries, at: clock.now(), isOut: true, wake, askedAt: 0, failures })
    if (!isTold) failures.failed(error, tries)
  }

  /** Not a stream that the last recovery was to find. */
  isOut(stream: string): boolean {
    return this.#byStream.get(stream)?.isOut ?? false
  }

  /** Left out, and it is not time yet to ask again. */
  mustWait(stream: string): boolean {
    const refusal = this.#byStream.get(stream)
    return this.isOut(stream) && !this.#isDue(refusal!)
  }

  /** A stream is to be asked for again. */
  get isDue(): boolean {
    return [...this.#byStream.values()].some((refusal) => this.#isDue(refusal))
  }

  /** Until one is; null where time alone changes nothing. */
  get dueMs(): number | null {
    const now = this.#parts.clock.monotonic()
    const waits = [...this.#byStream.values()].flatMap(({ isOut, wake }) =>
      isOut && wake !== null ? [wake.at - now] : [],
    )
    return waits.length === 0 ? null : Math.max(0, Math.min(...waits))
  }

  /** All that may be tried are due. @param byPerson also those that a person has to look at */
  hurry(byPerson = false): void {
    for (const refusal of this.#byStream.values()) {
      if (refusal.wake === null && !byPerson) continue
      refusal.wake = { at: Number.NEGATIVE_INFINITY, until: this.#parts.clock.now() }
    }
  }

  /** Those that are due are asked for now. */
  ask(): void {
    for (const refusal of this.#byStream.values()) {
      if (!this.#isDue(refusal)) continue
      refusal.isOut = false
      refusal.askedAt = this.#parts.clock.monotonic()
    }
  }

  /**
   * Upstream took something of these streams. What refused one may stand further on, so that it is over only once it has gone on for as
   * long as it may have been left out.
   */
  served(streams: ReadonlySet<string>): void {
    if (this.#byStream.size === 0) return
    const since = this.#parts.clock.monotonic() - this.#parts.backoff.msMax
    for (const stream of streams) {
      const refusal = this.#byStream.get(stream)
      if (refusal !== undefined && !refusal.isOut && refusal.askedAt <= since) this.#over(stream, refusal)
    }
  }

  /** All that waited is upstream, but for the streams that are left out. */
  caughtUp(): void {
    for (const [stream, refusal] of this.#byStream) if (!refusal.isOut) this.#over(stream, refusal)
  }

  status(): UpstreamStatus['refused'] {
    return [...this.#byStream].flatMap(([stream, { error, tries, at, isOut, wake }]) => {
      const { code, message, hint } = error
      return isOut ? [{ stream, code, message, hint, at, tries, retryAt: wake?.until ?? null }] : []
    })
  }

  #isDue({ isOut, wake }: Refusal): boolean {
    return isOut && wake !== null && wake.at <= this.#parts.clock.monotonic()
  }

  #over(stream: string, { failures, tries }: Refusal): void {
    failures.recovered(tries)
    this.#byStream.delete(stream)
  }
}
