/** Keys drawn at random, each as likely as any other, the same in every run. */

const SEED = 2_463_534_242

export class KeyDraw {
  readonly #keys: readonly Buffer[]
  #state = SEED

  constructor(count: number) {
    this.#keys = Array.from({ length: count }, (_, i) => Buffer.from(`sensor-${i}`))
  }

  /** 0 to count - 1, from a 32-bit xorshift (Marsaglia, 2003). */
  next(): number {
    let state = this.#state
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.#state = state
    return Math.floor(((state >>> 0) / 2 ** 32) * this.#keys.length)
  }

  key(i: number): Buffer {
    return this.#keys[i]!
  }
}
