/**
 * Reads some partitions of the log by turns, each from its own position. Where few of the log's bytes are wanted (a stream of alarms, one
 * stream of many) it reads just those; the log's own cursor reads all commits in their order, which is quicker where most is wanted.
 */
import { type LogCursor, type LogSource, partitionKey, type StoredBatch } from '../broker/index.ts'

/** A turn of one partition: enough to be cheap, little enough to let the others come soon. */
const TURN_BYTES_MAX = 256 * 1024

interface Place {
  readonly stream: string
  readonly partition: number
  next: number
}

export class PartitionsCursor implements LogCursor {
  readonly #log: LogSource
  readonly #places: Place[]
  #turn = 0
  /** Where the partitions ended when it was last asked, by `partitionKey`. */
  #durable: ReadonlyMap<string, number> = new Map()

  constructor(log: LogSource, places: readonly Place[]) {
    this.#log = log
    this.#places = places.map((place) => ({ ...place }))
  }

  async next(bytesMax: number): Promise<StoredBatch[]> {
    const batches = await this.#nextOf(bytesMax)
    if (batches.length > 0) return batches
    // asking is as much work as there are partitions: only where all that was known is read
    this.#durable = new Map(
      this.#log
        .partitions()
        .map(({ stream, partition, durableOffset }) => [partitionKey(stream, partition), durableOffset]),
    )
    return this.#nextOf(bytesMax)
  }

  async close(): Promise<void> {}

  async #nextOf(bytesMax: number): Promise<StoredBatch[]> {
    for (let i = 0; i < this.#places.length; i++) {
      const place = this.#places[this.#turn]!
      this.#turn = (this.#turn + 1) % this.#places.length
      const { stream, partition, next } = place
      if (next >= (this.#durable.get(partitionKey(stream, partition)) ?? 0)) continue
      const batches = await this.#log.read(stream, partition, next, Math.min(bytesMax, TURN_BYTES_MAX))
      if (batches.length === 0) continue
      place.next = batches.at(-1)!.nextOffset
      return batches
    }
    return []
  }
}
