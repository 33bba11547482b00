/**
 * When the files of a connection's credentials are looked at, and when a renewal that failed is told: when a second look finds it, too.
 * The first may have come between two files that somebody is replacing, or between two servers of which one trusts the new
 * certificate already.
 */

/** How often the files of a connection in use are looked at. */
const CHECK_MS = 30_000
/** After the first failure: whoever replaces files is done by then. */
const CHECK_AGAIN_MS = 2000

export class RenewalLooks {
  /** In a row. */
  #failures = 0
  #at: number

  /** @param now of the monotonic clock, ms */
  constructor(now: number) {
    this.#at = now
  }

  get hasFailed(): boolean {
    return this.#failures > 0
  }

  isDue(now: number): boolean {
    return now - this.#at >= (this.#failures === 1 ? CHECK_AGAIN_MS : CHECK_MS)
  }

  begun(now: number): void {
    this.#at = now
  }

  /** @returns whether it is to be told */
  failed(): boolean {
    return ++this.#failures > 1
  }

  /** The connection was replaced, or need not be. @returns whether a failure had been told */
  over(): boolean {
    const wasTold = this.#failures > 1
    this.#failures = 0
    return wasTold
  }
}
