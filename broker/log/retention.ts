/**
 * Carries out what retention and the disk's budget plan: seals what would otherwise keep old records, removes segments of which nothing
 * is left, and writes those anew of which enough is dead.
 */
import type { LogSink } from '../log-sink.ts'
import type { Chain } from './chain.ts'
import {
  batchBytesOf,
  liveBytesFrom,
  planRemovals,
  planRetention,
  type RetentionPlan,
} from './retention-plan.ts'
import type { Segment } from './segment.ts'
import { type Keep, liveBytesMax, rewriteSegments } from './segment-rewriter.ts'
import { AGE_PORTIONS, plannedOf, spanMs, type TidiedStream } from './tidied-stream.ts'
import type { UpstreamFloors } from './upstream-floors.ts'

/** From which share of dead bytes on a segment is written anew: each byte is then copied once at most, on average. */
const DEAD_SHARE = 0.5
/** The same when the disk needs room. */
const DEAD_SHARE_PRESSED = 0.1
/** Segments' worth of dead bytes that wait to be removed: with more, rewriting no longer lets ingest go first. */
const URGENT_SEGMENTS = 1
/** With more, ingest waits: the disk holds what retention says and not much else, however fast records come. */
const LATE_SEGMENTS = 2

export interface RetentionOptions {
  /** A rewritten segment holds at most this. */
  readonly segmentBytes: number
  readonly boundariesOf: (chain: string) => readonly number[]
  isClosing(): boolean
  /** Bytes that can be written now to make room. */
  writableBytes(): Promise<number>
  /** Segments are not to be written anew now: the log is closing, or a round of compaction takes them along. */
  isHindered(): boolean
}

export class Retention {
  readonly #chains: readonly Chain[]
  readonly #streams: readonly TidiedStream[]
  readonly #floors: UpstreamFloors
  readonly #options: RetentionOptions
  readonly #log: LogSink
  readonly #evicted = new Map<string, number>()
  readonly #stats = { removedSegments: 0, rewrittenSegments: 0, rewrittenBytes: 0 }

  constructor(
    chains: readonly Chain[],
    streams: readonly TidiedStream[],
    floors: UpstreamFloors,
    options: RetentionOptions,
    log: LogSink,
  ) {
    this.#chains = chains
    this.#streams = streams
    this.#floors = floors
    this.#options = options
    this.#log = log
  }

