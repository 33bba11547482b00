/** What a salvage could not get. */
import type { FindingKind, KeyRange } from './findings.ts'

/** Ranges kept; more are counted. Neighbours in a file are one. */
const RANGES_MAX = 1000

export interface LostRange extends KeyRange {
  /** `wal-torn`, `wal-zeros`: a write that was cut short, which nobody was told had succeeded, unless its end was damaged later. */
  readonly cause: FindingKind
  readonly file: string
  readonly at: number
  readonly bytes: number
  /**
   * What is lost was written between the changes to these two keys, its own keys can be any. Where false the lost keys lie between
   * these, ends included.
   */
  readonly isByWriting: boolean
}

export class SalvageReport {
  /** Entries handed out. */
  entries = 0
  /** Entries of damaged blocks that the caller did not accept. */
  rejected = 0
  tables = 0
  logs = 0
  /** Data blocks that were read, and those of which something or all is lost. */
  blocks = 0
  blocksLost = 0
  bytesLost = 0
  readonly lost: LostRange[] = []
  /** Ranges left out of the list. */
  omitted = 0
  /** False: no manifest could be believed, tables that a compaction had replaced may have been read as well. */
  hadManifest = false

  add(range: LostRange): void {
    this.bytesLost += range.bytes
    const last = this.lost.at(-1)
    const isNext =
      last?.file === range.file && last.cause === range.cause && last.at + last.bytes === range.at
    if (isNext && !range.isByWriting)
      this.lost[this.lost.length - 1] = { ...last, bytes: last.bytes + range.bytes, to: range.to }
    else if (this.lost.length < RANGES_MAX) this.lost.push(range)
    else this.omitted++
  }
}
