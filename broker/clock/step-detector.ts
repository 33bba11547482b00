/**
 * Sees steps of the wall clock: wall minus monotonic clock is constant while nobody sets the wall clock (Linux slews both alike).
 * A machine that slept is no step, nor is a process that was held up between two readings.
 */
import { STEP_MS_MIN } from './epoch.ts'
import type { SystemTime } from './system-time.ts'

export interface Step {
  /** By how much the clock was set, ms. */
  readonly ms: number
  /** When it was seen, and when the clock was last seen as it was before; monotonic. */
  readonly seenAt: number
  readonly lastSeenAt: number
  /** Wall minus monotonic, before and after. */
  readonly differenceBefore: number
  readonly difference: number
}

/** Both clocks are read within this, or read again. */
const READING_MS_MAX = 50
const READINGS_MAX = 5
/** Less is the precision of the system's uptime. */
const SUSPENDED_MS_MIN = 100

export class StepDetector {
  readonly #time: SystemTime
  readonly #onStep: (step: Step) => void
  #suspended: number
  /** Wall minus monotonic, as it was last seen: it follows what is slower than a step. */
  difference = 0
  /** Monotonic, counting the time for which the machine slept. */
  lastSeenAt = 0

  constructor(time: SystemTime, onStep: (step: Step) => void) {
    this.#time = time
    this.#onStep = onStep
    this.#suspended = time.suspended()
    Object.assign(this, this.#read())
  }

  /** ms since the boot, with the time for which the machine slept. */
  monotonic(): number {
    return this.#time.monotonic() + this.#suspended
  }

  /** Compares a reading of the wall clock that was just taken. @returns it, or a newer one after a step */
  look(wall = this.#time.wall()): number {
    const monotonic = this.monotonic()
    const difference = wall - monotonic
    if (Math.abs(difference - this.difference) > STEP_MS_MIN) return this.#lookAgain()
    this.difference = difference
    this.lastSeenAt = monotonic
    return wall
  }

  #lookAgain(): number {
    const suspended = this.#time.suspended()
    if (Math.abs(suspended - this.#suspended) > SUSPENDED_MS_MIN) this.#suspended = suspended
    const { difference, lastSeenAt: seenAt } = this.#read()
    const step: Step = {
      ms: difference - this.difference,
      seenAt,
      lastSeenAt: this.lastSeenAt,
      differenceBefore: this.difference,
      difference,
    }
    this.difference = difference
    this.lastSeenAt = seenAt
    if (Math.abs(step.ms) > STEP_MS_MIN) this.#onStep(step)
    return Math.round(seenAt + difference)
  }

  #read(): { difference: number; lastSeenAt: number } {
    for (let reading = 1; ; reading++) {
      const from = this.monotonic()
      const wall = this.#time.wall()
      const lastSeenAt = this.monotonic()
      if (lastSeenAt - from <= READING_MS_MAX || reading === READINGS_MAX) {
        return { difference: wall - lastSeenAt, lastSeenAt }
      }
    }
  }
}
