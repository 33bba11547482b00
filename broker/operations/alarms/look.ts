/** What the rules of alarms look at: how all is now, and what came in the last minutes. */
import { countsBetween, type LatencyCounts } from '../../log/commit-latency.ts'
import type { BrokerStatus, DownlinkStatus, StreamReport, UpstreamStatus } from '../operations.ts'
import type { WearReport } from '../wear/wear.ts'

export interface AlarmLook {
  /** ms since 1970 */
  readonly at: number
  readonly broker: BrokerStatus
  readonly streams: readonly StreamReport[]
  readonly upstreams: readonly UpstreamStatus[]
  readonly downlinks: readonly DownlinkStatus[]
  readonly wear: WearReport
  /** Memory that the system cannot take back. */
  readonly heldBytes: number
  /** What the system gives this process; null where that is all there is. */
  readonly memoryBytesMax: number | null
  /** Keys of the configuration that changed and count from the next start. */
  readonly needsRestart: readonly string[]
  readonly recent: Recent
  /** Whether this one is open: it takes more to close it than not to open it. */
  isOpen(id: string, subject: string): boolean
}

/** Counters whose growth tells. */
export interface Counters {
  readonly latency: LatencyCounts
  readonly failedCommits: number
  readonly refusedLogins: number
  readonly deadLetters: number
  /** Messages that sessions could not keep. */
  readonly dropped: number
  /** By stream: records that went before every upstream had them. */
  readonly unsyncedDropped: Readonly<Record<string, number>>
  /** By upstream. */
  readonly lagRecords: Readonly<Record<string, number>>
}

export function countersOf(
  { log, mqtt, ingress }: BrokerStatus,
  streams: readonly StreamReport[],
  upstreams: readonly UpstreamStatus[],
): Counters {
  const { queueFull, inlineFull, gone, retainedFull } = mqtt.sessions.dropped
  return {
    latency: log.commitLatency,
    failedCommits: log.failedCommits,
    refusedLogins: mqtt.traffic.refusedLogins,
    deadLetters: ingress.deadLetters,
    // QoS 0 promises nothing, an expiry is its publisher's wish, and a size its reader's
    dropped: queueFull + inlineFull + gone + retainedFull,
    unsyncedDropped: Object.fromEntries(
      streams.map(({ stream, droppedRecords }) => [stream, droppedRecords]),
    ),
    lagRecords: Object.fromEntries(upstreams.map(({ name, lagRecords }) => [name, lagRecords])),
  }
}

/** A short one for what must be told soon, a long one for what is rare. */
const SHORT_MS = 60_000
const LONG_MS = 600_000
const STEP_MS = 15_000

/** The counters of the last ten minutes, some seconds apart. */
export class Recent {
  readonly #looks: { readonly at: number; readonly counters: Counters }[] = []
  #now: Counters | null = null

  /** @param at ms, by a clock that nobody sets */
  add(at: number, counters: Counters): void {
    this.#now = counters
    const last = this.#looks.at(-1)
    if (last !== undefined && at - last.at < STEP_MS) return
    this.#looks.push({ at, counters })
    while (this.#looks.length > 1 && this.#looks[1]!.at <= at - LONG_MS) this.#looks.shift()
  }

  /** Commits of the last minute or so. */
  commits(): LatencyCounts {
    const newest = this.#looks.at(-1)
    const from = this.#looks.find(({ at }) => newest !== undefined && newest.at - at <= SHORT_MS)
    if (from === undefined || this.#now === null) return { upToMs: [], counts: [], sumMs: 0 }
    return countsBetween(from.counters.latency, this.#now.latency)
  }

  /** How much a counter has grown in the last ten minutes, or since the start. */
  growth(of: (counters: Counters) => number): number {
    const [oldest] = this.#looks
    return oldest === undefined || this.#now === null ? 0 : of(this.#now) - of(oldest.counters)
  }

  /** Whether ten minutes are known, and it was more at each third of them. */
  grewThroughout(of: (counters: Counters) => number): boolean {
    const [oldest] = this.#looks
    const newest = this.#looks.at(-1)
    if (oldest === undefined || newest === undefined || this.#now === null) return false
    if (newest.at - oldest.at < LONG_MS - STEP_MS) return false
    const third = Math.floor(this.#looks.length / 3)
    const values = [oldest, this.#looks[third]!, this.#looks[2 * third]!].map(({ counters }) => of(counters))
    values.push(of(this.#now))
    return values.every((value, index) => index === 0 || value > values[index - 1]!)
  }
}
