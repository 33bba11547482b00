/**
 * An entry of a table's LevelDB: the latest record of one key. On disk: never change; a new layout is a new format in
 * table-meta.ts, and the table is built again.
 *
 *   key   := 0x01 recordKey
 *   value := crc:u32be commit:varint content
 *   content := partition:varint offset:varint timestamp:varint headers recordValue
 *
 * Varints are zigzag (log/varint.ts). `commit` is the one that brought the record, or that of the batch which compaction has put it
 * into since, for the clock's facts; -1 is not known. `headers` is the section that the record has in its batch, its count first;
 * `recordValue` is all that follows. `crc` is the CRC-32C of the value's bytes after it and then the key's: LevelDB does not check what it reads, and
 * a value under the wrong key is as wrong as a wrong value. A worked example, key "a", value "b" without headers at offset 7 of
 * partition 0, written by commit 3 at 1970-01-01T00:00:01Z:
 *
 *   01 61 -> <crc> 06 00 0e d00f 00 62          crc = CRC-32C of 06 00 0e d00f 00 62 01 61
 */
import type { RecordHeader } from '../log/record-batch.ts'
import { cursor, readVarint, varintSize, writeVarint } from '../log/varint.ts'
import { crc32c } from '../storage/crc32c.ts'
import { type RecordScan, readHeaders } from './record-scan.ts'

/** The latest record of a key, or a change of it: then the value can be null, a tombstone. */
export interface TableEntry {
  readonly partition: number
  readonly offset: number
  /** ms since 1970 */
  readonly timestamp: number
  readonly key: Buffer
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
  /** For `clockOf`. */
  readonly commit?: number
}

/** As a table has it. */
export interface StoredEntry extends TableEntry {
  readonly value: Buffer
  /** What the record itself says, as it is stored. */
  readonly content: Buffer
}

/** First byte of the keys of entries; 0x00 is for table-meta.ts and key-sample.ts. */
const ENTRY_PREFIX = 0x01
export const FIRST_ENTRY_KEY: Buffer = Buffer.of(ENTRY_PREFIX)
/** Above all entries. */
export const END_ENTRY_KEY: Buffer = Buffer.of(ENTRY_PREFIX + 1)

export function entryKey(key: Buffer): Buffer {
  return Buffer.concat([FIRST_ENTRY_KEY, key])
}

export function recordKeyOf(entry: Buffer): Buffer {
  return entry.subarray(1)
}

/** Where a record stands in the log. */
export interface RecordSource {
  readonly partition: number
  readonly commit?: number | undefined
}

const UNKNOWN_COMMIT = -1

/** Where an encoded entry stands: its value, then its key. */
export interface EntryPlace {
  readonly slab: Buffer
  readonly from: number
  keyFrom: number
  end: number
}

/** Bytes that the entry of the record at which a scan stands takes, value and key. */
export function entrySizeOf(scan: RecordScan, { partition, commit = UNKNOWN_COMMIT }: RecordSource): number {
  return (
    5 +
    varintSize(commit) +
    varintSize(partition) +
    varintSize(scan.offset) +
    varintSize(scan.timestamp) +
    (scan.headersTo - scan.headersFrom) +
    (scan.valueTo - scan.valueFrom) +
    (scan.keyTo - scan.keyFrom)
  )
}

/** Writes the entry of the record at which a scan stands; there is room for it from `place.from` on. */
export function encodeEntry(scan: RecordScan, source: RecordSource, place: EntryPlace): void {
  const { batch } = scan
  const { slab, from } = place
  let at = writeVarint(slab, from + 4, source.commit ?? UNKNOWN_COMMIT)
  at = writeVarint(slab, at, source.partition)
  at = writeVarint(slab, at, scan.offset)
  at = writeVarint(slab, at, scan.timestamp)
  at += batch.copy(slab, at, scan.headersFrom, scan.headersTo)
  at += batch.copy(slab, at, scan.valueFrom, scan.valueTo)
  place.keyFrom = at
  slab[at++] = ENTRY_PREFIX
  at += batch.copy(slab, at, scan.keyFrom, scan.keyTo)
  place.end = at
  slab.writeUInt32BE(crc32c(slab.subarray(from + 4, at)), from)
}

/** @param key the entry's @returns the entry, whose buffers are views; or what is wrong with its bytes. */
export function decodeEntry(key: Buffer, value: Buffer): StoredEntry | string {
  if (value.length < 9) return `an entry of ${value.length} bytes is too short`
  const crc = value.readUInt32BE(0)
  if (crc !== crc32c(Buffer.concat([value.subarray(4), key])))
    return 'the CRC of an entry does not match its bytes'
  const commit = readVarint(value, 4)
  const content = value.subarray(cursor.at)
  const partition = readVarint(value, cursor.at)
  const offset = readVarint(value, cursor.at)
  const timestamp = readVarint(value, cursor.at)
  const headers = readHeaders(value, cursor.at)
  return {
    partition,
    offset,
    timestamp,
    key: recordKeyOf(key),
    value: value.subarray(cursor.at),
    headers,
    content,
    ...(commit === UNKNOWN_COMMIT ? {} : { commit }),
  }
}

/** The content of the entry that the record at which a scan stands has. */
export function contentOf(scan: RecordScan, partition: number): Buffer {
  const place = { slab: Buffer.allocUnsafe(entrySizeOf(scan, { partition })), from: 0, keyFrom: 0, end: 0 }
  encodeEntry(scan, { partition }, place)
  return place.slab.subarray(4 + varintSize(UNKNOWN_COMMIT), place.keyFrom)
}

/** Keys from the first on, or those with a beginning, or one. */
export interface KeyRange {
  readonly prefix?: Buffer | undefined
  /** Above this key. */
  readonly after?: Buffer | undefined
  readonly only?: Buffer | undefined
}

/** First key, inclusive, and last, exclusive, of entries. */
export function entryRange({ prefix, after, only }: KeyRange): { from: Buffer; to: Buffer } {
  if (only !== undefined) return { from: entryKey(only), to: keyAfter(only) }
  const from = entryKey(prefix ?? Buffer.alloc(0))
  const to = successor(from)
  if (after === undefined) return { from, to }
  const next = keyAfter(after)
  return { from: Buffer.compare(next, from) > 0 ? next : from, to }
}

/** The next possible key. */
function keyAfter(key: Buffer): Buffer {
  return Buffer.concat([FIRST_ENTRY_KEY, key, Buffer.of(0)])
}

/** The first key after all those that begin with `prefix`; its first byte is below 0xff. */
function successor(prefix: Buffer): Buffer {
  let length = prefix.length
  while (prefix[length - 1] === 0xff) length--
  const next = Buffer.from(prefix.subarray(0, length))
  next[length - 1]!++
  return next
}
