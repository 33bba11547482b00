/** A token bucket: it fills at a rate, and holds two seconds of it, at least one, or what it is told to. */

const BURST_SECONDS = 2

export class Bucket {
  readonly #perSecond: number
  readonly #size: number
  #level: number
  #at: number

  /** @param now monotonic, ms */
  constructor(perSecond: number, now: number, sizeMin = 1) {
    this.#perSecond = perSecond
    this.#size = Math.max(sizeMin, perSecond * BURST_SECONDS)
    this.#level = this.#size
    this.#at = now
  }

  /** Takes what was used, also more than there is. @returns ms until there is something again */
  charge(count: number, now: number): number {
    this.#fill(now)
    this.#level -= count
    return this.#level >= 0 ? 0 : Math.ceil((-this.#level / this.#perSecond) * 1000)
  }

  isFull(now: number): boolean {
    this.#fill(now)
    return this.#level === this.#size
  }

  /** Takes one, where there is one. */
  take(now: number): boolean {
    this.#fill(now)
    if (this.#level < 1) return false
    this.#level--
    return true
  }

  #fill(now: number): void {
    this.#level = Math.min(this.#size, this.#level + ((now - this.#at) / 1000) * this.#perSecond)
    this.#at = now
  }
}
