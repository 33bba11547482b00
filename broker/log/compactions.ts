/** Rounds of compaction over all chains, one after another: by the rule, or for those who ask. */
import type { Chain } from './chain.ts'
import { planCompaction } from './compaction-plan.ts'
import { type CompactionProgress, type CompactionReport, compactChain } from './compactor.ts'
import { plannedOf, spanMs, type TidiedStream } from './tidied-stream.ts'
import type { UpstreamFloors } from './upstream-floors.ts'

export interface CompactionStatus {
  readonly isRunning: boolean
  /** Rounds that removed something, since the start. */
  readonly rounds: number
  readonly savedBytes: number
  readonly writtenBytes: number
  readonly removedRecords: number
}

export interface CompactionsOptions {
  /** A stream is compacted once this share of its bytes came since the last time. */
  readonly dirtyShare: number
  readonly segmentBytes: number
  /** ms since 1970, or null while the clock is not to be trusted. */
  readonly trustedNow: () => number | null
  readonly boundariesOf: (chain: string) => readonly number[]
  isClosing(): boolean
  /** Bytes that can be written now to make room. */
  writableBytes(): Promise<number>
}

export class Compactions {
  readonly #chains: readonly Chain[]
  readonly #streams: readonly TidiedStream[]
  readonly #floors: UpstreamFloors
  readonly #options: CompactionsOptions
  readonly #stats = { rounds: 0, savedBytes: 0, writtenBytes: 0, removedRecords: 0 }
  #compacting: Promise<unknown> | null = null
  /** A stream is compacted once this share of its bytes came since the last time. */
  dirtyShare: number

  constructor(
    chains: readonly Chain[],
    streams: readonly TidiedStream[],
    floors: UpstreamFloors,
    options: CompactionsOptions,
  ) {
    this.#chains = chains
    this.#streams = streams
    this.#floors = floors
    this.#options = options
    this.dirtyShare = options.dirtyShare
  }

  get isRunning(): boolean {
    return this.#compacting !== null
  }

  status(): CompactionStatus {
    return { isRunning: this.isRunning, ...this.#stats }
  }

  /** Resolves once what is under way has ended, well or not. */
  async ended(): Promise<void> {
    await this.#compacting?.catch(() => undefined)
  }

  /**
   * Compacts the streams whose cleanup says so: those that are dirty enough, or, when it is forced, all that are dirty.
   * @param stream one of them, or null for all
   * @returns a report for each round that was made
   */
  async run(
    stream: string | null = null,
    isForced = false,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport[]> {
    while (this.isRunning) await this.ended()
    const compacting = this.#compact(stream, isForced, onProgress)
    this.#compacting = compacting
    return compacting.finally(() => {
      this.#compacting = null
    })
  }

  async #compact(
    name: string | null,
    isForced: boolean,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport[]> {
    const reports: CompactionReport[] = []
    for (const chain of this.#chains) {
      const wanted = (stream: TidiedStream) =>
        stream.chain === chain && stream.policy.compacts && (name === null || stream.name === name)
      if (!this.#streams.some(wanted)) continue
      // what came last is taken along when someone asks for it
      if (isForced && chain.condition.state === 'open' && chain.row.open.index.count > 0) await chain.seal()
      for (;;) {
        const report = await this.#round(chain, wanted, isForced, onProgress)
        if (report === null) break
        reports.push(report)
        if (report.isComplete || this.#options.isClosing()) break
      }
    }
    return reports
  }

  async #round(
    chain: Chain,
    wanted: (stream: TidiedStream) => boolean,
    isForced: boolean,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport | null> {
    if (this.#options.isClosing() || chain.condition.state !== 'open') return null
    const now = this.#options.trustedNow()
    const own = this.#streams.filter((stream) => stream.chain === chain)
    const rounds = planCompaction({
      sealed: chain.row.sealed,
      streams: plannedOf(own.filter(wanted), this.#floors),
      cleaned: chain.row.facts.cleaned,
      dirtyShare: this.dirtyShare,
      isForced,
      now,
    })
    if (rounds.length === 0) return null
    const report = await compactChain(chain, rounds, {
      segmentBytes: this.#options.segmentBytes,
      now,
      spanMsOf: (segment) => spanMs(own, segment, (id) => chain.partitions.get(id)?.logStartOffset ?? 0),
      boundaries: this.#options.boundariesOf(chain.name),
      isClosing: () => this.#options.isClosing(),
      writableBytes: () => this.#options.writableBytes(),
      ...(onProgress === undefined ? {} : { onProgress }),
    })
    if (report === null) return null
    const { recordsRemoved, bytesBefore, bytesAfter, bytesWritten } = report
    if (report.segments > 0) this.#stats.rounds++
    this.#stats.savedBytes += bytesBefore - bytesAfter
    this.#stats.writtenBytes += bytesWritten
    this.#stats.removedRecords += recordsRemoved
    return report
  }
}
