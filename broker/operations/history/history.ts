/** The last quarter of an hour in numbers, for charts: looks at the broker's counters, and what came between each two of them. */
import { countsBetween, type LatencyCounts, quantileOf } from '../../log/commit-latency.ts'

export const HISTORY_INTERVAL_SECONDS = 5
/** A quarter of an hour. */
export const HISTORY_SAMPLES_MAX = 180

/** Counters since the start, and states, at one moment. */
export interface Look {
  /** ms since 1970 */
  readonly at: number
  /** ms, by a clock that nobody sets */
  readonly monotonic: number
  readonly messages: number
  readonly messageBytes: number
  readonly records: number
  readonly latency: LatencyCounts
  readonly lagRecords: number
  readonly lagBytes: number
  readonly connections: number
  readonly residentBytes: number
}

export interface HistorySample {
  /** ms since 1970, at its end */
  readonly at: number
  /** PUBLISHes taken, and their payloads. */
  readonly messagesPerSecond: number
  readonly bytesPerSecond: number
  /** Records made durable. */
  readonly recordsPerSecond: number
  /** Of the commits in it; null where there were none. */
  readonly commitMsP50: number | null
  readonly commitMsP99: number | null
  /** Of all upstreams together, at its end. */
  readonly lagRecords: number
  readonly lagBytes: number
  readonly connections: number
  readonly residentBytes: number
}

export interface HistoryReport {
  readonly intervalSeconds: number
  /** Oldest first. */
  readonly samples: readonly HistorySample[]
}

export class History {
  readonly #samples: HistorySample[] = []
  #last: Look | null = null

  add(look: Look): void {
    if (this.#last !== null) {
      this.#samples.push(sampleOf(this.#last, look))
      if (this.#samples.length > HISTORY_SAMPLES_MAX) this.#samples.shift()
    }
    this.#last = look
  }

  /** @param since ms since 1970: samples after it alone */
  report(since: number | null): HistoryReport {
    const samples = since === null ? [...this.#samples] : this.#samples.filter(({ at }) => at > since)
    return { intervalSeconds: HISTORY_INTERVAL_SECONDS, samples }
  }
}

function sampleOf(before: Look, after: Look): HistorySample {
  const seconds = Math.max(0.001, (after.monotonic - before.monotonic) / 1000)
  const rate = (of: (look: Look) => number) => rounded(Math.max(0, of(after) - of(before)) / seconds)
  const latency = countsBetween(before.latency, after.latency)
  const hasCommits = latency.counts.some((count) => count > 0)
  const { at, lagRecords, lagBytes, connections, residentBytes } = after
  return {
    at,
    messagesPerSecond: rate(({ messages }) => messages),
    bytesPerSecond: rate(({ messageBytes }) => messageBytes),
    recordsPerSecond: rate(({ records }) => records),
    commitMsP50: hasCommits ? finite(quantileOf(latency, 0.5)) : null,
    commitMsP99: hasCommits ? finite(quantileOf(latency, 0.99)) : null,
    lagRecords,
    lagBytes,
    connections,
    residentBytes,
  }
}

/** Above the last edge of the histogram: longer than any commit that a chart can show. */
function finite(ms: number): number {
  return Number.isFinite(ms) ? ms : 100_000
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10
}
