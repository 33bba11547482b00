/**
 * The time by which sessions, wills and retained messages end: ms that this broker has lived through, over restarts.
 *
 * While the broker runs it goes with the monotonic clock, so that no step of the wall clock ends a session. What passed while it was off
 * is known from the wall clock, where that was trusted before and is trusted again: then time goes forward by as much. Where it is not,
 * the time off does not count, and sessions live longer rather than end by mistake. A board without a battery clock learns the time a
 * while after its start: time goes forward then.
 *
 * Stored: { time, and an anchor: a moment of which both times were known }.
 */

export interface ClockSource {
  /** ms of any origin; never steps. */
  monotonic(): number
  /** ms since 1970; null while the clock is not to be trusted. */
  trustedNow(): number | null
}

export interface StoredTime {
  readonly time: number
  readonly anchorTime: number
  /** ms since 1970; null where the clock was never trusted. */
  readonly anchorWall: number | null
}

/** A clock that is said to be trusted can still be wrong: no restart takes longer than this, ms (10 years). */
const OFF_MS_MAX = 10 * 365 * 86_400_000

export class SessionClock {
  readonly #source: ClockSource
  /** Time minus monotonic time. */
  #difference: number
  #anchorTime = 0
  #anchorWall: number | null = null
  /** The time off is still to be added, once the clock is trusted. */
  #owesTimeOff = false

  constructor(source: ClockSource, stored: StoredTime | null) {
    this.#source = source
    this.#difference = (stored?.time ?? 0) - source.monotonic()
    if (stored === null || stored.anchorWall === null) return
    this.#anchorTime = stored.anchorTime
    this.#anchorWall = stored.anchorWall
    this.#owesTimeOff = true
    this.look()
  }

  now(): number {
    return Math.floor(this.#source.monotonic() + this.#difference)
  }

  /** Now and then. @returns true where time went forward by what passed while the broker was off */
  look(): boolean {
    const wall = this.#source.trustedNow()
    if (wall === null) return false
    let hasJumped = false
    if (this.#owesTimeOff && this.#anchorWall !== null) {
      const byWall = this.#anchorTime + Math.min(wall - this.#anchorWall, OFF_MS_MAX)
      const missing = byWall - this.now()
      if (missing > 0) {
        this.#difference += missing
        hasJumped = true
      }
      this.#owesTimeOff = false
    }
    this.#anchorTime = this.now()
    this.#anchorWall = wall
    return hasJumped
  }

  stored(): StoredTime {
    this.look()
    return { time: this.now(), anchorTime: this.#anchorTime, anchorWall: this.#anchorWall }
  }
}
