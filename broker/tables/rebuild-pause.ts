/** A table that is found damaged again and again is not built again at once each time: that would write the disk to death. */

const PAUSE_MS_MIN = 1_000
const PAUSE_MS_MAX = 600_000
const FORGET_MS = 3_600_000

export class RebuildPause {
  #lastAt = Number.NEGATIVE_INFINITY
  #pauseMs = 0

  /** How long to wait before the next one. */
  leftMs(now: number): number {
    if (now - this.#lastAt > FORGET_MS) this.#pauseMs = 0
    return Math.max(0, this.#lastAt + this.#pauseMs - now)
  }

  /** One begins. */
  began(now: number): void {
    this.#lastAt = now
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, PAUSE_MS_MIN), PAUSE_MS_MAX)
  }

  /** A person asked for the next one. */
  skip(): void {
    this.#pauseMs = 0
  }
}
