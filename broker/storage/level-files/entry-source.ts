/** Entries in the order of their internal keys, from one file or several. */
export interface SourceEntry {
  readonly internalKey: Buffer
  /** undefined for a deletion. Can be a part of a larger buffer. */
  readonly value: Buffer | undefined
}

export interface EntrySource {
  /** No entry comes before this internal key. */
  readonly lowerBound: Buffer
  /** The entry that comes next; null at the end, and before `open`. */
  readonly head: SourceEntry | null
  open(): Promise<void>
  /** Goes on to the next entry; a promise where that has to be read first. */
  next(): Promise<void> | undefined
  close(): Promise<void>
}
