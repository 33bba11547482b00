/**
 * How long the card lasts. A card takes so many bytes before it fails (its maker says how many, or a calculation: capacity by the cycles of its
 * cells); what is written in a day tells when that will be, for a card that is new.
 */

/** From hour to hour: a day is 24 of them. */
const LOOK_MS = 3_600_000
const LOOKS_MAX = 25
/** What a start writes must not be taken for what a day writes. */
const SETTLED_MS = 600_000

export interface WearReport {
  /** By this process since its start; null where the system does not tell. */
  readonly writtenBytes: number | null
  /** Over the last day, or since the start; null in the first ten minutes. */
  readonly bytesPerSecond: number | null
  /** log.disk.enduranceBytes */
  readonly enduranceBytes: number | null
  /** null where one of them is not known, or nothing is written. */
  readonly lifeSeconds: number | null
}

interface Look {
  readonly at: number
  readonly bytes: number
}

export class Wear {
  readonly #enduranceBytes: number | null
  readonly #looks: Look[] = []
  #last: Look | null = null

  constructor(enduranceBytes: number | null) {
    this.#enduranceBytes = enduranceBytes
  }

  /** @param at ms, by a clock that nobody sets @param bytes written since the start */
  look(at: number, bytes: number | null): void {
    if (bytes === null) return
    this.#last = { at, bytes }
    const newest = this.#looks.at(-1)
    if (newest !== undefined && at - newest.at < LOOK_MS) return
    this.#looks.push(this.#last)
    if (this.#looks.length > LOOKS_MAX) this.#looks.shift()
  }

  report(): WearReport {
    const bytesPerSecond = this.#rate()
    const enduranceBytes = this.#enduranceBytes
    const isKnown = bytesPerSecond !== null && bytesPerSecond > 0 && enduranceBytes !== null
    return {
      writtenBytes: this.#last?.bytes ?? null,
      bytesPerSecond,
      enduranceBytes,
      lifeSeconds: isKnown ? enduranceBytes / bytesPerSecond : null,
    }
  }

  #rate(): number | null {
    const [oldest] = this.#looks
    if (oldest === undefined || this.#last === null) return null
    const ms = this.#last.at - oldest.at
    return ms < SETTLED_MS ? null : ((this.#last.bytes - oldest.bytes) * 1000) / ms
  }
}
