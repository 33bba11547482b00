/** Looks at the broker every few seconds, for what takes more than one look: charts and alarms. */
import type { Alarm } from './alarms/alarm.ts'
import { AlarmBook, findings } from './alarms/alarm-book.ts'
import { countersOf, Recent } from './alarms/look.ts'
import { HISTORY_INTERVAL_SECONDS, History, type HistoryReport, type Look } from './history/history.ts'
import { heldBytes, memoryBytesMax, writtenBytes } from './metrics/process-facts.ts'
import { type BrokerStatus, type Operations, streamReports, type UpstreamStatus } from './operations.ts'
import { Wear, type WearReport } from './wear/wear.ts'

export type Watched = Pick<Operations, 'status' | 'sync' | 'log' | 'tables'>

export interface WatchWorld {
  /** ms since 1970 */
  now(): number
  /** ms, by a clock that nobody sets */
  monotonic(): number
  residentBytes(): number
  /** Of these, what the system cannot take back. */
  heldBytes(): number
  /** What the system gives this process; null where that is all there is. */
  memoryBytesMax(): number | null
  /** To the device since the start of this process; null where the system does not tell. */
  writtenBytes(): number | null
  /** Calls back again and again, without keeping the process alive. @returns the way to stop */
  every(ms: number, callback: () => void): () => void
}

export const processWorld: WatchWorld = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  residentBytes: () => process.memoryUsage.rss(),
  heldBytes,
  memoryBytesMax,
  writtenBytes,
  every(ms, callback) {
    const timer = setInterval(callback, ms).unref()
    return () => clearInterval(timer)
  },
}

export class Watch {
  readonly #watched: Watched
  readonly #world: WatchWorld
  readonly #history = new History()
  readonly #wear: Wear
  readonly #recent = new Recent()
  readonly #book = new AlarmBook()
  #needsRestart: readonly string[] = []
  #stop = () => {}

  /** @param enduranceBytes of the card; null where nobody said */
  constructor(watched: Watched, enduranceBytes: number | null, world: WatchWorld = processWorld) {
    this.#watched = watched
    this.#world = world
    this.#wear = new Wear(enduranceBytes)
    this.look()
  }

  start(): void {
    this.#stop = this.#world.every(HISTORY_INTERVAL_SECONDS * 1000, () => this.look())
  }

  close(): void {
    this.#stop()
  }

  /** What there is now is remembered. */
  look(): void {
    const broker = this.#watched.status()
    const upstreams = this.#watched.sync?.status() ?? []
    this.#history.add(this.#look(broker, upstreams))
    this.#wear.look(this.#world.monotonic(), this.#world.writtenBytes())
    this.#judge(broker, upstreams)
  }

  /** @param keys of the configuration that changed and count from the next start; none: nothing waits for one */
  needsRestart(keys: readonly string[]): void {
    this.#needsRestart = keys
  }

  alarms(): Alarm[] {
    return this.#book.open()
  }

  wear(): WearReport {
    return this.#wear.report()
  }

  /** @param since ms since 1970 */
  history(since: number | null = null): HistoryReport {
    return this.#history.report(since)
  }

  #judge(broker: BrokerStatus, upstreams: readonly UpstreamStatus[]): void {
    const { log, tables, sync } = this.#watched
    const world = this.#world
    const streams = streamReports(log, tables)
    const at = world.now()
    const monotonic = world.monotonic()
    this.#recent.add(monotonic, countersOf(broker, streams, upstreams))
    const found = findings({
      at,
      broker,
      streams,
      upstreams,
      downlinks: sync?.downlinks?.() ?? [],
      wear: this.#wear.report(),
      heldBytes: world.heldBytes(),
      memoryBytesMax: world.memoryBytesMax(),
      needsRestart: this.#needsRestart,
      recent: this.#recent,
      isOpen: (id, subject) => this.#book.isOpen(id, subject),
    })
    this.#book.take(found, at, monotonic)
  }

  #look({ mqtt, ingress, log }: BrokerStatus, upstreams: readonly UpstreamStatus[]): Look {
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
