/**
 * The stored batches that were read last, each open where its reader stopped. Queues are read back some messages at a time, and one commit of fast
 * publishers is a batch of thousands: read and decoded from its begin for each of these times, a long queue would cost its square.
 */
import { type LogRecord, readRecords } from '../../log/record-batch.ts'
import type { StoredBatch } from '../../log/source.ts'

/** Bytes kept of all partitions after some messages were read; what was read last is kept all the same. */
const KEPT_BYTES_MAX = 1024 * 1024
/** Records before the place at which it stands; who goes further back reads the batch again. */
const BEHIND_MAX = 128

export class OpenBatch {
  readonly batch: StoredBatch
  readonly #records: Generator<LogRecord>
  readonly #behind: LogRecord[] = []
  #isCut = false

  constructor(batch: StoredBatch) {
    this.batch = batch
    this.#records = readRecords(batch.bytes)
  }

  /** @returns null where the batch has none of this offset; undefined where it has passed it */
  at(offset: number): LogRecord | null | undefined {
    const behind = this.#behind
    for (;;) {
      const last = behind.at(-1)
      if (last !== undefined && last.offset >= offset) return this.#behindAt(offset)
      const { value, done } = this.#records.next()
      if (done === true) return null
      behind.push(value)
      if (behind.length <= 2 * BEHIND_MAX) continue
      behind.splice(0, BEHIND_MAX)
      this.#isCut = true
    }
  }

  #behindAt(offset: number): LogRecord | null | undefined {
    const at = this.#behind.findLastIndex((record) => record.offset <= offset)
    if (at < 0) return this.#isCut ? undefined : null
    const record = this.#behind[at]!
    return record.offset === offset ? record : null
  }
}

export class OpenBatches {
  /** By partition, in the order of their last reads. */
  readonly #kept = new Map<number, OpenBatch[]>()
  #bytes = 0
  #isUsed = false

  /** @returns null where it has to be read */
  find(partition: number, offset: number): OpenBatch | null {
    const found = this.#kept.get(partition)?.find(({ batch }) => covers(batch, offset)) ?? null
    this.#isUsed ||= found !== null
    return found
  }

  /** What one read has brought. @returns the one with this offset, or null */
  open(partition: number, batches: readonly StoredBatch[], offset: number): OpenBatch | null {
    this.#drop(partition)
    const opened = batches.map((batch) => new OpenBatch(batch))
    this.#kept.set(partition, opened)
    this.#bytes += bytesOf(opened)
    this.#isUsed = true
    return opened.find(({ batch }) => covers(batch, offset)) ?? null
  }

  /** Some messages were read: not before, so that those of several partitions do not drive out each other. */
  trim(): void {
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= KEPT_BYTES_MAX || this.#kept.size === 1) return
      this.#drop(oldest)
    }
  }

  /** Now and then: lets go of what was not used since the last call. */
  rest(): void {
    if (!this.#isUsed) for (const partition of this.#kept.keys()) this.#drop(partition)
    this.#isUsed = false
  }

  #drop(partition: number): void {
    this.#bytes -= bytesOf(this.#kept.get(partition) ?? [])
    this.#kept.delete(partition)
  }
}

function covers({ baseOffset, nextOffset }: StoredBatch, offset: number): boolean {
  return offset >= baseOffset && offset < nextOffset
}

function bytesOf(batches: readonly OpenBatch[]): number {
  return batches.reduce((sum, { batch }) => sum + batch.bytes.length, 0)
}
