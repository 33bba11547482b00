/** Keeps the cached checkpoint of one upstream up to date, without a write for each round. */
import type { LogSink } from '../broker/index.ts'
import type { CachedCheckpoint, CheckpointCache } from './checkpoint.ts'
import type { Clock } from './clock.ts'
import type { Positions, Recovered } from './upstream.ts'

/** Positions are saved at most this often while rounds go by. */
const SAVE_MS = 1000

export class Remembered {
  readonly #cache: CheckpointCache
  readonly #upstream: string
  readonly #incarnation: string
  readonly #sink: LogSink
  readonly #clock: Clock
  #saved: CachedCheckpoint | null = null
  #savedAt = Number.NEGATIVE_INFINITY
  /** Positions came too soon after others to be saved. */
  #isDue = false

  constructor(cache: CheckpointCache, upstream: string, incarnation: string, sink: LogSink, clock: Clock) {
    this.#cache = cache
    this.#upstream = upstream
    this.#incarnation = incarnation
    this.#sink = sink
    this.#clock = clock
  }

  /** Null when nothing is remembered of this incarnation of the log. */
  get checkpoint(): CachedCheckpoint | null {
    return this.#saved
  }

  /** In how many ms `save` would save what it has put off; null where it has nothing. */
  get dueMs(): number | null {
    return this.#isDue ? Math.max(0, this.#savedAt + SAVE_MS - this.#clock.monotonic()) : null
  }

  async load(): Promise<void> {
    const found = await this.#cache.load(this.#upstream).catch(() => null)
    this.#saved = found?.incarnation === this.#incarnation ? found : null
  }

  /** @param recovered names the places that the positions are of; null before upstream has answered */
  async save(positions: Positions, recovered: Recovered | null, atOnce: boolean): Promise<void> {
    const now = this.#clock.monotonic()
    if (recovered === null) return
    if (!atOnce && now - this.#savedAt < SAVE_MS) {
      this.#isDue = true
      return
    }
    this.#isDue = false
    const entries = [...positions].flatMap(([key, next]) => {
      const place = recovered.partitions.get(key)?.place
      return place === undefined ? [] : [[key, { next, place }] as const]
    })
    // a stream that this upstream does not want any more, or refuses, keeps its entry for the day it goes there again
    const all = { ...this.#saved?.positions, ...Object.fromEntries(entries) }
    const checkpoint = { incarnation: this.#incarnation, positions: all }
    this.#savedAt = now
    if (JSON.stringify(checkpoint) === JSON.stringify(this.#saved)) return
    this.#saved = checkpoint
    await this.#cache.save(this.#upstream, checkpoint).catch((error) => {
      this.#sink.warn(`upstream ${this.#upstream}: its position is not remembered: ${String(error)}`)
    })
  }
}
