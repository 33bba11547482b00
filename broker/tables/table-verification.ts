/**
 * A table against its log: the fold is made once more from the records, into a store that is removed afterwards, and both are gone
 * through side by side in the order of their keys. Memory is bounded by the steps; the store beside holds about 30 bytes a key.
 *
 *   key   := the entry's key (table-entry.ts)
 *   value := partition:u32be offset:f64be crc:u32be          CRC-32C of the entry's content
 */
import { setImmediate as turn } from 'node:timers/promises'
import { crc32c } from '../storage/crc32c.ts'
import type { Disk, Entry, Store, StoreScan } from '../storage/store.ts'
import { RecordScan } from './record-scan.ts'
import {
  contentOf,
  END_ENTRY_KEY,
  entryKey,
  FIRST_ENTRY_KEY,
  recordKeyOf,
  type StoredEntry,
} from './table-entry.ts'
import { placedHash, type TableLog } from './table-log.ts'
import { TablePass } from './table-pass.ts'
import type { TableSnapshot } from './table-snapshot.ts'

export interface TableProblem {
  /** null: the table as a whole. */
  readonly key: Buffer | null
  readonly reason: string
}

export interface TableVerifyReport {
  readonly stream: string
  readonly isWhole: boolean
  readonly keys: number
  /** Records of the log that were looked at. */
  readonly records: number
  /** Keys that the log has and the table has not. */
  readonly missing: number
  /** Keys that the table has and the log has not. */
  readonly extra: number
  /** Keys whose record in the table is not the latest one, or not what the log has. */
  readonly different: number
  readonly problems: readonly TableProblem[]
  readonly problemsLeftOut: number
}

export interface TableVerifyProgress {
  readonly stream: string
  readonly recordsDone: number
  readonly recordsTotal: number
}

/** More problems than this are counted, not listed. */
const PROBLEMS_MAX = 1000
const STEP_BYTES = 256 * 1024
const TURN_RECORDS = 500
/** Keys collected before they are written. */
const FOLDED_MAX = 5_000
const STORE_OPTIONS = { writeBufferBytes: 2 * 1024 * 1024, createIfMissing: true, isCompressed: true }
const REFERENCE_BYTES = 16
/** Compaction that goes on all the time does not keep a verification from its end. */
const FOLDS_MAX = 3

/** The latest record of a key, as a fold of the log finds it. */
interface Reference {
  readonly key: Buffer
  readonly partition: number
  readonly offset: number
  readonly crc: number
}

export interface VerificationParts {
  readonly stream: string
  readonly log: TableLog
  readonly snapshot: TableSnapshot
  readonly disk: Disk
  /** For the store beside; nothing may be there. */
  readonly directory: string
  readonly onProgress: (progress: TableVerifyProgress) => void
}

/** Of a table that could not be compared with the log. */
export function unverified(stream: string, reason: string): TableVerifyReport {
  const counts = { keys: 0, records: 0, missing: 0, extra: 0, different: 0 }
  return { stream, isWhole: false, ...counts, problems: [{ key: null, reason }], problemsLeftOut: 0 }
}

/** Compares; the caller closes the snapshot. @throws what the log or the disk throws */
export async function verifyTable(parts: VerificationParts): Promise<TableVerifyReport> {
  const { disk, directory } = parts
  let cleaned = cleanedOf(parts)
  await disk.makeDirectory(directory)
  const store = await disk.openStore(directory, STORE_OPTIONS)
  try {
    let records = await foldInto(store, parts)
    for (let tries = 1; tries < FOLDS_MAX && hasBeenOvertaken(parts, cleaned); tries++) {
      cleaned = cleanedOf(parts)
      await empty(store)
      records = await foldInto(store, parts)
    }
    return await compare(store, parts, records)
  } finally {
    await store.close().catch(() => undefined)
    await disk.remove(directory)
  }
}

function cleanedOf({ log, stream, snapshot }: VerificationParts): number[] {
  return snapshot.positions.map((_, partition) => log.cleanedOffset(stream, partition))
}

/** Compaction may have taken a tombstone whose key the fold had read already. */
function hasBeenOvertaken(parts: VerificationParts, cleaned: readonly number[]): boolean {
  return cleanedOf(parts).some((offset, partition) => offset > cleaned[partition]!)
}

async function empty(store: Store): Promise<void> {
  for (;;) {
    const entries = await store.range({ from: FIRST_ENTRY_KEY, to: END_ENTRY_KEY, bytesMax: STEP_BYTES })
    if (entries.length === 0) return
    const batch = store.batch()
    for (const { key } of entries) batch.delete(key)
    await batch.write({ sync: false })
  }
}

// -- the fold -------------------------------------------------------------------------------------------------------

