/** Waiting, on a clock that a test hands in. */
import type { Clock } from '../broker/index.ts'

export { type Clock, systemClock } from '../broker/index.ts'

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
