/** Compaction on demand: alone, and beside a writer that keeps a pace. */
import { setTimeout as delay } from 'node:timers/promises'
import type { CompactionReport } from '../../../../broker/log/compactor.ts'
import { memory, moment } from '../../process-usage.ts'
import { LatencyBuckets } from '../../statistics.ts'
import { type CompactJob, type CompactResult, type PacedJob, type PacedResult, QUANTILES } from '../job.ts'
import { finished } from './measure.ts'
import { openBenchLog } from './opened-log.ts'
import { Writer } from './writer.ts'

export async function compact({ directory, shape }: CompactJob): Promise<CompactResult> {
  const { log, close } = await openBenchLog(directory, shape.streams)
  const records = log
    .partitions()
    .reduce((sum, { logStartOffset, durableOffset }) => sum + durableOffset - logStartOffset, 0)
  const { rssBytes } = memory('self')
  const start = moment()
  const reports = await log.compact(null)
  const result = finished(start, { records, recordBytes: shape.recordBytes })
  await close()
  const sum = (of: (report: CompactionReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0)
  return {
    ...result,
    bytesBefore: reports[0]?.bytesBefore ?? 0,
    bytesAfter: reports.at(-1)?.bytesAfter ?? 0,
    bytesWritten: sum(({ bytesWritten }) => bytesWritten),
    recordsRemoved: sum(({ recordsRemoved }) => recordsRemoved),
    rssBeforeBytes: rssBytes,
  }
}

const WARM_UP_MS = 1_000
const TICK_MS = 1

/** Appends what is due each millisecond, whatever the log does: what a stall holds up is charged to it. */
class PacedWriter {
  /** What is measured now; null is nothing. */
  latency: LatencyBuckets | null = null
  appended = 0
  readonly #writer: Writer
  readonly #perMs: number
  readonly #startedAt = performance.now()
  #timer: NodeJS.Timeout | undefined
  #error: Error | null = null

  constructor(writer: Writer, recordsPerSecond: number) {
    this.#writer = writer
    this.#perMs = recordsPerSecond / 1000
    this.#tick()
  }

  /** Resolves once all is durable. */
  async end(): Promise<void> {
    clearTimeout(this.#timer)
    await new Promise<void>((resolve) => this.#writer.chain.onCommit(() => resolve()))
    if (this.#error !== null) throw this.#error
  }

  readonly #tick = (): void => {
    const due = Math.floor((performance.now() - this.#startedAt) * this.#perMs) - this.appended
    if (due > 0) {
      const dueAt = this.#startedAt + (this.appended + 1) / this.#perMs
      this.#writer.append(due)
      this.appended += due
      this.#writer.chain.onCommit((error) => {
        this.#error ??= error
        this.latency?.record(Math.max(0, (performance.now() - dueAt) * 1000))
      })
    }
    this.#timer = setTimeout(this.#tick, TICK_MS)
  }
}

export async function paced(job: PacedJob): Promise<PacedResult> {
  const { directory, shape, recordsPerSecond, seconds } = job
  const { log, close } = await openBenchLog(directory, shape.streams)
  const pace = new PacedWriter(new Writer(log, shape), recordsPerSecond)
  const alone = new LatencyBuckets()
  const beside = new LatencyBuckets()
  await delay(WARM_UP_MS)
  const start = moment()
  pace.latency = alone
  await delay(seconds * 500)
  pace.latency = beside
  const compacting = performance.now()
  await log.compact(null)
  const compactionSeconds = (performance.now() - compacting) / 1000
  pace.latency = null
  await delay(WARM_UP_MS)
  pace.latency = alone
  await delay(seconds * 500)
  await pace.end()
  const { seconds: taken } = finished(start, { records: 0, recordBytes: 0 })
  await close()
  return {
    compactionSeconds,
    recordsPerSecond: pace.appended / (taken + WARM_UP_MS / 1000),
    aloneMs: QUANTILES.map((q) => alone.quantile(q) / 1000),
    besideMs: QUANTILES.map((q) => beside.quantile(q) / 1000),
  }
}
