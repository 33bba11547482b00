/** A seeded generator, so that a demo can be run again with the same sensors. Not for secrets. */
export interface Random {
  /** From [0, 1). */
  next(): number
  between(low: number, high: number): number
  /** Around 0, standard deviation 1. */
  normal(): number
}

/** mulberry32, by Tommy Ettinger (public domain): 32 bits of state are plenty here. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    between: (low, high) => low + next() * (high - low),
    // Box and Muller; 1 - next() is never 0
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  }
}
