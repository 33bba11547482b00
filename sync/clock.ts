/** Time, as the replicator sees it; a test hands in its own. */
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

/** Something happened: wakes whoever waits. A signal raised while nobody waits is kept for the next one. */
export class Signal {
  readonly #clock: Clock
  #raised = false
  #wake: (() => void) | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  raise(): void {
    this.#raised = true
    this.#wake?.()
  }

  /** Waits for the signal, at most `msMax` when given. */
  async wait(msMax?: number): Promise<void> {
    if (!this.#raised && (msMax === undefined || msMax > 0)) {
      await new Promise<void>((resolve) => {
        const cancel = msMax === undefined ? () => {} : this.#clock.after(msMax, resolve)
        this.#wake = () => {
          cancel()
          resolve()
        }
      })
      this.#wake = null
    }
    this.#raised = false
  }
}
