/**
 * What a table has applied and not written yet: the last change of each key. A key that changes often is written once, not each
 * time. Entries stand in slabs, in the form in which they are stored, the key behind the value; a change of about the same size
 * takes the place of the one before, so that a table that is busy makes no work for the garbage collector.
 */

import type { RecordScan } from './record-scan.ts'
import { type EntryPlace, encodeEntry, entrySizeOf, type RecordSource } from './table-entry.ts'

/** The last change of a key. */
interface PendingChange {
  partition: number
  offset: number
  /** murmur2 of the key */
  readonly hash: number
  /** Where the entry stands; null removes the key. */
  place: EntryPlace | null
  /** Bytes that belong to the change from the place's beginning on. */
  capacity: number
}

const SLAB_BYTES = 64 * 1024
/** What a change takes in memory beside its slab. */
const CHANGE_BYTES = 150

export class PendingChanges {
  /** By the record's key as latin1 text, which sorts as the bytes do. */
  readonly #changes = new Map<string, PendingChange>()
  #slab = Buffer.alloc(0)
  #slabAt = 0
  /** About what they take in memory. */
  bytes = 0

  get size(): number {
    return this.#changes.size
  }

  has(key: string): boolean {
    return this.#changes.has(key)
  }

  /** @returns a copy of the entry's stored form, null where the key is removed, undefined where it has no change */
  find(key: string): Buffer | null | undefined {
    const change = this.#changes.get(key)
    return change === undefined ? undefined : copyOf(change)
  }

  /** Takes the record at which a scan stands. @param hash murmur2 of its key */
  put(scan: RecordScan, source: RecordSource, hash: number): void {
    const change = this.#change(scan.keyText, source.partition, scan.offset, hash)
    const size = entrySizeOf(scan, source)
    if (change.place === null || change.capacity < size) {
      const slab = this.#room(size)
      change.place = { slab, from: this.#slabAt - size, keyFrom: 0, end: 0 }
      change.capacity = size
    }
    encodeEntry(scan, source, change.place)
  }

  remove(key: string, partition: number, offset: number, hash: number): void {
    this.#change(key, partition, offset, hash).place = null
  }

  clear(): void {
    this.#changes.clear()
    this.#slab = Buffer.alloc(0)
    this.#slabAt = 0
    this.bytes = 0
  }

  entries(): IterableIterator<[string, Readonly<PendingChange>]> {
    return this.#changes.entries()
  }

  /** Copies of those in a range of keys, in the order of their keys. @param to null is no limit */
  sorted(from: string, to: string | null): [string, Buffer | null][] {
    const found: [string, Buffer | null][] = []
    for (const [key, change] of this.#changes) {
      if (key >= from && (to === null || key < to)) found.push([key, copyOf(change)])
    }
    return found.sort(([a], [b]) => (a < b ? -1 : 1))
  }

  #change(key: string, partition: number, offset: number, hash: number): PendingChange {
    const before = this.#changes.get(key)
    if (before !== undefined) {
      before.partition = partition
      before.offset = offset
      return before
    }
    const change = { partition, offset, hash, place: null, capacity: 0 }
    this.#changes.set(key, change)
    this.bytes += CHANGE_BYTES + key.length
    return change
  }

  #room(size: number): Buffer {
    if (this.#slabAt + size > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(size, SLAB_BYTES))
      this.#slabAt = 0
      this.bytes += this.#slab.length
    }
    this.#slabAt += size
    return this.#slab
  }
}

function copyOf({ place }: PendingChange): Buffer | null {
  return place === null ? null : Buffer.from(place.slab.subarray(place.from, place.keyFrom))
}
