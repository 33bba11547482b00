/** What follows from a failure of an upstream or a downlink, and how long it has been failing. */
import { AssertionError, HeadwaterError, type LogSink } from '../broker/index.ts'
import { type BackoffOptions, backoffMs } from './backoff.ts'
import type { Clock, Signal } from './clock.ts'
import { SyncInternalError, UpstreamError } from './errors.ts'
import { FailureLog } from './failure-log.ts'
import type { Link } from './link/link.ts'
import { NETWORK_MS } from './link/link-probe.ts'
import type { CommonState } from './state-loop.ts'
import type { ReplicatorStatus } from './status.ts'

/** Waiting before the next try. */
export interface Backoff {
  readonly kind: 'backoff'
  /** For people, ms since 1970; `wakeAt` is monotonic, so that a clock that is set does not change the wait. */
  readonly until: number
  readonly wakeAt: number
  /** It looks as if the link was away, so that signs of its return count. */
  readonly isLink: boolean
}

/** Errors after which the link itself may be what is missing. */
const LINK_CODES: ReadonlySet<string> = new Set([
  'HW_UPSTREAM_UNREACHABLE',
  'HW_UPSTREAM_TIMEOUT',
  'HW_UPSTREAM_STALLED',
])

export interface RetriesParts {
  readonly backoff: BackoffOptions
  /** Without it a backoff is waited to its end. */
  readonly link?: Pick<Link, 'watch' | 'believed'>
  readonly sink: LogSink
  readonly clock: Clock
  /** From [0, 1). */
  readonly random: () => number
}

export class Retries {
  readonly #parts: RetriesParts
  readonly #who: string
  readonly #failures: FailureLog
  /** Failures in a row. */
  tries = 0
  /** The same, since the link last showed a sign of life. */
  #backoffTries = 0
  lastError: ReplicatorStatus['lastError'] = null

  /** @param who as the log names it */
  constructor(who: string, parts: RetriesParts) {
    this.#who = who
    this.#parts = parts
    this.#failures = new FailureLog(parts.sink, parts.clock, who)
  }

  failed(error: HeadwaterError): Backoff | CommonState {
    const { clock, sink, backoff, random } = this.#parts
    this.tries++
    this.#backoffTries++
    const { code, message, hint } = error
    this.lastError = { code, message, hint, at: clock.now() }
    if (!error.retryable) {
      sink.error(`${this.#who} stopped: ${error.line}`, { code })
      return { kind: 'stopped', error }
    }
    this.#failures.failed(error, this.tries)
    const slow = error instanceof UpstreamError && error.slow
    const wait = backoffMs(backoff, this.#backoffTries, slow, random())
    const wakeAt = clock.monotonic() + wait
    return { kind: 'backoff', until: clock.now() + wait, wakeAt, isLink: LINK_CODES.has(code) }
  }

  /** Waits for the end of a backoff, or for a sign that the link is back. @param isOver a person or the end wants something else */
  async wait(state: Backoff, signal: Signal, isOver: () => boolean): Promise<void> {
    const { clock, link } = this.#parts
    const watch = state.isLink ? (link?.watch() ?? null) : null
    for (;;) {
      const startedAt = clock.monotonic()
      const left = state.wakeAt - startedAt
      if (left <= 0 || isOver()) return
      await signal.wait(watch === null ? left : Math.min(left, NETWORK_MS))
      const sign = (await watch?.look(clock.monotonic() - startedAt)) ?? null
      if (sign === null) continue
      if (sign === 'probe') link?.believed(false)
      this.#backoffTries = 0
      return
    }
  }

  /** It serves. */
  over(): void {
    this.#failures.recovered(this.tries)
    this.tries = 0
    this.#backoffTries = 0
    this.lastError = null
    this.#parts.link?.believed(true)
  }
}

/** What is not an operating error is a mistake: a broken invariant stops, anything else is tried again. */
export function toHeadwaterError(thrown: unknown): HeadwaterError {
  if (thrown instanceof HeadwaterError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new SyncInternalError(message, !(thrown instanceof AssertionError), thrown)
}
