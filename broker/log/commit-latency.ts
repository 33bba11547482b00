/** Commit latencies in buckets that grow by a quarter: a few hundred bytes, quantiles within 12 %. */

const BUCKETS = 64
const FIRST_MS = 0.02
const GROWTH = 1.25

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS)
  count = 0
  maxMs = 0

  record(ms: number): void {
    const bucket = ms <= FIRST_MS ? 0 : Math.ceil(Math.log(ms / FIRST_MS) / Math.log(GROWTH))
    this.#counts[Math.min(bucket, BUCKETS - 1)]!++
    this.count++
    if (ms > this.maxMs) this.maxMs = ms
  }

  /** @param q 0 to 1. @returns ms, the upper edge of the bucket; 0 when nothing was recorded. */
  quantile(q: number): number {
    if (this.count === 0) return 0
    let left = Math.ceil(q * this.count)
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#counts[i]!
      if (left <= 0) return Math.min(FIRST_MS * GROWTH ** i, this.maxMs)
    }
    return this.maxMs
  }

  reset(): void {
    this.#counts.fill(0)
    this.count = 0
    this.maxMs = 0
  }
}
