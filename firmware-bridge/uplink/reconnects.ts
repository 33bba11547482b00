/**
 * Who may try to connect to the broker, and when. While it answers, a few at a time; once it does not, all wait together and one tries,
 * with pauses that double up to a cap: two hundred devices are one knock at the door of a broker that is away, and come in turns when it is back.
 */

export interface ReconnectOptions {
  readonly pauseMsMin: number
  readonly pauseMsMax: number
  /** Attempts under way at once. */
  readonly attemptsMax: number
  /** 0 to 1, exclusive: spreads the pauses. */
  readonly random: () => number
  /** At the first failure in a row, and when the broker answers again. @param failures in a row */
  readonly onChange?: (isAway: boolean, failures: number) => void
}

export const RECONNECTS = { pauseMsMin: 250, pauseMsMax: 30_000, attemptsMax: 16 } as const

/** `reached`: the broker answered, whatever it said. `dropped`: nobody wants it any more. */
export type AttemptOutcome = 'reached' | 'unreachable' | 'dropped'

export class Reconnects {
  readonly #options: ReconnectOptions
  readonly #queue: (() => Promise<AttemptOutcome>)[] = []
  #running = 0
  #failures = 0
  #pause: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(options: ReconnectOptions) {
    this.#options = options
  }

  /** The last attempt did not reach the broker. */
  get isAway(): boolean {
    return this.#failures > 0
  }

  /** @param attempt called when it is its turn; not at all after close() */
  add(attempt: () => Promise<AttemptOutcome>): void {
    this.#queue.push(attempt)
    this.#next()
  }

  /** Half to one and a half of a pause that doubles. */
  pauseMs(failures: number): number {
    const { pauseMsMin, pauseMsMax, random } = this.#options
    const full = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(30, Math.max(0, failures - 1)))
    return full * (0.5 + random())
  }

  #next(): void {
    const most = this.#failures > 0 ? 1 : this.#options.attemptsMax
    while (!this.#isClosed && this.#pause === null && this.#running < most && this.#queue.length > 0) {
      void this.#try(this.#queue.shift()!)
    }
  }

  async #try(attempt: () => Promise<AttemptOutcome>): Promise<void> {
    this.#running++
    const outcome = await attempt()
    this.#running--
    if (outcome === 'reached' && this.#failures > 0) {
      this.#options.onChange?.(false, this.#failures)
      this.#failures = 0
    }
    // those that were under way together count once
    if (outcome === 'unreachable' && this.#pause === null && !this.#isClosed) {
      this.#failures++
      if (this.#failures === 1) this.#options.onChange?.(true, 1)
      this.#pause = setTimeout(() => {
        this.#pause = null
        this.#next()
      }, this.pauseMs(this.#failures))
    }
    this.#next()
  }

  close(): void {
    this.#isClosed = true
    if (this.#pause !== null) clearTimeout(this.#pause)
    this.#queue.length = 0
  }
}
