/**
 * Answers that go on for long, of which each holds some of the log in memory: as many at one time as the broker can bear. Followers are among them, which hold
 * little, but nobody knows what they will ask for next.
 */
import { HttpLimitError } from './http/errors.ts'

export class StreamPlaces {
  readonly #max: number
  #taken = 0

  constructor(max: number) {
    this.#max = max
  }

  /** @returns the way to give the place back @throws HttpLimitError: 503 */
  take(): () => void {
    if (this.#taken >= this.#max) {
      throw new HttpLimitError(
        `${this.#max} others read records, tables or compact now`,
        'end one of them, or try again later',
        503,
      )
    }
    this.#taken++
    return () => {
      this.#taken--
    }
  }
}
