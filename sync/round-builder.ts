/** Collects stored batches from the log's cursor into rounds of a bounded size, reading ahead while one is on its way. */
import { assert, type LogCursor, partitionKey, type StoredBatch } from '../broker/index.ts'
import type { Positions, Round, RoundPart } from './upstream.ts'

export class RoundBuilder {
  readonly #cursor: LogCursor
  readonly #positions: Map<string, number>
  #pending: StoredBatch[] = []
  #pendingBytes = 0
  #filling: Promise<void> | null = null
  /** A batch came of a partition that upstream was not asked about: it has to be recovered first. */
  foundUnknown = false

  /** @param positions where upstream stands, of all partitions that it was asked about */
  constructor(cursor: LogCursor, positions: ReadonlyMap<string, number>) {
    this.#cursor = cursor
    this.#positions = new Map(positions)
  }

  get positions(): Positions {
    return this.#positions
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** When the oldest record that waits was accepted, ms since 1970. */
  get oldestTimestamp(): number | null {
    const first = this.#pending[0]
    return first === undefined ? null : Number(first.bytes.readBigInt64BE(27))
  }

  /** Reads until `bytesMax` wait or the log has no more. Calls that overlap share one read. */
  async fill(bytesMax: number): Promise<void> {
    while (this.#filling !== null) await this.#filling
    this.#filling = this.#fill(bytesMax).finally(() => {
      this.#filling = null
    })
    await this.#filling
  }

  async #fill(bytesMax: number): Promise<void> {
    while (this.#pendingBytes < bytesMax && !this.foundUnknown) {
      const batches = await this.#cursor.next(bytesMax - this.#pendingBytes)
      if (batches.length === 0) return
      for (const batch of batches) {
        if (!this.#positions.has(partitionKey(batch.stream, batch.partition))) {
          this.foundUnknown = true
          return
        }
        this.#pending.push(batch)
        this.#pendingBytes += batch.bytes.length
      }
    }
  }

  /** Takes the oldest batches up to `bytesMax`, at least one, as a round; null when none waits. */
  take(bytesMax: number): Round | null {
    let bytes = 0
    let count = 0
    while (count < this.#pending.length && (count === 0 || bytes < bytesMax)) {
      bytes += this.#pending[count++]!.bytes.length
    }
    const taken = this.#pending.splice(0, count)
    this.#pendingBytes -= bytes
    const byPartition = new Map<string, StoredBatch[]>()
    for (const batch of taken) {
      const key = partitionKey(batch.stream, batch.partition)
      if (batch.nextOffset <= this.#positions.get(key)!) continue
      const batches = byPartition.get(key)
      if (batches === undefined) byPartition.set(key, [batch])
      else {
        assert(batches.at(-1)!.nextOffset <= batch.baseOffset, 'the log gives batches in order')
        batches.push(batch)
      }
    }
    const parts: RoundPart[] = [...byPartition].map(([key, batches]) => ({
      stream: batches[0]!.stream,
      partition: batches[0]!.partition,
      fromOffset: this.#positions.get(key)!,
      nextOffset: batches.at(-1)!.nextOffset,
      batches,
    }))
    return parts.length === 0 ? null : { parts }
  }

  /** Upstream has the round. */
  acknowledge(round: Round, positions: Positions): void {
    for (const part of round.parts) {
      const key = partitionKey(part.stream, part.partition)
      assert(positions.get(key) === part.nextOffset, 'upstream stands where the round ends')
      this.#positions.set(key, part.nextOffset)
    }
  }

  async close(): Promise<void> {
    await this.#filling?.catch(() => {})
    await this.#cursor.close()
  }
}
