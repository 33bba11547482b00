/** So many a second, twice as many at once. */
export class RateLimit {
  readonly #perMs: number
  readonly #tokensMax: number
  #tokens: number
  #at: number

  constructor(perSecond: number, now: number) {
    this.#perMs = perSecond / 1000
    this.#tokensMax = perSecond * 2
    this.#tokens = this.#tokensMax
    this.#at = now
  }

  /** @returns false: above the limit */
  take(now: number): boolean {
    if (this.#tokens < this.#tokensMax) {
      this.#tokens = Math.min(this.#tokens + (now - this.#at) * this.#perMs, this.#tokensMax)
    }
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
