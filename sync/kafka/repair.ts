/**
 * A stream that is mapped by key, of which some lanes lack records below the position that the others have: an unclean election
 * threw them away, or another cluster was copied unevenly. The log is read again from the lowest place, and each lane gets what it
 * lacks and nothing else:
 *
 *   lane not behind    from the position on that all lanes had
 *   lane behind        from behind the last record of the local partition that is seen there
 *
 * In transactions the checkpoint goes on to say that position, with a mark on it and on the lanes that are behind; after a crash those
 * lanes are looked through again, and the records that were sent again are seen there. Marks go when the last partition has passed.
 */

interface Uneven {
  /** The position that lanes which are not behind have. */
  readonly high: number
  /** By lane that is behind: what is below is there. */
  readonly reached: ReadonlyMap<number, number>
}

export class Repair {
  readonly #byPartition = new Map<number, Uneven>()
  readonly #behind = new Set<number>()

  /** @returns from where a local partition is to be read again */
  add(partition: number, high: number, reached: ReadonlyMap<number, number>): number {
    this.#byPartition.set(partition, { high, reached })
    for (const lane of reached.keys()) this.#behind.add(lane)
    return Math.min(high, ...reached.values())
  }

  /** The first offset of a local partition that a lane may lack; 0 where nothing is known. */
  from(partition: number, lane: number): number {
    const uneven = this.#byPartition.get(partition)
    return uneven === undefined ? 0 : (uneven.reached.get(lane) ?? uneven.high)
  }

  high(partition: number): number | undefined {
    return this.#byPartition.get(partition)?.high
  }

  isBehind(lane: number): boolean {
    return this.#behind.has(lane)
  }

  get behind(): Iterable<number> {
    return this.#behind
  }

  /** All lanes have what is below its position, or a person moved it. */
  passed(partition: number): void {
    this.#byPartition.delete(partition)
  }

  isOverWithout(passed: ReadonlySet<number>): boolean {
    return [...this.#byPartition.keys()].every((partition) => passed.has(partition))
  }
}