  status() {
    return { evictedBytes: Object.fromEntries(this.#evicted), ...this.#stats }
  }

  /** Seals what a retention by time would otherwise keep for as long as the segment fills. */
  sealOld(now: number): void {
    for (const stream of this.#streams) {
      const { retentionMs, deletes } = stream.policy
      if (retentionMs === null || !deletes) continue
      const oldest = oldestActive(stream)
      if (oldest !== null && now - oldest > retentionMs / AGE_PORTIONS) stream.chain.roll()
    }
  }

  /** Room is needed and all that could go stands in active segments. */
  sealForRoom(): void {
    for (const { policy, chain, partitions } of this.#streams) {
      const isInActive = partitions.some(
        ({ id }) => (chain.row.open.index.partitions.get(id)?.count ?? 0) > 0,
      )
      if (policy.deletes && isInActive && chain.segments.length === 1) chain.roll()
    }
  }

  /**
   * Plans, and does what is planned: what fails in one chain keeps no other from its room.
   * @param bytesToFree although no stream's retention says so
   * @throws the first failure, once all has been tried
   */
  async run(now: number | null, bytesToFree: number): Promise<void> {
    const open = this.#chains.filter((chain) => chain.condition.state === 'open')
    const fittingBytes = liveBytesMax(await this.#options.writableBytes())
    const plan = planRetention({
      sealed: open.flatMap((chain) => chain.row.sealed),
      activeBytes: new Map(open.flatMap(activeBytes)),
      streams: plannedOf(
        this.#streams.filter(({ chain }) => open.includes(chain)),
        this.#floors,
      ),
      now,
      bytesToFree,
      liveBytesMax: fittingBytes,
    })
    const failures: unknown[] = []
    for (const chain of open) {
      const pressed = { isPressed: bytesToFree > 0, fittingBytes }
      await this.#apply(chain, plan, pressed).catch((error) => failures.push(error))
    }
    if (failures.length > 0) throw failures[0]
  }

  async #apply(
    chain: Chain,
    plan: RetentionPlan,
    { isPressed, fittingBytes }: { isPressed: boolean; fittingBytes: number },
  ): Promise<void> {
    const own = this.#streams.filter((stream) => stream.chain === chain)
    const starts = new Map([...plan.starts].filter(([id]) => chain.partitions.has(id)))
    const startOf = (id: number) => starts.get(id) ?? chain.partitions.get(id)?.logStartOffset ?? 0
    const removals = planRemovals(chain.row.sealed, {
      liveBytesOf: (segment) => liveBytesFrom(segment, startOf),
      spanMsOf: (segment) => spanMs(own, segment, startOf),
      deadShare: isPressed ? DEAD_SHARE_PRESSED : DEAD_SHARE,
      segmentBytes: Math.min(this.#options.segmentBytes, fittingBytes),
    })
    const empty = removals.filter(({ isEmpty }) => isEmpty).flatMap(({ segments }) => segments)
    if (empty.length > 0 || starts.size > 0) {
      const dropped = new Map(
        [...plan.dropped].filter(([name]) => own.some((stream) => stream.name === name)),
      )
      if (!(await chain.rearrange({ remove: empty, starts, dropped }))) return
      this.#stats.removedSegments += empty.length
      this.#tell(own, plan, dropped)
    }
    await this.#rewriteDead(
      chain,
      removals.filter(({ isEmpty }) => !isEmpty).map(({ segments }) => segments),
      startOf,
    )
  }

  async #rewriteDead(
    chain: Chain,
    runs: readonly (readonly Segment[])[],
    startOf: (id: number) => number,
  ): Promise<void> {
    const { segmentBytes } = chain
    const deadOf = (run: readonly Segment[]) =>
      run.reduce((sum, segment) => sum + batchBytesOf(segment) - liveBytesFrom(segment, startOf), 0)
    const liveOf = (run: readonly Segment[]) =>
      run.reduce((sum, segment) => sum + liveBytesFrom(segment, startOf), 0)
    let deadBytes = runs.reduce((sum, run) => sum + deadOf(run), 0)
    try {
      for (const run of runs) {
        // a round of compaction takes it along
        if (this.#options.isHindered()) break
        // it would fill the disk to its last byte, fail, and take a commit's room meanwhile
        if (liveOf(run) > liveBytesMax(await this.#options.writableBytes())) {
          deadBytes -= deadOf(run)
          continue
        }
        chain.admission.delay(deadBytes > LATE_SEGMENTS * segmentBytes)
        const isUrgent = deadBytes > URGENT_SEGMENTS * segmentBytes
        await this.#rewrite(chain, run, (id, { offset }) => offset >= startOf(id), isUrgent)
        deadBytes -= deadOf(run)
      }
    } finally {
      chain.admission.delay(false)
    }
  }

  #tell(own: readonly TidiedStream[], plan: RetentionPlan, dropped: ReadonlyMap<string, number>): void {
    for (const { name } of own) {
      const bytes = plan.evicted.get(name)
      if (bytes !== undefined) {
        this.#evicted.set(name, (this.#evicted.get(name) ?? 0) + bytes)
        this.#log.warn('the disk needs room: old records went before their time', { stream: name, bytes })
      }
      const records = dropped.get(name)
      if (records !== undefined) {
        this.#log.error('records went that upstream never got, as the stream says', { stream: name, records })
      }
    }
  }

  async #rewrite(chain: Chain, segments: readonly Segment[], keep: Keep, isUrgent: boolean): Promise<void> {
    const written = await rewriteSegments(chain, segments, keep, {
      isClosing: () => this.#options.isClosing(),
      boundaries: this.#options.boundariesOf(chain.name),
      isUrgent,
    })
    if (written === null) return
    const insert = written.segment ?? undefined
    const done = await chain.rearrange({ remove: segments, ...(insert === undefined ? {} : { insert }) })
    if (!done) return
    this.#stats.rewrittenSegments += segments.length
    this.#stats.rewrittenBytes += insert?.bytes ?? 0
  }
}

function activeBytes(chain: Chain): [number, number][] {
  return [...chain.row.open.index.partitions.values()].map(({ id, bytes }) => [id, bytes])
}

/** When the oldest record of the stream in the active segment was accepted, ms since 1970. */
function oldestActive({ chain, partitions }: TidiedStream): number | null {
  let oldest: number | null = null
  for (const { id } of partitions) {
    const index = chain.row.open.index.partitions.get(id)
    if (index === undefined || index.count === 0) continue
    oldest = Math.min(oldest ?? Number.POSITIVE_INFINITY, index.timestampAt(0))
  }
  return oldest
}
