/**
 * A table as it is at one moment, in the order of its keys: what its LevelDB holds, and over it what is applied and not yet
 * written. Entries below their partition's log start, as it was then, are not shown.
 */
import { TableUnavailableError } from '../errors.ts'
import type { Entry, StoreScan } from '../storage/store.ts'
import { decodeEntry, entryKey, recordKeyOf, type StoredEntry } from './table-entry.ts'

export interface SnapshotParts {
  readonly stream: string
  readonly scan: StoreScan
  /** Sorted by their keys (latin1 text). */
  readonly pending: readonly [string, Buffer | null][]
  /** By partition: all below is in the snapshot, and nothing above it. */
  readonly positions: readonly number[]
  /** By partition: the log start. */
  readonly starts: readonly number[]
  /** Called where an entry is not what was written. */
  readonly damaged: (reason: string) => void
  readonly closed: () => void
}

export class TableSnapshot {
  readonly positions: readonly number[]
  readonly starts: readonly number[]
  readonly #parts: SnapshotParts
  #pendingAt = 0
  #isClosed = false

  constructor(parts: SnapshotParts) {
    this.#parts = parts
    this.positions = parts.positions
    this.starts = parts.starts
  }

  /** @returns the next entries, about as many bytes of them; null at the end. @throws TableUnavailableError */
  async next(bytesMax: number): Promise<StoredEntry[] | null> {
    const stored = await this.#stored(bytesMax)
    const entries: StoredEntry[] = []
    for (const { key, value } of stored) {
      const text = recordKeyOf(key).toString('latin1')
      // what is pending comes in between, or in place of what is stored
      let isReplaced = false
      for (let pending = this.#takePending(text); pending !== undefined; pending = this.#takePending(text)) {
        this.#addPending(entries, pending)
        isReplaced = pending[0] === text
      }
      if (!isReplaced) this.#add(entries, key, value)
    }
    if (stored.length > 0) return entries
    const isEnd = this.#pendingAt === this.#parts.pending.length
    for (const pending of this.#parts.pending.slice(this.#pendingAt)) this.#addPending(entries, pending)
    this.#pendingAt = this.#parts.pending.length
    return isEnd ? null : entries
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#parts.closed()
    // a store that was closed has closed its scans
    await this.#parts.scan.close().catch(() => undefined)
  }

  async #stored(bytesMax: number): Promise<Entry[]> {
    try {
      return await this.#parts.scan.next(bytesMax)
    } catch (error) {
      throw new TableUnavailableError(
        this.#parts.stream,
        'was closed or built again while it was read',
        error,
      )
    }
  }

  /** The next pending change, when its key is not above `last`. */
  #takePending(last: string): readonly [string, Buffer | null] | undefined {
    const next = this.#parts.pending[this.#pendingAt]
    if (next === undefined || next[0] > last) return undefined
    this.#pendingAt++
    return next
  }

  #addPending(entries: StoredEntry[], [key, value]: readonly [string, Buffer | null]): void {
    if (value !== null) this.#add(entries, entryKey(Buffer.from(key, 'latin1')), value)
  }

  #add(entries: StoredEntry[], key: Buffer, value: Buffer): void {
    const entry = decodeEntry(key, value)
    if (typeof entry === 'string') {
      this.#parts.damaged(entry)
      throw new TableUnavailableError(this.#parts.stream, `is damaged and built again: ${entry}`)
    }
    if (entry.offset >= this.starts[entry.partition]!) entries.push(entry)
  }
}
