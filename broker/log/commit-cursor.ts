/** `LogCursor` over all chains: sequential reads in commit order, each partition from its own position. */
import { trimBatch } from './batch-trim.ts'
import type { Chain } from './chain.ts'
import { commitOfOffset, scanCommits } from './chain-reader.ts'
import { commitOf, idOf } from './commit-key.ts'
import type { LogPartition } from './partition.ts'
import { baseOffsetOf, nextOffsetOf } from './record-batch.ts'
import { type LogCursor, partitionKey, type StoredBatch } from './source.ts'

interface ChainPosition {
  readonly chain: Chain
  /** null until the first read has found where the earliest partition stands. */
  next: { commit: number; id: number } | null
  /** Next offset by partition id; a partition not here starts at its log start. */
  readonly offsets: Map<number, number>
  /** Partitions of which something was brought: from then on nothing below comes again. */
  readonly brought: Set<number>
}

export class CommitCursor implements LogCursor {
  readonly #positions: ChainPosition[]
  #turn = 0

  constructor(chains: Iterable<Chain>, from: ReadonlyMap<string, number>) {
    this.#positions = [...chains].map((chain) => ({
      chain,
      next: null,
      offsets: startOffsets(chain, from),
      brought: new Set(),
    }))
  }

  async next(bytesMax: number): Promise<StoredBatch[]> {
    // the chains take turns, so that a backlog in one does not hide the others
    for (let i = 0; i < this.#positions.length; i++) {
      const position = this.#positions[this.#turn]!
      this.#turn = (this.#turn + 1) % this.#positions.length
      const batches = await this.#nextOf(position, bytesMax)
      if (batches.length > 0) return batches
    }
    return []
  }

  async close(): Promise<void> {}

  async #nextOf(position: ChainPosition, bytesMax: number): Promise<StoredBatch[]> {
    const { chain, offsets, brought } = position
    position.next ??= { commit: await earliestCommit(chain, offsets), id: 0 }
    while (position.next.commit <= chain.durableCommit) {
      const { entries, next } = await scanCommits(chain, position.next, bytesMax)
      position.next = next
      const batches: StoredBatch[] = []
      for (const { key, value } of entries) {
        const partition = chain.partitions.get(idOf(key))
        // a partition that the catalog lost has no stream to send it to
        if (partition === undefined || partition.stream === '') continue
        const nextOffset = nextOffsetOf(value)
        const from = offsets.get(partition.id) ?? partition.logStartOffset
        if (nextOffset <= from) continue
        // below what this cursor brought already: compaction has merged it with what comes now
        const isAgain = brought.has(partition.id) && baseOffsetOf(value) < from
        const bytes = isAgain ? trimBatch(value, from) : value
        offsets.set(partition.id, nextOffset)
        brought.add(partition.id)
        if (bytes === null) continue
        batches.push({
          stream: partition.stream,
          partition: partition.partition,
          baseOffset: baseOffsetOf(bytes),
          nextOffset,
          bytes,
          commit: commitOf(key),
        })
      }
      if (batches.length > 0) return batches
      if (entries.length === 0) return []
    }
    return []
  }
}

function startOffsets(chain: Chain, from: ReadonlyMap<string, number>): Map<number, number> {
  const offsets = new Map<number, number>()
  for (const partition of chain.partitions.values()) {
    const offset = from.get(partitionKey(partition.stream, partition.partition))
    if (offset !== undefined) offsets.set(partition.id, offset)
  }
  return offsets
}

async function earliestCommit(chain: Chain, offsets: ReadonlyMap<number, number>): Promise<number> {
  let earliest = chain.durableCommit + 1
  for (const partition of chain.partitions.values()) {
    const offset = offsets.get(partition.id) ?? partition.logStartOffset
    if (!hasMore(partition, offset)) continue
    earliest = Math.min(earliest, await commitOfOffset(chain, partition, offset))
  }
  return earliest
}

function hasMore(partition: LogPartition, offset: number): boolean {
  return partition.stream !== '' && offset < partition.durableOffset
}
