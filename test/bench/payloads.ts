/** Payloads as sensors send them: decimal numbers, each payload different, the same in every run. */

const POOL_BYTES = 1 << 20
const SEED = 88_172_645
/** It shares no factor with the pool's size: steps of this length come by every place. */
const STEP = 7919

export class Payloads {
  readonly #pool: Buffer
  readonly #bytes: number
  #at: number

  /** @param row rows begin at different places of the pool */
  constructor(bytes: number, row = 0) {
    this.#bytes = bytes
    this.#pool = poolOf(POOL_BYTES + bytes)
    this.#at = (row * 104_729) % POOL_BYTES
  }

  /** A view that stays valid. */
  next(): Buffer {
    this.#at = (this.#at + STEP) % POOL_BYTES
    return this.#pool.subarray(this.#at, this.#at + this.#bytes)
  }
}

let pool: Buffer = Buffer.alloc(0)

/** Made once a process: a hundred connections share it. */
function poolOf(bytes: number): Buffer {
  if (pool.length < bytes) pool = numbers(bytes)
  return pool
}

/** `12.34,5.67,` and so on, from a 32-bit xorshift (Marsaglia, 2003). */
function numbers(bytes: number): Buffer {
  const text = Buffer.allocUnsafe(bytes)
  let state = SEED
  let at = 0
  while (at < bytes) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const cents = ((state >>> 8) % 10_000) / 100
    at += text.write(`${cents.toFixed(2)},`, at, 'latin1')
  }
  return text
}
