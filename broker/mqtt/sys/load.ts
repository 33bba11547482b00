/**
 * How much a minute, averaged over the last 1, 5 and 15 minutes, as mosquitto and uptime(1) have it: exponentially, so that nothing but the averages
 * is kept.
 */
export const LOAD_MINUTES = [1, 5, 15] as const

export class Load {
  #total: number
  readonly #perMinute = LOAD_MINUTES.map(() => 0)

  /** @param total what was counted so far */
  constructor(total: number) {
    this.#total = total
  }

  /**
   * @param total what is counted now
   * @param seconds since the last call
   * @returns one for each of LOAD_MINUTES
   */
  next(total: number, seconds: number): readonly number[] {
    if (seconds <= 0) return this.#perMinute
    const rate = ((total - this.#total) / seconds) * 60
    this.#total = total
    for (const [index, minutes] of LOAD_MINUTES.entries()) {
      const kept = Math.exp(-seconds / (60 * minutes))
      this.#perMinute[index] = rate + kept * (this.#perMinute[index]! - rate)
    }
    return this.#perMinute
  }
}
