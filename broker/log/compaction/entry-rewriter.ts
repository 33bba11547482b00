/**
 * From the entries of segments, in the order of their keys, to the entries of the segment that takes their place, in the
 * order of theirs. One merger a partition; an output's key is (its last commit, id).
 *
 * Outputs end in another order than that of their keys: a busy partition fills many while a quiet one's stays open. They
 * wait until no open one can come to stand before them, so that LevelDB is given ascending keys only. Its files then
 * never overlap, and it moves them down as they are; keys out of order it would merge, and write the segment once more.
 * An open output's key only grows, so what is below the least key of all open ones may go.
 *
 * Open and waiting outputs take `heldBytesMax` together. Past it the open output with the least key is ended, which is
 * the one that got nothing for the longest time: quiet partitions lose some merging, memory and order hold.
 */
import { assert } from '../../assert.ts'
import { NOTE_ID } from '../commit-key.ts'
import { baseOffsetOf, recordCountOf } from '../record-batch.ts'
import { BatchFilter } from './batch-filter.ts'
import { BatchMerger, type MergedBatch, ownBytes } from './batch-merger.ts'
import { type ScannedRecord, storedFault } from './key-scan.ts'

export interface StoredEntry {
  readonly commit: number
  readonly id: number
  readonly value: Buffer
}

/** What is to be put. */
export interface RewrittenEntry extends StoredEntry {
  /** null for an entry that was passed through. */
  readonly batch: MergedBatch | null
}

export interface RewriteOptions {
  /** Bytes of an output that is made of several batches, at most. */
  readonly batchBytesMax: number
  /** Bytes of open and waiting outputs together, at most, but for the one entry that is being added. */
  readonly heldBytesMax: number
  /** Whether a record stays. It is asked once for each record, in order. */
  keep(record: ScannedRecord, entry: StoredEntry): boolean
  /** Takes an output; keys ascend. */
  write(entry: RewrittenEntry): void
  /** Told of an entry whose batch is damaged: no output spans its offsets. @returns whether it is to stand as it is */
  damaged(entry: StoredEntry, reason: string): boolean
}

export interface RewriteCounts {
  batchesRead: number
  batchesWritten: number
  recordsRead: number
  recordsWritten: number
  /** Of batches, without their keys. */
  bytesRead: number
  bytesWritten: number
}

export class EntryRewriter {
  readonly counts: RewriteCounts = {
    ...{
      batchesRead: 0,
      batchesWritten: 0,
      recordsRead: 0,
      recordsWritten: 0,
      bytesRead: 0,
      bytesWritten: 0,
    },
  }
  readonly #options: RewriteOptions
  readonly #filter = new BatchFilter()
  readonly #mergers = new Map<number, BatchMerger>()
  /** Those with an open output, in the order of its key: each goes to the end when its last commit changes. */
  readonly #open = new Map<number, BatchMerger>()
  /** In the order of keys. */
  readonly #waiting: RewrittenEntry[] = []
  #heldBytes = 0
  #commit = -1
  #id = -1

  constructor(options: RewriteOptions) {
    this.#options = options
  }

  /** Memory that open and waiting outputs take. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Takes the next entry, a batch. Its value is not modified, and afterwards the caller's again. */
  add(entry: StoredEntry): void {
    this.#add(entry)
    this.#own(entry)
  }

