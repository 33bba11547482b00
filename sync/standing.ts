/** Where one upstream stands, as last known: from itself or, before it has answered, from what the edge remembers. */
import { type LogSink, type LogSource, type PartitionState, partitionKey } from '../broker/index.ts'
import type { CachedCheckpoint, CheckpointCache } from './checkpoint.ts'
import type { Clock } from './clock.ts'
import type { Selection } from './filter/selection.ts'
import { wantedPartitions } from './lanes.ts'
import { Remembered } from './remembered.ts'
import type { Positions, Recovered } from './upstream.ts'

export interface StandingParts {
  readonly log: LogSource
  readonly selection: Selection
  readonly cache: CheckpointCache
  readonly sink: LogSink
  readonly clock: Clock
}

export class Standing {
  readonly #log: LogSource
  readonly #selection: Selection
  readonly #remembered: Remembered
  /** null before upstream has answered. */
  #recovered: Recovered | null = null
  #positions: Positions = new Map()
  #floors: Positions = new Map()
  #urgent: { readonly priorityMin: number; readonly streams: ReadonlySet<string> } | null = null
  #done: Positions = new Map()
  /** Streams of which upstream has something else than this log: what is there is no position of theirs. */
  readonly #doubted = new Set<string>()

  constructor(upstream: string, { log, selection, cache, sink, clock }: StandingParts) {
    this.#log = log
    this.#selection = selection
    this.#remembered = new Remembered(cache, upstream, log.identity.incarnation, sink, clock)
  }

  /** Up to where nothing waits, by `partitionKey`: the positions, or further where records were left out. */
  get done(): Positions {
    return this.#done
  }

  /** The next offsets that upstream is known to have acknowledged, of streams that it refuses now, too. */
  get positions(): Positions {
    return this.#positions
  }

  /** What retention may take: the same, and all of what this upstream does not want. */
  get floors(): Positions {
    return this.#floors
  }

  get remembered(): CachedCheckpoint | null {
    return this.#remembered.checkpoint
  }

  get wanted(): PartitionState[] {
    return wantedPartitions(this.#log, this.#selection)
  }

  /** The wanted partitions as they are now. @param asked of which upstream was asked a moment ago */
  current(asked: readonly PartitionState[]): PartitionState[] {
    const keys = new Set(asked.map(({ stream, partition }) => partitionKey(stream, partition)))
    return this.#log.partitions().filter(({ stream, partition }) => keys.has(partitionKey(stream, partition)))
  }

  /** Takes up what is remembered. */
  async recall(): Promise<void> {
    await this.#remembered.load()
    const wanted = new Set(this.wanted.map(({ stream, partition }) => partitionKey(stream, partition)))
    const known = Object.entries(this.#remembered.checkpoint?.positions ?? {})
    this.at(new Map(known.flatMap(([key, { next }]) => (wanted.has(key) ? [[key, next] as const] : []))))
  }

  recovered(recovered: Recovered, positions: Positions): void {
    this.#recovered = recovered
    for (const { stream, partition } of this.#log.partitions()) {
      if (positions.has(partitionKey(stream, partition))) this.#doubted.delete(stream)
    }
    this.at(positions)
  }

  /** Retention leaves all of these streams as long as it is not known what of them is upstream. */
  doubted(streams: Iterable<string>): void {
    for (const stream of streams) this.#doubted.add(stream)
    this.at(this.#positions)
  }

  /** @param positions of what goes there now; streams that are refused stay where they were */
  at(positions: Positions): void {
    this.#positions = new Map([...this.#positions, ...positions])
    this.#done = this.#positions
    const floors = new Map(this.#positions)
    for (const { stream, partition } of this.#log.partitions()) {
      const key = partitionKey(stream, partition)
      if (!this.#selection.wants(stream)) floors.set(key, Number.POSITIVE_INFINITY)
      else if (this.#doubted.has(stream)) floors.delete(key)
    }
    this.#floors = floors
  }

  /** The log has other streams, or other priorities of them. */
  streamsChanged(): void {
    this.#urgent = null
    this.at(this.#positions)
  }

  /** @param done up to where nothing waits, of what goes there now */
  read(done: Positions): void {
    this.#done = new Map([...this.#positions, ...done])
  }

  /** When `remember` has something to save that it has put off, in ms; null where all is saved. */
  get saveDueMs(): number | null {
    return this.#remembered.dueMs
  }

  remember(atOnce: boolean): Promise<void> {
    return this.#remembered.save(this.#positions, this.#recovered, atOnce)
  }

  /** Remembers positions that upstream is about to have, or has. */
  save(positions: Positions, recovered: Recovered): Promise<void> {
    return this.#remembered.save(positions, recovered, true)
  }

  /** Whether something waits in a stream of this priority or above. @param isOut streams that do not go there now */
  isBehind(priorityMin: number, isOut: (stream: string) => boolean): boolean {
    const urgent = this.#streamsFrom(priorityMin)
    return this.#log.partitions().some(({ stream, partition, logStartOffset, durableOffset }) => {
      const done = this.#done.get(partitionKey(stream, partition)) ?? 0
      return urgent.has(stream) && !isOut(stream) && Math.max(done, logStartOffset) < durableOffset
    })
  }

  /** Looked up once, until `streamsChanged`. */
  #streamsFrom(priorityMin: number): ReadonlySet<string> {
    if (this.#urgent?.priorityMin !== priorityMin) {
      const streams = this.#log.streams().filter((state) => {
        return this.#selection.wants(state.stream) && this.#selection.priorityOf(state) >= priorityMin
      })
      this.#urgent = { priorityMin, streams: new Set(streams.map(({ stream }) => stream)) }
    }
    return this.#urgent.streams
  }
}
