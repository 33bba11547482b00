/** What collects between two commits: one batch a partition, and who waits for it. */
import type { LogPartition } from './partition.ts'
import { BatchBuilder } from './record-batch.ts'

/** Called once: with null when the commit is on disk, with the reason when it is not. Must not throw. */
export type CommitListener = (error: Error | null) => void

/** Builders kept for the next commits: their buffers are the append path's only memory. */
const FREE_BUILDERS_MAX = 64
/** The same in bytes: a commit of fast publishers comes at once after another, and buffers of its size are not grown anew for each. */
const FREE_BYTES_MAX = 4 * 1024 * 1024

export class OpenCommit {
  #partitions: LogPartition[] = []
  #listeners: CommitListener[] = []
  readonly #free: BatchBuilder[] = []
  #freeBytes = 0
  bytes = 0
  records = 0
  /** Grows with each commit that was taken: tells whether what is added now goes with what was added before. */
  number = 0

  get isEmpty(): boolean {
    return this.records === 0 && this.#listeners.length === 0
  }

  /** @returns the record's place in the partition's batch, from 0 */
  append(
    partition: LogPartition,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: Uint8Array,
  ): number {
    let builder = partition.open
    if (builder === null) {
      builder = this.#takeFree() ?? new BatchBuilder()
      partition.open = builder
      this.#partitions.push(partition)
      this.bytes += builder.bytes
    }
    const before = builder.bytes
    const delta = builder.append(timestamp, key, value, headers)
    this.bytes += builder.bytes - before
    this.records++
    return delta
  }

  listen(listener: CommitListener): void {
    this.#listeners.push(listener)
  }

  /** Empties it for the next commit. Each partition's builder goes back with `recycle` once its bytes were copied. */
  take(): { partitions: LogPartition[]; listeners: CommitListener[]; bytes: number; records: number } {
    const taken = {
      partitions: this.#partitions,
      listeners: this.#listeners,
      bytes: this.bytes,
      records: this.records,
    }
    this.#partitions = []
    this.#listeners = []
    this.bytes = 0
    this.records = 0
    this.number++
    return taken
  }

  recycle(partition: LogPartition): void {
    const builder = partition.open
    partition.open = null
    if (builder === null) return
    builder.reset()
    const isKept = this.#freeBytes + builder.heldBytes <= FREE_BYTES_MAX
    if (!isKept || this.#free.length >= FREE_BUILDERS_MAX) return
    this.#free.push(builder)
    this.#freeBytes += builder.heldBytes
  }

  #takeFree(): BatchBuilder | undefined {
    const builder = this.#free.pop()
    if (builder !== undefined) this.#freeBytes -= builder.heldBytes
    return builder
  }
}
