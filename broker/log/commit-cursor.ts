/** `LogCursor` over all chains: sequential reads in commit order, each partition from its own position. */
import { trimBatch } from './batch-trim.ts'
import type { Chain } from './chain.ts'
import { commitOfOffset } from './chain-reader.ts'
import { type CommitPlace, CommitReader } from './commit-reader.ts'
import type { LogPartition } from './partition.ts'
import { baseOffsetOf, nextOffsetOf } from './record-batch.ts'
import { type BatchMemory, type LogCursor, partitionKey, type StoredBatch } from './source.ts'

interface ChainPosition {
  readonly chain: Chain
  readonly reader: CommitReader
  /** null until the first read has found where the earliest partition stands. */
  next: CommitPlace | null
  /** Next offset by partition id; a partition not here starts at its log start. */
  readonly offsets: Map<number, number>
  /** Partitions of which something was brought: from then on nothing below comes again. */
  readonly brought: Set<number>
}

export class CommitCursor implements LogCursor {
  readonly #positions: ChainPosition[]
  #turn = 0

  readonly #memory: BatchMemory | undefined

  constructor(chains: Iterable<Chain>, from: ReadonlyMap<string, number>, memory?: BatchMemory) {
    this.#memory = memory
    this.#positions = [...chains].map((chain) => {
      const offsets = startOffsets(chain, from)
      const wants = (id: number, batch: Buffer) => {
        const partition = chain.partitions.get(id)
        return (
          partition !== undefined &&
          partition.stream !== '' &&
          nextOffsetOf(batch) > startOf(partition, offsets)
        )
      }
      const reader = new CommitReader(chain, wants, memory)
      return { chain, reader, next: null, offsets, brought: new Set() }
    })
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

  async close(): Promise<void> {
    for (const { reader } of this.#positions) await reader.close()
  }

  async #nextOf(position: ChainPosition, bytesMax: number): Promise<StoredBatch[]> {
    const { chain, reader, offsets, brought } = position
    position.next ??= { commit: await earliestCommit(chain, offsets), id: 0 }
    while (position.next.commit <= chain.durableCommit) {
      const read = await reader.next(position.next, bytesMax)
      position.next = read.next
      const batches: StoredBatch[] = []
      for (const { commit, id, bytes: value } of read.batches) {
        const partition = chain.partitions.get(id)
        // a partition that the catalog lost has no stream to send it to
        if (partition === undefined || partition.stream === '') continue
        const nextOffset = nextOffsetOf(value)
        const from = startOf(partition, offsets)
        if (nextOffset <= from) continue
        // below what this cursor brought already: compaction has merged it with what comes now
        const isAgain = brought.has(partition.id) && baseOffsetOf(value) < from
        const bytes = isAgain ? trimBatch(value, from) : value
        if (bytes !== value) this.#memory?.release(value)
        offsets.set(partition.id, nextOffset)
        brought.add(partition.id)
        if (bytes === null) continue
        batches.push({
          stream: partition.stream,
          partition: partition.partition,
          baseOffset: baseOffsetOf(bytes),
          nextOffset,
          bytes,
          commit,
        })
      }
      if (batches.length > 0) return batches
      if (read.batches.length === 0) return []
    }
    return []
  }
}

/** The next offset of a partition that is wanted. */
function startOf(partition: LogPartition, offsets: ReadonlyMap<number, number>): number {
  return offsets.get(partition.id) ?? partition.logStartOffset
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
