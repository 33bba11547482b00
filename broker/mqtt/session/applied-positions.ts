/** How far the log is in the stored state, by partition. Read and written in one turn with the queues: see DESIGN.md. */
import type { LogPartition } from '../../log/partition.ts'
import { appliedKey, encodeOffset } from './state-format.ts'
import type { StateStore } from './state-store.ts'

export class AppliedPositions {
  readonly #partitions: readonly LogPartition[]
  /** Next offsets by partition id, as they were put last. */
  readonly #applied = new Map<number, number>()

  constructor(partitions: readonly LogPartition[]) {
    this.#partitions = partitions
  }

  load(applied: ReadonlyMap<number, number>): void {
    for (const [id, offset] of applied) this.#applied.set(id, offset)
  }

  /** Records that a start would read again. */
  get lag(): number {
    let lag = 0
    for (const { id, durableOffset } of this.#partitions) lag += durableOffset - (this.#applied.get(id) ?? 0)
    return lag
  }

  /** All that is durable has been handed over. */
  build(store: StateStore): void {
    for (const { id, durableOffset } of this.#partitions) {
      if (this.#applied.get(id) === durableOffset) continue
      this.#applied.set(id, durableOffset)
      store.put(appliedKey(id), encodeOffset(durableOffset))
    }
  }
}
