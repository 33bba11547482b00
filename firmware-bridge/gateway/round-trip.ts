/** From a message to its answer, smoothed as TCP does (RFC 6298: an eighth of each new measurement). */
export class RoundTrip {
  #smoothedMs: number | null = null

  /** null: not measured yet. */
  get ms(): number | null {
    return this.#smoothedMs
  }

  measure(ms: number): void {
    this.#smoothedMs = this.#smoothedMs === null ? ms : this.#smoothedMs + (ms - this.#smoothedMs) / 8
  }
}
