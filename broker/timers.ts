/** Time and timers, as those see them who wait; a test hands in its own. */
export interface Clock {
  /** ms since 1970; may jump. */
  now(): number
  /** ms from an arbitrary start; never goes back. */
  monotonic(): number
  /** Calls back once after `ms`. @returns the way to cancel */
  after(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}
