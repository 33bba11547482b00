/**
 * Message ids of one device that the broker may hold when the bridge is killed, without an entry in the window that says so. They are
 * reserved on disk ahead of the device, some dozens at once, so that a device that counts up is answered when the broker has its message,
 * and not a second time after the window's disk. Pure: whoever uses it writes the ranges.
 *
 * After a kill each reserved id is a suspect: a message that is no repetition goes under it only once the broker has let it go.
 */
import type { IdRange } from './window-format.ts'

const IDS = 0xffff
/** Ids beyond the one in use: one write for half as many messages. */
export const RESERVED_AHEAD = 64
/** Ids before the one in use, that may be on their way still. */
const RESERVED_BEHIND = 16

export class ReservedIds {
  /** What an earlier process may have left with the broker. */
  readonly #suspects = new Set<number>()
  #onDisk: IdRange | null
  /** Being written: either of the two is on the disk. */
  #coming: IdRange | null = null

  /** @param stored of an earlier process, in this epoch */
  constructor(stored: IdRange | null) {
    this.#onDisk = stored
    for (let at = 0; stored !== null && at < stored.count; at++) this.#suspects.add(idAfter(stored.first, at))
  }

  /** The device can be told that the broker has a message of this id, whatever the window has. */
  covers(id: number): boolean {
    if (this.#onDisk === null || !contains(this.#onDisk, id)) return false
    return this.#coming === null || contains(this.#coming, id)
  }

  isSuspect(id: number): boolean {
    return this.#suspects.has(id)
  }

  /** The broker has let it go, or what it holds is known. */
  clear(id: number): void {
    this.#suspects.delete(id)
  }

  suspects(most: number): number[] {
    return [...this.#suspects].slice(0, most)
  }

  get isEmpty(): boolean {
    return this.#onDisk === null && this.#coming === null
  }

  /**
   * @param told ids that are to stay reserved: the device was told, and the window's disk does not say so yet
   * @returns what is to be written now that the device is at this id; tell `written` what came of it. null: nothing
   */
  rangeFor(id: number, told: Iterable<number>): IdRange | null {
    // as long as there are suspects, they have to stay on disk
    if (this.#coming !== null || this.#suspects.size > 0) return null
    if (this.#onDisk !== null && contains(this.#onDisk, idAfter(id, RESERVED_AHEAD / 2))) return null
    const range = {
      first: idAfter(id, IDS - RESERVED_BEHIND),
      count: RESERVED_BEHIND + 1 + RESERVED_AHEAD,
    }
    for (const one of told) if (!contains(range, one)) return null
    this.#coming = range
    return range
  }

  /** @param isOnDisk false: what is there now is not known */
  written(isOnDisk: boolean): void {
    this.#onDisk = isOnDisk ? this.#coming : null
    this.#coming = null
  }
}

function contains({ first, count }: IdRange, id: number): boolean {
  return (id - first + IDS) % IDS < count
}

/** Ids go from 1 to 65,535, and begin anew. */
function idAfter(id: number, steps: number): number {
  return ((id - 1 + steps) % IDS) + 1
}
