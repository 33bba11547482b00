/** What every upstream has: retention and compaction go no further, unless a stream says so. */
import { partitionKey } from './source.ts'

/** Next offset that an upstream is known to have acknowledged, by `partitionKey`. */
export type UpstreamPositions = () => ReadonlyMap<string, number>

export class UpstreamFloors {
  readonly #positions = new Map<string, UpstreamPositions | null>()

  /** @param names of the upstreams that are configured: until each has said where it stands, it has nothing. */
  constructor(names: readonly string[]) {
    for (const name of names) this.#positions.set(name, null)
  }

  set(name: string, positions: UpstreamPositions): void {
    this.#positions.set(name, positions)
  }

  has(name: string): boolean {
    return this.#positions.has(name)
  }

  /** One more: until it has said where it stands it has nothing. */
  add(name: string): void {
    if (!this.#positions.has(name)) this.#positions.set(name, null)
  }

  /** Nothing waits for it any more. */
  remove(name: string): void {
    this.#positions.delete(name)
  }

  /** All offsets below are upstream, everywhere; Infinity where there is no upstream. */
  of(stream: string, partition: number): number {
    const key = partitionKey(stream, partition)
    let floor = Number.POSITIVE_INFINITY
    for (const positions of this.#positions.values()) {
      floor = Math.min(floor, positions?.().get(key) ?? 0)
    }
    return floor
  }
}
