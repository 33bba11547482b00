/** What is made of several runs: medians, and quantiles of latencies. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >>> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Field by field: a run that was slow and small at once does not drag both. */
export function medians<R extends { readonly [K in keyof R]: number }>(results: readonly R[]): R {
  const fields = Object.keys(results[0]!) as (keyof R)[]
  return Object.fromEntries(
    fields.map((field) => [field, median(results.map((result) => result[field]))]),
  ) as R
}

/** The median of the ratios within each run: what disturbs a run disturbs both sides of its ratio. */
export function ratio<R>(own: readonly R[], peer: readonly R[], of: (result: R) => number): number {
  return median(own.map((result, run) => of(result) / of(peer[run]!)))
}

/** The straight line nearest to the points (least squares): how much y grows for each 1 of x. */
export function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const mean = (of: (point: { x: number; y: number }) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length
  const x = mean((point) => point.x)
  const y = mean((point) => point.y)
  return mean((point) => (point.x - x) * (point.y - y)) / mean((point) => (point.x - x) ** 2)
}

const BUCKETS_PER_DOUBLING = 128

/** Latencies in microseconds, in buckets: exact below 256 us, within 1 % above. */
export class LatencyBuckets {
  readonly #counts = new Uint32Array(BUCKETS_PER_DOUBLING * 26)
  #count = 0

  record(us: number): void {
    const shift = Math.max(0, 24 - Math.clz32(us))
    this.#counts[shift * BUCKETS_PER_DOUBLING + (us >>> shift)]!++
    this.#count++
  }

  /** @param q 0 to 1. @returns microseconds, NaN when nothing was recorded. */
  quantile(q: number): number {
    let left = Math.max(1, Math.ceil(q * this.#count))
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count
      if (count > 0 && left <= 0) return lowerEdge(bucket)
    }
    return Number.NaN
  }

  reset(): void {
    this.#counts.fill(0)
    this.#count = 0
  }
}

function lowerEdge(bucket: number): number {
  if (bucket < 2 * BUCKETS_PER_DOUBLING) return bucket
  const shift = Math.floor(bucket / BUCKETS_PER_DOUBLING) - 1
  return (bucket - shift * BUCKETS_PER_DOUBLING) * 2 ** shift
}
