/**
 * Goes through the entries of a store in the order of their keys, as they are in memory that is used again: for a gigabyte that is read
 * once, the buffers of `Store.range` are a gigabyte for the garbage collector, and its work is what a writer beside it then waits for.
 */
import type { Store } from './store.ts'

/** Key and value are there during the call only: what is to be kept is copied. */
export type EntryVisitor = (key: Buffer, value: Buffer) => void

export interface EntryScan {
  /**
   * Visits the next entries, up to the one with which this many bytes of keys and values are reached.
   * @returns how many bytes they are; 0 at the end
   */
  next(bytesMax: number, visit: EntryVisitor): Promise<number>
  close(): Promise<void>
}

/** All keys from one, inclusive, to another, exclusive. */
export interface KeyRange {
  readonly from: Buffer
  readonly to: Buffer
}

/** The same through the store itself, step by step: for what is being written, and where there are no files to be read. */
export function scanStore(store: Store, { from, to }: KeyRange): EntryScan {
  let at = from
  return {
    async next(bytesMax, visit) {
      const entries = await store.range({ from: at, to, bytesMax })
      let bytes = 0
      for (const { key, value } of entries) {
        visit(key, value)
        bytes += key.length + value.length
      }
      const last = entries.at(-1)
      // the least key after it
      if (last !== undefined) at = Buffer.concat([last.key, Buffer.of(0)])
      return bytes
    },
    close: async () => {},
  }
}