  #add(entry: StoredEntry): void {
    const { commit, id, value } = entry
    assert(id !== NOTE_ID, 'a note is passed through, not rewritten')
    this.#advance(commit, id)
    this.counts.batchesRead++
    this.counts.bytesRead += value.length
    const merger = this.#mergerOf(id)
    const fault = storedFault(value) ?? orderFault(value, merger)
    if (fault !== null) {
      this.#cut(id, merger)
      if (this.#options.damaged(entry, fault)) this.#through(entry)
      else this.#release()
      return
    }
    this.counts.recordsRead += recordCountOf(value)
    const before = merger.openBytes
    merger.add(commit, value, (record) => this.#options.keep(record, entry))
    this.#heldBytes += merger.openBytes - before
    if (merger.openCommit === commit || merger.openBytes === 0) this.#open.delete(id)
    if (merger.openCommit === commit) this.#open.set(id, merger)
    this.#bound()
    this.#release()
  }

  /** Takes an entry that stands in its place as it is: a note, or a batch that is to be left alone. It joins nothing. */
  pass(entry: StoredEntry): void {
    this.#advance(entry.commit, entry.id)
    const merger = this.#mergers.get(entry.id)
    if (merger !== undefined) this.#cut(entry.id, merger)
    this.#through(entry)
    this.#own(entry)
  }

  /** Copies what is held of an entry: its bytes stand in memory that the next read uses again. */
  #own({ commit, id, value }: StoredEntry): void {
    const merger = this.#open.get(id)
    if (merger?.openCommit === commit) merger.own()
    // an output that is this very batch has its commit, the highest so far
    const last = this.#waiting.length - 1
    const waiting = this.#waiting[last]
    if (waiting?.commit !== commit || waiting.id !== id || waiting.value !== value) return
    const bytes = ownBytes(value)
    const batch = waiting.batch === null ? null : { ...waiting.batch, bytes }
    this.#waiting[last] = { commit, id, value: bytes, batch }
  }

  /** Ends all open outputs, so that none holds records from before and after here. All that waited is written. */
  cut(): void {
    for (const [id, merger] of [...this.#open]) this.#cut(id, merger)
    this.#release()
  }

  /** The same for one partition: before a gap in its offsets that is to be seen as one. */
  cutPartition(id: number): void {
    const merger = this.#open.get(id)
    if (merger !== undefined) this.#cut(id, merger)
    this.#release()
  }

  #advance(commit: number, id: number): void {
    assert(commit > this.#commit || (commit === this.#commit && id > this.#id), 'entries come in key order')
    this.#commit = commit
    this.#id = id
  }

  #through({ commit, id, value }: StoredEntry): void {
    this.#wait({ commit, id, value, batch: null })
    this.#bound()
    this.#release()
  }

  #mergerOf(id: number): BatchMerger {
    let merger = this.#mergers.get(id)
    if (merger === undefined) {
      const emit = (batch: MergedBatch) => this.#wait({ commit: batch.commit, id, value: batch.bytes, batch })
      merger = new BatchMerger(this.#options.batchBytesMax, this.#filter, emit)
      this.#mergers.set(id, merger)
    }
    return merger
  }

  #cut(id: number, merger: BatchMerger): void {
    this.#heldBytes -= merger.openBytes
    merger.cut()
    this.#open.delete(id)
  }

  #wait(entry: RewrittenEntry): void {
    const waiting = this.#waiting
    let at = waiting.length
    while (at > 0 && isBefore(entry, waiting[at - 1]!)) at--
    waiting.splice(at, 0, entry)
    this.#heldBytes += entry.value.length
  }

  #bound(): void {
    while (this.#heldBytes > this.#options.heldBytesMax && this.#open.size > 0) {
      const [id, merger] = this.#open.entries().next().value!
      this.#cut(id, merger)
      this.#release()
    }
  }

  /** Writes what no open output can come to stand before. */
  #release(): void {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    const [first] = this.#open
    const least = first === undefined ? null : { id: first[0], commit: first[1].openCommit }
    let released = 0
    while (released < waiting.length && (least === null || isBefore(waiting[released]!, least))) {
      const entry = waiting[released++]!
      this.#heldBytes -= entry.value.length
      if (entry.batch !== null) {
        this.counts.batchesWritten++
        this.counts.recordsWritten += entry.batch.records
        this.counts.bytesWritten += entry.value.length
      }
      this.#options.write(entry)
    }
    if (released > 0) waiting.splice(0, released)
  }
}

interface Key {
  readonly commit: number
  readonly id: number
}

function isBefore(a: Key, b: Key): boolean {
  return a.commit < b.commit || (a.commit === b.commit && a.id < b.id)
}

function orderFault(batch: Buffer, merger: BatchMerger): string | null {
  if (baseOffsetOf(batch) >= merger.nextOffset) return null
  return `the batch begins at offset ${baseOffsetOf(batch)}, the one before it reaches ${merger.nextOffset - 1}`
}
