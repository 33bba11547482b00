/**
 * The streams of one priority on their way upstream: read in order, without what the upstream's filters leave out, and kept here until
 * a round takes them.
 */
import {
  type BatchMemory,
  filterBatch,
  type Keep,
  type LogCursor,
  type LogSource,
  nextOffsetOf,
  partitionKey,
  recordCountOf,
  type StoredBatch,
} from '../broker/index.ts'
import { NewestWindow } from './filter/newest-window.ts'
import type { RecordFilter, Selection } from './filter/selection.ts'
import { recordProof } from './proof.ts'

/** How far one partition has been read, and what of it was left out since the last round that moved its position. */
export interface Progress {
  readonly stream: string
  readonly partition: number
  readonly priority: number
  /** All below is pending, left out, or upstream. */
  next: number
  /** Of the record before `next` where it was left out; undefined where the last pending batch ends there. */
  proof: number | null | undefined
  /** Batches of it that wait in its lane. */
  pending: number
  /** Records left out by key or sampling, and passed over for a newer one of their key. */
  filtered: number
  passedOver: number
  window: NewestWindow | null
}

export interface LaneParts {
  readonly log: LogSource
  readonly cursor: LogCursor
  readonly selection: Selection
  /** Of the cursor's batches: what goes no further is released here. */
  readonly memory: BatchMemory
  /** Of all lanes, by `partitionKey`. */
  readonly progress: ReadonlyMap<string, Progress>
  /** Streams whose batches are passed over. */
  readonly isLeftOut: (stream: string) => boolean
  /** Memory that the window of one partition may take (filter/newest-window.ts). */
  readonly windowKeysBytes: number
}

export class Lane {
  readonly priority: number
  readonly #parts: LaneParts
  readonly #pending: StoredBatch[] = []
  #pendingBytes = 0
  /** A batch came of a partition that upstream was not asked about. */
  foundUnknown = false

  constructor(priority: number, parts: LaneParts) {
    this.priority = priority
    this.#parts = parts
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  get pending(): readonly StoredBatch[] {
    return this.#pending
  }

  /** When the oldest record that waits here was accepted, ms since 1970. */
  get oldestTimestamp(): number | null {
    const first = this.#pending[0]
    return first === undefined ? null : Number(first.bytes.readBigInt64BE(27))
  }

  /** Reads on. @returns bytes read, also of what was left out; 0 where the log has no more */
  async read(bytesMax: number): Promise<number> {
    const batches = await this.#parts.cursor.next(bytesMax)
    let bytes = 0
    /** The last batch of a partition whose last record was left out. */
    const tails = new Map<Progress, StoredBatch>()
    const leftOut: StoredBatch[] = []
    for (const batch of batches) {
      bytes += batch.bytes.length
      const progress = this.#parts.progress.get(partitionKey(batch.stream, batch.partition))
      if (progress === undefined) {
        // a cursor over the whole log brings streams that do not go there, and new ones that do
        if (this.#parts.isLeftOut(batch.stream)) {
          leftOut.push(batch)
          continue
        }
        this.foundUnknown = true
        break
      }
      if (batch.nextOffset <= progress.next) {
        leftOut.push(batch)
        continue
      }
      const kept = await this.#filtered(progress, batch)
      progress.next = batch.nextOffset
      const isTail = kept === null || kept.nextOffset < batch.nextOffset
      if (isTail) tails.set(progress, batch)
      else tails.delete(progress)
      progress.proof = undefined
      if (kept !== batch) leftOut.push(batch)
      if (kept === null) continue
      this.#pending.push(kept)
      this.#pendingBytes += kept.bytes.length
      progress.pending++
    }
    for (const [progress, { bytes: last, nextOffset }] of tails)
      progress.proof = recordProof(last, nextOffset - 1)
    for (const batch of leftOut) this.#parts.memory.release(batch.bytes)
    return bytes
  }

  /** Takes the oldest batches up to `bytesMax`, at least one where any waits. */
  take(bytesMax: number): StoredBatch[] {
    let bytes = 0
    let count = 0
    while (count < this.#pending.length && (count === 0 || bytes < bytesMax)) {
      bytes += this.#pending[count++]!.bytes.length
    }
    this.#pendingBytes -= bytes
    return this.#pending.splice(0, count)
  }

  close(): Promise<void> {
    return this.#parts.cursor.close()
  }

  async #filtered(progress: Progress, batch: StoredBatch): Promise<StoredBatch | null> {
    const filter = this.#parts.selection.filterOf(batch.stream)
    if (filter === null) return batch
    const from = progress.next
    const window = filter.newestPerKey ? await this.#window(progress, batch, filter) : null
    const keep: Keep = (record, bytes) => {
      // upstream has it: compaction or a restart put the position inside a batch
      if (record.offset < from) return false
      if (filter.keep !== null && !filter.keep(record, bytes)) {
        progress.filtered++
        return false
      }
      if (window === null || window.isNewest(record, bytes)) return true
      progress.passedOver++
      return false
    }
    const bytes = filterBatch(batch.bytes, keep)
    if (bytes === null) return null
    if (recordCountOf(bytes) === recordCountOf(batch.bytes)) return batch
    return { ...batch, baseOffset: Number(bytes.readBigInt64BE(0)), nextOffset: nextOffsetOf(bytes), bytes }
  }

  async #window(progress: Progress, batch: StoredBatch, filter: RecordFilter): Promise<NewestWindow> {
    const from = Math.max(progress.next, batch.baseOffset)
    if (progress.window === null || from >= progress.window.end) {
      const { stream, partition } = progress
      const place = { stream, partition, from }
      progress.window = await NewestWindow.read(this.#parts.log, place, filter, this.#parts.windowKeysBytes)
    }
    const { window } = progress
    // what it knew is not needed any more
    if (batch.nextOffset >= window.end) progress.window = null
    return window
  }
}
