/** Looks at the broker every few seconds, for what takes more than one look: charts and alarms. */
import type { Alarm } from './alarms/alarm.ts'
import { HISTORY_INTERVAL_SECONDS, History, type HistoryReport, type Look } from './history/history.ts'
import { writtenBytes } from './metrics/process-facts.ts'
import type { Operations } from './operations.ts'

import { Wear, type WearReport } from './wear/wear.ts'

export type Watched = Pick<Operations, 'status' | 'sync' | 'log' | 'tables'>

export interface WatchWorld {
  /** ms since 1970 */
  now(): number
  /** ms, by a clock that nobody sets */
  monotonic(): number
  residentBytes(): number
  /** To the device since the start of this process; null where the system does not tell. */
  writtenBytes(): number | null
}

export const processWorld: WatchWorld = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  residentBytes: () => process.memoryUsage.rss(),
  writtenBytes,
}

export class Watch {
  readonly #watched: Watched
  readonly #world: WatchWorld
  readonly #history = new History()
  readonly #wear: Wear
  #timer: NodeJS.Timeout | undefined

  /** @param enduranceBytes of the card; null where nobody said */
  constructor(watched: Watched, enduranceBytes: number | null, world: WatchWorld = processWorld) {
    this.#watched = watched
    this.#world = world
    this.#wear = new Wear(enduranceBytes)
    this.look()
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), HISTORY_INTERVAL_SECONDS * 1000)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** What there is now is remembered. */
  look(): void {
    this.#history.add(this.#look())
    this.#wear.look(this.#world.monotonic(), this.#world.writtenBytes())
  }

  alarms(): Alarm[] {
    return []
  }

  wear(): WearReport {
    return this.#wear.report()
  }

  /** @param since ms since 1970 */
  history(since: number | null = null): HistoryReport {
    return this.#history.report(since)
  }

  #look(): Look {
    const { mqtt, ingress, log } = this.#watched.status()
    const upstreams = this.#watched.sync?.status() ?? []
    return {
      at: this.#world.now(),
      monotonic: this.#world.monotonic(),
      messages: ingress.received,
      messageBytes: ingress.receivedBytes,
      records: log.records,
      latency: log.commitLatency,
      lagRecords: upstreams.reduce((sum, { lagRecords }) => sum + lagRecords, 0),
      lagBytes: upstreams.reduce((sum, { lagBytes }) => sum + lagBytes, 0),
      connections: mqtt.connections,
      residentBytes: this.#world.residentBytes(),
    }
  }
}
