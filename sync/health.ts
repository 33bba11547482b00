/** What a replicator counts and measures, for status: it never decides anything. */
import { type LogSource, type PartitionState, partitionKey } from '../broker/index.ts'
import type { Clock } from './clock.ts'
import type { PlannedRound } from './round-builder.ts'
import { Rate } from './status.ts'

const TREND_MS = 30_000
const TREND_SAMPLE_MS = 1000
/** Partitions whose oldest waiting record is looked up; more would be many reads for one number. */
const OLDEST_READS_MAX = 64

export class Health {
  readonly #clock: Clock
  readonly #records: Rate
  readonly #bytes: Rate
  #lags: { at: number; lag: number }[] = []
  #ackedAt: number | null = null
  /** When the oldest record that waits was accepted, ms since 1970; null when none is known. */
  oldestTimestamp: number | null = null
  /** The same of streams that upstream refuses. */
  oldestLeftOut: number | null = null
  sentRecords = 0
  sentBytes = 0
  filteredRecords = 0
  passedOverRecords = 0
  skippedRecords = 0
  rounds = 0
  /** ms since 1970 */
  lastAckAt: number | null = null
  /** By partition, up to where records that retention took are counted. */
  readonly #skippedTo = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#records = new Rate(clock)
    this.#bytes = new Rate(clock)
  }

  get recordsPerSecond(): number {
    return this.#records.perSecond()
  }

  get bytesPerSecond(): number {
    return this.#bytes.perSecond()
  }

  get ackAgeSeconds(): number | null {
    return this.#ackedAt === null ? null : (this.#clock.monotonic() - this.#ackedAt) / 1000
  }

  /** Records became durable. What waits from now on is no older than now where nothing waited before. */
  arrived(): void {
    this.oldestTimestamp ??= this.#clock.now()
  }

  acknowledged(round: PlannedRound): void {
    this.sentRecords += round.records
    this.sentBytes += round.bytes
    this.filteredRecords += round.filtered
    this.passedOverRecords += round.passedOver
    this.rounds++
    this.#records.add(round.records)
    this.#bytes.add(round.bytes)
    this.lastAckAt = this.#clock.now()
    this.#ackedAt = this.#clock.monotonic()
  }

  /** Upstream goes on at a position below which retention took records. */
  skipped(partitions: readonly PartitionState[], positions: ReadonlyMap<string, number>): void {
    for (const { stream, partition, logStartOffset } of partitions) {
      const key = partitionKey(stream, partition)
      const from = Math.max(positions.get(key) ?? logStartOffset, this.#skippedTo.get(key) ?? 0)
      if (from >= logStartOffset) continue
      this.skippedRecords += logStartOffset - from
      this.#skippedTo.set(key, logStartOffset)
    }
  }

  noteLag(lag: number): void {
    const now = this.#clock.monotonic()
    const last = this.#lags.at(-1)
    if (last !== undefined && now - last.at < TREND_SAMPLE_MS) return
    this.#lags = this.#lags.filter(({ at }) => now - at <= TREND_MS)
    this.#lags.push({ at: now, lag })
  }

  /** How long `lag` records take to drain at the pace of late; null while they do not get fewer. */
  drainSeconds(lag: number): number | null {
    if (lag === 0) return 0
    const now = this.#clock.monotonic()
    const first = this.#lags.find(({ at }) => now - at <= TREND_MS)
    if (first === undefined || now - first.at < TREND_SAMPLE_MS || first.lag <= lag) return null
    return Math.ceil((lag * (now - first.at)) / 1000 / (first.lag - lag))
  }

  /** When the oldest of the records that wait was accepted, ms since 1970; null when none does. @param done up to where nothing waits, by `partitionKey` */
  async findOldest(
    log: LogSource,
    partitions: readonly PartitionState[],
    done: ReadonlyMap<string, number>,
  ): Promise<number | null> {
    const behind = partitions.flatMap(({ stream, partition, logStartOffset, durableOffset }) => {
      const from = Math.max(done.get(partitionKey(stream, partition)) ?? 0, logStartOffset)
      return from < durableOffset ? [{ stream, partition, from }] : []
    })
    let oldest: number | null = null
    for (const { stream, partition, from } of behind.slice(0, OLDEST_READS_MAX)) {
      const [batch] = await log.read(stream, partition, from, 1)
      if (batch === undefined) continue
      const timestamp = Number(batch.bytes.readBigInt64BE(27))
      oldest = Math.min(oldest ?? timestamp, timestamp)
    }
    return oldest
  }
}

/** Bytes of the records that wait, by the mean stored record of their streams. */
export function lagBytesOf(log: LogSource, lags: ReadonlyMap<string, number>): number {
  const stored = new Map<string, number>()
  for (const { stream, logStartOffset, durableOffset } of log.partitions()) {
    stored.set(stream, (stored.get(stream) ?? 0) + durableOffset - logStartOffset)
  }
  let bytes = 0
  for (const state of log.streams()) {
    const records = stored.get(state.stream) ?? 0
    if (records > 0) bytes += ((lags.get(state.stream) ?? 0) * state.bytes) / records
  }
  return Math.round(bytes)
}
