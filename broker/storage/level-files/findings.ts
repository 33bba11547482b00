/** What can be wrong with a LevelDB directory. Kinds are names that operators read: they never change once released. */

/**
 * What makes a store unfit to be opened: LevelDB refuses it, or ends the process over it, or passes over data that is there.
 * LevelDB's own code is built with its assertions: a key of zeros or out of order is enough to end the broker.
 */
const HARD = [
  /** No file CURRENT: LevelDB takes the directory for an empty one. */
  'current-missing',
  /** CURRENT holds something else than the name of a manifest. */
  'current-damaged',
  'manifest-missing',
  'manifest-damaged',
  /** Its last edits are gone: tables exist that it does not list, and what it lists does not. LevelDB would remove those tables. */
  'manifest-behind',
  'table-missing',
  'table-truncated',
  /** The manifest says that it begins and ends with other keys, or its blocks do not follow one another. */
  'table-order',
  'footer-damaged',
  'index-damaged',
  /** Lookups would miss keys that are there. */
  'filter-damaged',
  /** A block that LevelDB cannot read to its end. */
  'block-damaged',
  /** The disk does not give back a part of a file that is needed; LevelDB's mapped read of it would end the process. */
  'unreadable',
  /** Records that are whole stand behind damage in a write-ahead file: LevelDB would drop them. */
  'wal-hides-records',
  /** What is not whole, with whole records behind it: LevelDB drops it without a word, and it was acknowledged before they were written. */
  'wal-damaged',
  /** Records with right checksums that are no write batches, as where a page of another file was written: LevelDB applies what it can. */
  'wal-foreign',
  /** A sequence number comes twice: LevelDB's memory table asserts that it does not. */
  'wal-repeats',
] as const

/** What a store can be opened with: LevelDB reads all else, and all of it. */
const SOFT = [
  /** The last edit was cut short before it was synced. */
  'manifest-torn',
  'table-longer',
  /** The checksum is wrong, but every entry can be read and is in its place: a value may be damaged. */
  'block-checksum',
  /** Compressed, and its checksum right: LevelDB reads it, Headwater wrote none and does not. */
  'block-compressed',
  'wal-missing',
  /** A write that was cut short; nothing follows it. */
  'wal-torn',
  /** The file was lengthened and not written. */
  'wal-zeros',
  'unknown-file',
] as const

export type HardKind = (typeof HARD)[number]
export type SoftKind = (typeof SOFT)[number]
export type FindingKind = HardKind | SoftKind

/** User keys between which something lies, ends included; null: not known on that side. */
export interface KeyRange {
  readonly from: Buffer | null
  readonly to: Buffer | null
}

export type BlockKind = 'block-damaged' | 'block-checksum' | 'block-compressed'

interface AnyFinding {
  /** Its name in the store's directory. */
  readonly file: string
  /** Where in the file, and how many bytes; the whole file where they are not given. */
  readonly at?: number
  readonly bytes?: number
  readonly reason: string
}

export type Finding =
  | (AnyFinding & { readonly kind: Exclude<FindingKind, BlockKind> })
  | (AnyFinding & { readonly kind: BlockKind; readonly keys: KeyRange })

const HARD_KINDS: ReadonlySet<string> = new Set(HARD)

export function isHard(finding: Finding): boolean {
  return HARD_KINDS.has(finding.kind)
}

/** A store that is damaged all over has a finding for each of its blocks: so many are kept, the others counted. */
export const FINDINGS_MAX = 1000

export class Findings {
  readonly list: Finding[] = []
  /** Findings that were left out of the list. */
  omitted = 0
  isHard = false

  add(finding: Finding): void {
    this.isHard ||= isHard(finding)
    if (this.list.length < FINDINGS_MAX) this.list.push(finding)
    else this.omitted++
  }
}
