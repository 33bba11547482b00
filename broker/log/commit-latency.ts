/**
 * Commit latencies in buckets at the preferred numbers of ISO 3, ten a decade (R10: 1, 1.25, 1.6, 2, ...): half a kilobyte, and a quantile is at
 * most 28 % above the true one. Counts of several add up, and those of two moments have a difference.
 */

const DECADE = [1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8] as const
const LOWEST_EXPONENT = -2
const DECADES = 7
/** Upper edges, ms: 0.01 to 80,000, and one for all above. */
const EDGES: readonly number[] = Array.from({ length: DECADES * DECADE.length }, (_, index) => {
  const exponent = Math.floor(index / DECADE.length) + LOWEST_EXPONENT
  return Number(`${DECADE[index % DECADE.length]}e${exponent}`)
})

/** How often it took so long: the buckets that have something in them. */
export interface LatencyCounts {
  /** Upper edges of the buckets, ms, rising; null: above all edges. */
  readonly upToMs: readonly (number | null)[]
  /** As many. */
  readonly counts: readonly number[]
  readonly sumMs: number
}

export class LatencyHistogram {
  readonly #counts = new Float64Array(EDGES.length + 1)
  count = 0
  sumMs = 0
  maxMs = 0

  record(ms: number): void {
    this.#counts[bucketOf(ms)]!++
    this.count++
    this.sumMs += ms
    if (ms > this.maxMs) this.maxMs = ms
  }

  /** @param q 0 to 1. @returns ms, the upper edge of the bucket; 0 when nothing was recorded. */
  quantile(q: number): number {
    return Math.min(quantileOf(this.counts(), q), this.maxMs)
  }

  counts(): LatencyCounts {
    return countsOf([this])
  }

  /** @returns for each bucket */
  at(bucket: number): number {
    return this.#counts[bucket]!
  }
}

/** Of several together. */
export function countsOf(histograms: readonly LatencyHistogram[]): LatencyCounts {
  const upToMs: (number | null)[] = []
  const counts: number[] = []
  for (let bucket = 0; bucket <= EDGES.length; bucket++) {
    const count = histograms.reduce((sum, histogram) => sum + histogram.at(bucket), 0)
    if (count === 0) continue
    upToMs.push(EDGES[bucket] ?? null)
    counts.push(count)
  }
  return { upToMs, counts, sumMs: histograms.reduce((sum, { sumMs }) => sum + sumMs, 0) }
}

/** What came between two looks. */
export function countsBetween(before: LatencyCounts, after: LatencyCounts): LatencyCounts {
  const had = new Map(before.upToMs.map((edge, index) => [edge, before.counts[index]!]))
  const counts = after.counts.map((count, index) => count - (had.get(after.upToMs[index]!) ?? 0))
  return { upToMs: after.upToMs, counts, sumMs: after.sumMs - before.sumMs }
}

/** @param q 0 to 1. @returns ms, the upper edge of its bucket; Infinity above all edges; 0 where there is none. */
export function quantileOf({ upToMs, counts }: LatencyCounts, q: number): number {
  let left = Math.ceil(q * counts.reduce((sum, count) => sum + count, 0))
  if (left === 0) return 0
  for (let i = 0; i < counts.length; i++) {
    left -= counts[i]!
    if (left <= 0) return upToMs[i] ?? Number.POSITIVE_INFINITY
  }
  return Number.POSITIVE_INFINITY
}

/** How often it took at most so long. @param edgeMs one of the edges */
export function countUpTo({ upToMs, counts }: LatencyCounts, edgeMs: number): number {
  return counts.reduce((sum, count, index) => {
    const edge = upToMs[index]
    return edge != null && edge <= edgeMs ? sum + count : sum
  }, 0)
}

/** The logarithm is near enough to be mended by one look at the edges. */
function bucketOf(ms: number): number {
  const guess = Math.ceil((Math.log10(ms) - LOWEST_EXPONENT) * DECADE.length)
  let bucket = Math.max(0, Math.min(EDGES.length, Number.isNaN(guess) ? 0 : guess))
  while (bucket > 0 && ms <= EDGES[bucket - 1]!) bucket--
  while (bucket < EDGES.length && ms > EDGES[bucket]!) bucket++
  return bucket
}