/** @returns how many records it looked at */
async function foldInto(
  store: Store,
  { stream, log, snapshot, onProgress }: VerificationParts,
): Promise<number> {
  const { starts, positions } = snapshot
  const ends = positions.map((durableOffset, i) => ({ logStartOffset: starts[i]!, durableOffset }))
  const recordsTotal = ends.reduce((sum, end) => sum + end.durableOffset - end.logStartOffset, 0)
  const next = [...starts]
  // from the oldest segment to the newest, as a table is built
  const pass = new TablePass(ends, next, 0)
  const folded = new Map<string, Buffer | null>()
  let records = 0
  for (let partition = pass.nextPartition(0, true); partition !== null; ) {
    const batches = await log.read(stream, partition, next[partition]!, STEP_BYTES)
    for (const { bytes } of batches) {
      const scan = new RecordScan(bytes)
      while (scan.next()) {
        if (scan.offset < next[partition]! || scan.offset >= positions[partition]!) continue
        if (typeof placedHash(scan, partition, positions.length) === 'number') {
          folded.set(scan.keyText, scan.valueFrom < 0 ? null : encodeReference(scan, partition))
        }
        if (++records % TURN_RECORDS === 0) await turn()
        if (folded.size >= FOLDED_MAX) await writeFolded(store, folded)
      }
    }
    next[partition] = Math.max(next[partition]!, batches.at(-1)?.nextOffset ?? positions[partition]!)
    const left = next.reduce((sum, at, i) => sum + Math.max(0, positions[i]! - at), 0)
    onProgress({ stream, recordsDone: recordsTotal - left, recordsTotal })
    partition = pass.nextPartition(0, true)
  }
  await writeFolded(store, folded)
  return records
}

async function writeFolded(store: Store, folded: Map<string, Buffer | null>): Promise<void> {
  const batch = store.batch()
  let changes = 0
  for (const [key, value] of folded) {
    const stored = entryKey(Buffer.from(key, 'latin1'))
    if (value === null) batch.delete(stored)
    else batch.put(stored, value)
    if (++changes % TURN_RECORDS === 0) await turn()
  }
  // it is removed at the end, and after a crash
  await batch.write({ sync: false })
  folded.clear()
}

function encodeReference(scan: RecordScan, partition: number): Buffer {
  const value = Buffer.allocUnsafe(REFERENCE_BYTES)
  value.writeUInt32BE(partition, 0)
  value.writeDoubleBE(scan.offset, 4)
  value.writeUInt32BE(crc32c(contentOf(scan, partition)), 12)
  return value
}

function decodeReference({ key, value }: Entry): Reference {
  return {
    key: recordKeyOf(key),
    partition: value.readUInt32BE(0),
    offset: value.readDoubleBE(4),
    crc: value.readUInt32BE(12),
  }
}

// -- the comparison -------------------------------------------------------------------------------------------------

class Comparison {
  readonly problems: TableProblem[] = []
  keys = 0
  missing = 0
  extra = 0
  different = 0

  found(what: 'missing' | 'extra' | 'different', key: Buffer, reason: string): void {
    this[what]++
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ key: Buffer.from(key), reason })
  }

  get total(): number {
    return this.missing + this.extra + this.different
  }
}

async function compare(
  store: Store,
  { stream, log, snapshot }: VerificationParts,
  records: number,
): Promise<TableVerifyReport> {
  const { partitions } = log.stream(stream)
  /** Retention has dropped it since the snapshot: nobody can tell any more. */
  const isGone = ({ partition, offset }: { partition: number; offset: number }) =>
    offset < partitions[partition]!.logStartOffset
  const seen = new Comparison()
  const scan = store.scan(FIRST_ENTRY_KEY, END_ENTRY_KEY)
  const left = new Side<StoredEntry>(() => snapshot.next(STEP_BYTES))
  const right = new Side<Reference>(() => nextReferences(scan))
  try {
    let [entry, reference] = [await left.next(), await right.next()]
    while (entry !== null || reference !== null) {
      const order = orderOf(entry, reference)
      if (order <= 0) seen.keys++
      if (order < 0) {
        if (!isGone(entry!)) seen.found('extra', entry!.key, `the log has no offset ${entry!.offset} of it`)
      } else if (order > 0) {
        const { key, offset } = reference!
        if (!isGone(reference!)) seen.found('missing', key, `it is at offset ${offset} of the log`)
      } else if (!isGone(reference!)) compareEntry(seen, entry!, reference!)
      if (order <= 0) entry = await left.next()
      if (order >= 0) reference = await right.next()
    }
  } finally {
    await scan.close()
  }
  const { keys, missing, extra, different, problems, total } = seen
  const problemsLeftOut = total - problems.length
  return { stream, isWhole: total === 0, keys, records, missing, extra, different, problems, problemsLeftOut }
}

function compareEntry(seen: Comparison, entry: StoredEntry, reference: Reference): void {
  if (entry.offset !== reference.offset || entry.partition !== reference.partition) {
    const place = ({ partition, offset }: { partition: number; offset: number }) => `${partition}/${offset}`
    seen.found('different', entry.key, `it has ${place(entry)}, the log ${place(reference)}`)
  } else if (crc32c(entry.content) !== reference.crc) {
    seen.found('different', entry.key, `its record is not the one at offset ${entry.offset}`)
  }
}

function orderOf(entry: StoredEntry | null, reference: Reference | null): number {
  if (entry === null) return 1
  if (reference === null) return -1
  return Buffer.compare(entry.key, reference.key)
}

async function nextReferences(scan: StoreScan): Promise<Reference[] | null> {
  const entries = await scan.next(STEP_BYTES)
  return entries.length === 0 ? null : entries.map(decodeReference)
}

/** One of two sorted rows, an item at a time. */
class Side<T> {
  readonly #read: () => Promise<T[] | null>
  #items: T[] = []
  #at = 0

  constructor(read: () => Promise<T[] | null>) {
    this.#read = read
  }

  async next(): Promise<T | null> {
    while (this.#at === this.#items.length) {
      const items = await this.#read()
      if (items === null) return null
      this.#items = items
      this.#at = 0
    }
    return this.#items[this.#at++]!
  }
}
