/**
 * Tells a wrong baud rate from a bad cable. A line that is read at another rate than it is written gives nothing but garbage, in frames
 * or in bytes that never become one, zeros among them; interference spoils some frames and lets others through. Judged over stretches of
 * input, so that it needs no clock: a stretch ends with FRAMES of them or with bytes that were part of no good one.
 */
const FRAMES = 32
const BYTES_MIN = 4096
/** In a noisy stretch hardly one frame in so many is good. */
const GOOD_ONE_IN = 16

export type NoiseChange = 'noise' | 'recovered' | null

export class NoiseDetector {
  readonly #bytes: number
  #good = 0
  #bad = 0
  #wasted = 0
  #isNoise = false

  /** @param frameBytesMax of the longest frame: a good one that is long is no noise while it comes */
  constructor(frameBytesMax = 0) {
    this.#bytes = Math.max(BYTES_MIN, 2 * frameBytesMax)
  }

  get isNoise(): boolean {
    return this.#isNoise
  }

  /**
   * @param wasted bytes that were part of no good frame
   * @returns `noise` once when garbage began, `recovered` once when most of a stretch is good again
   */
  note(good: number, bad: number, wasted: number): NoiseChange {
    this.#good += good
    this.#bad += bad
    this.#wasted += wasted
    const frames = this.#good + this.#bad
    if (frames < FRAMES && this.#wasted < this.#bytes) return null
    const isGarbage = this.#good * GOOD_ONE_IN <= this.#bad
    const isGood = this.#good > this.#bad
    this.clear()
    if (isGarbage && !this.#isNoise) {
      this.#isNoise = true
      return 'noise'
    }
    if (isGood && this.#isNoise) {
      this.#isNoise = false
      return 'recovered'
    }
    return null
  }

  /** Another stretch begins: a port was opened anew. */
  clear(): void {
    this.#good = 0
    this.#bad = 0
    this.#wasted = 0
  }
}
