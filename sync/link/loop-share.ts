/**
 * How much of this process a drain may take. Publishers are served by the same event loop: a backlog that is sent as fast as it can be
 * read would slow them. So now and then the drain pauses for a moment and looks how busy the loop is without it; the busier, the longer
 * it then waits between rounds, down to a share of the loop that is always its own. On an idle device it hardly waits at all.
 *
 * What the loop seems to leave is not all there to take: publishers at full speed leave a fifth of it while they wait for the disk, and a
 * drain that takes this fifth slows them by a third. So the drain's share is the square of what is left.
 */
import type { Clock } from '../clock.ts'

/** Busy and idle time of the event loop, ms since the start, as `performance.eventLoopUtilization` has them. */
export type LoopTimes = () => { readonly idle: number; readonly active: number }

/** What a drain gets however busy the loop is: what publishers lose is less than that. */
const SHARE_MIN = 0.06
/** Below this much work of others nothing is held back. */
const BUSY_MIN = 0.1
const LOOK_MS = 25
const LOOK_EVERY_MS = 500
/** A look that finds less than the ones before counts half; one that finds more counts at once: publishers go first. */
const SMOOTHING = 0.5
const PAUSE_MS_MAX = 1000
/** A round while the loop is busy: what is read and put together at one go delays who comes meanwhile. */
const BUSY_ROUND_BYTES_MAX = 256 * 1024

export class LoopShare {
  readonly #clock: Clock
  readonly #times: LoopTimes
  #lookedAt = Number.NEGATIVE_INFINITY
  /** Busy share of the loop while nothing of this drain was under way, from 0 to 1; null before the first look. */
  #others: number | null = null

  constructor(clock: Clock, times: LoopTimes) {
    this.#clock = clock
    this.#times = times
  }

  get roundBytesMax(): number {
    return (this.#others ?? 1) < BUSY_MIN ? Number.POSITIVE_INFINITY : BUSY_ROUND_BYTES_MAX
  }

  /**
   * Waits as long as others need after a round of a backlog.
   * @param tookMs how long the round took
   * @param wait sleeps; may end early
   */
  async yield(tookMs: number, wait: (ms: number) => Promise<void>): Promise<void> {
    const now = this.#clock.monotonic()
    const isLook = now - this.#lookedAt >= LOOK_EVERY_MS
    const pause = Math.max(isLook ? LOOK_MS : 0, this.#pauseMs(tookMs))
    if (pause < 1) return
    const before = this.#times()
    await wait(pause)
    if (this.#clock.monotonic() - now < LOOK_MS / 2) return
    this.#lookedAt = this.#clock.monotonic()
    const after = this.#times()
    const active = after.active - before.active
    const all = active + after.idle - before.idle
    if (all > 0) this.#see(active / all)
  }

  #see(busy: number): void {
    const others = this.#others ?? busy
    this.#others = busy > others ? busy : others + (busy - others) * SMOOTHING
  }

  #pauseMs(tookMs: number): number {
    const others = this.#others ?? 0
    if (others < BUSY_MIN) return 0
    const share = Math.max(SHARE_MIN, (1 - others) ** 2)
    return Math.min(PAUSE_MS_MAX, (tookMs * (1 - share)) / share)
  }
}
