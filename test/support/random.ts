/** A seeded generator (mulberry32): the same seed gives the same run. */
export interface Random {
  /** 0 to 1, exclusive. */
  next(): number
  /** A whole number from `low` to `high`, both inclusive. */
  between(low: number, high: number): number
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { next, between: (low, high) => low + Math.floor(next() * (high - low + 1)) }
}

/** The seed of every run with CI=true: what passed once passes again. */
const CI_SEED = 1

/** The seed of this run: HEADWATER_TEST_SEED, in CI a fixed one, else one of the clock's. Print it, to play a failure again. */
export function testSeed(): number {
  const given = process.env.HEADWATER_TEST_SEED
  if (given !== undefined) return Number(given)
  return process.env.CI === 'true' ? CI_SEED : Date.now() % 2 ** 31
}

/** Plays so many lives, each from a seed of its own; a failure names the seed that plays it again. @param kept seeds that once found a fault */
export async function playLives(
  lives: number,
  play: (random: Random) => Promise<void>,
  kept: readonly number[] = [],
): Promise<void> {
  const seed = testSeed()
  for (const one of [...kept, ...Array.from({ length: lives }, (_, life) => seed + life)]) {
    try {
      await play(seededRandom(one))
    } catch (error) {
      throw new Error(`HEADWATER_TEST_SEED=${one}`, { cause: error })
    }
  }
}
