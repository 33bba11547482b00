/** Stored batches that readers found damaged: each is passed over, and counted and logged once. */
import type { LogSink } from '../log-sink.ts'

/** Past it the damage is beyond single lines; `log verify` has them all. */
const REMEMBERED_MAX = 1_000

export class DamageLog {
  readonly #log: LogSink
  readonly #counters: { faults: number }
  readonly #seen = new Set<string>()

  constructor(log: LogSink, counters: { faults: number }) {
    this.#log = log
    this.#counters = counters
  }

  found(commit: number, id: number, reason: string): void {
    const place = `${commit}/${id}`
    if (this.#seen.has(place) || this.#seen.size >= REMEMBERED_MAX) return
    this.#seen.add(place)
    this.#counters.faults++
    this.#log.error('a stored batch is damaged and passed over', { commit, id, reason })
  }
}
