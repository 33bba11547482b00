/** Payloads as sensors send them: decimal numbers, each payload different, the same in every run. */

const POOL_BYTES = 1 << 20

export class Payloads {
  readonly #pool: Buffer
  readonly #bytes: number
  #at = 0

  /** @param seed any number but 0 */
  constructor(bytes: number, seed = 88_172_645) {
    this.#bytes = bytes
    this.#pool = numbers(POOL_BYTES + bytes, seed)
  }

  /** A view that stays valid. */
  next(): Buffer {
    // a step that shares no factor with the pool's size comes by every place
    this.#at = (this.#at + 7919) % POOL_BYTES
    return this.#pool.subarray(this.#at, this.#at + this.#bytes)
  }
}

/** `12.34,5.67,` and so on, from a 32-bit xorshift (Marsaglia, 2003). */
function numbers(bytes: number, seed: number): Buffer {
  const pool = Buffer.allocUnsafe(bytes)
  let state = seed | 0
  let at = 0
  while (at < bytes) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const cents = ((state >>> 8) % 10_000) / 100
    at += pool.write(`${cents.toFixed(2)},`, at, 'latin1')
  }
  return pool
}
