/** A log in memory, built with the broker's own batch builder: the fake `LogSource` of the sync tests. */
import {
  BatchBuilder,
  type BatchMemory,
  encodeHeaders,
  type LogCursor,
  type LogIdentity,
  type LogSource,
  type PartitionState,
  partitionKey,
  type RecordHeader,
  type StoredBatch,
  type StreamState,
} from '../../broker/index.ts'
import { storedBatch } from './stored-batches.ts'

export interface TestRecord {
  readonly key?: string | null
  readonly value?: string | Buffer | null
  readonly timestamp?: number
  readonly headers?: readonly RecordHeader[]
}

export function testIdentity(
  edge = 'edge-a',
  incarnation = '11111111-1111-4111-8111-111111111111',
): LogIdentity {
  return { edge, incarnation }
}

export class MemoryLog implements LogSource {
  readonly identity: LogIdentity
  /** In commit order, as the cursor gives them. */
  readonly commits: StoredBatch[] = []
  readonly #states = new Map<string, { stream: string; partition: number; start: number; end: number }>()
  readonly #listeners = new Set<() => void>()
  readonly #builder = new BatchBuilder()
  /** When set, the next read of a cursor fails with it. */
  readError: Error | null = null
  openCursors = 0
  /** By stream. */
  readonly priorities = new Map<string, number>()

  constructor(identity: LogIdentity = testIdentity()) {
    this.identity = identity
  }

  addStream(stream: string, partitions: number): this {
    for (let partition = 0; partition < partitions; partition++) {
      this.#states.set(partitionKey(stream, partition), { stream, partition, start: 0, end: 0 })
    }
    return this
  }

  /** Appends one stored batch: one commit. */
  append(stream: string, partition: number, records: readonly TestRecord[]): StoredBatch {
    const state = this.#states.get(partitionKey(stream, partition))!
    this.#builder.reset()
    for (const record of records) {
      this.#builder.append(
        record.timestamp ?? 1_700_000_000_000 + state.end,
        record.key == null ? null : Buffer.from(record.key),
        record.value == null ? null : Buffer.from(record.value),
        encodeHeaders(record.headers ?? []),
      )
    }
    const batch = storedBatch(stream, partition, Buffer.from(this.#builder.seal(state.end)))
    state.end = batch.nextOffset
    this.commits.push(batch)
    for (const listener of this.#listeners) listener()
    return batch
  }

  /** `count` small records in batches of `perBatch`, each telling where it stands. */
  appendMany(stream: string, partition: number, count: number, perBatch = 10): void {
    for (let done = 0; done < count; done += perBatch) {
      const from = this.#states.get(partitionKey(stream, partition))!.end
      const size = Math.min(perBatch, count - done)
      this.append(
        stream,
        partition,
        Array.from({ length: size }, (_, i) => ({
          key: `k${(from + i) % 7}`,
          value: `${stream}/${partition}/${from + i}`,
        })),
      )
    }
  }

  /** As retention does: records below are gone. */
  dropBelow(stream: string, partition: number, offset: number): void {
    this.#states.get(partitionKey(stream, partition))!.start = offset
    const gone = (batch: StoredBatch) =>
      batch.stream === stream && batch.partition === partition && batch.nextOffset <= offset
    const kept = this.commits.filter((batch) => !gone(batch))
    this.commits.splice(0, this.commits.length, ...kept)
  }

  streams(): StreamState[] {
    const counts = new Map<string, number>()
    for (const { stream } of this.#states.values()) counts.set(stream, (counts.get(stream) ?? 0) + 1)
    return [...counts].map(([stream, partitions]) => {
      const priority = this.priorities.get(stream) ?? 5
      const known = { records: [], bytes: 0, droppedRecords: 0, isCompacted: false }
      return { stream, partitions, ...known, priority }
    })
  }

  partitions(): PartitionState[] {
    return [...this.#states.values()].map(({ stream, partition, start, end }) => ({
      stream,
      partition,
      logStartOffset: start,
      durableOffset: end,
    }))
  }

  async read(stream: string, partition: number, offset: number, bytesMax: number): Promise<StoredBatch[]> {
    const out: StoredBatch[] = []
    let bytes = 0
    for (const batch of this.commits) {
      if (batch.stream !== stream || batch.partition !== partition || batch.nextOffset <= offset) continue
      if (out.length > 0 && bytes >= bytesMax) break
      out.push(batch)
      bytes += batch.bytes.length
    }
    return out
  }

  openCursor(from: ReadonlyMap<string, number>, memory?: BatchMemory): LogCursor {
    this.openCursors++
    let at = 0
    const seen = new Map(from)
    return {
      next: async (bytesMax) => {
        await Promise.resolve()
        if (this.readError !== null) {
          const error = this.readError
          this.readError = null
          throw error
        }
        const out: StoredBatch[] = []
        let bytes = 0
        while (at < this.commits.length && (out.length === 0 || bytes < bytesMax)) {
          const batch = this.commits[at++]!
          const key = partitionKey(batch.stream, batch.partition)
          if (batch.nextOffset <= (seen.get(key) ?? 0)) continue
          seen.set(key, batch.nextOffset)
          out.push({ ...batch, bytes: memory?.copy(batch.bytes) ?? batch.bytes })
          bytes += batch.bytes.length
        }
        return out
      },
      close: async () => {
        this.openCursors--
      },
    }
  }

  onDurable(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
