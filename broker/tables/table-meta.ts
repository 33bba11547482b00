/**
 * What a table's LevelDB says of itself, replaced with every batch written to it. On disk: never change but with `FORMAT`.
 *
 *   key   := 0x00
 *   value := crc:u32be format:u8 incarnation shift:varint holes:varint unkeyed:varint misplaced:varint
 *            partitions:varint (next:varint swept:varint cleaned:varint)*
 *   incarnation := length:varint utf8
 *
 * `shift` is key-sample.ts's; `holes` is how many holes of the log were known. Per partition, `next` is the first offset that the entries do not have yet, `swept` a log start offset below which no entry
 * is left, and `cleaned` how far compaction had come when that was last looked at. `crc` is the CRC-32C of all that follows it. The varints are zigzag (log/varint.ts).
 */
import { cursor, readVarint, varintSize, writeVarint } from '../log/varint.ts'
import { crc32c } from '../storage/crc32c.ts'
import { KeySample } from './key-sample.ts'

/** Raised when an entry or this changes; a table of another format is built again. */
const FORMAT = 1
export const META_KEY: Buffer = Buffer.of(0x00)

export interface TableMeta {
  /** Of the log that the table was built from. */
  readonly incarnation: string
  /** By partition: the next offset to apply. */
  readonly next: number[]
  /** By partition: no entry is below it. */
  readonly swept: number[]
  /** By partition: the log's `cleanedOffset` that is known. */
  readonly cleaned: number[]
  readonly keys: KeySample
  /** Holes of the stream that are known, and were passed or lie ahead. */
  holes: number
  /** Records that were passed over because they have no key. */
  unkeyed: number
  /** Records that were passed over because their key belongs to another partition. */
  misplaced: number
}

/** Of a table that has nothing yet. */
export function emptyMeta(incarnation: string, partitions: number): TableMeta {
  const zeros = () => new Array<number>(partitions).fill(0)
  return {
    incarnation,
    next: zeros(),
    swept: zeros(),
    cleaned: zeros(),
    keys: new KeySample(),
    holes: 0,
    unkeyed: 0,
    misplaced: 0,
  }
}

export function encodeMeta(meta: TableMeta): Buffer {
  const incarnation = Buffer.from(meta.incarnation, 'utf8')
  const numbers = [meta.keys.shift, meta.holes, meta.unkeyed, meta.misplaced, meta.next.length]
  for (const [i, next] of meta.next.entries()) numbers.push(next, meta.swept[i]!, meta.cleaned[i]!)
  let size = 5 + varintSize(incarnation.length) + incarnation.length
  for (const number of numbers) size += varintSize(number)
  const value = Buffer.allocUnsafe(size)
  value[4] = FORMAT
  let at = writeVarint(value, 5, incarnation.length)
  at += incarnation.copy(value, at)
  for (const number of numbers) at = writeVarint(value, at, number)
  value.writeUInt32BE(crc32c(value.subarray(4)), 0)
  return value
}

/** @returns the meta entry, its sample of keys still to be read, or why it cannot be used. */
export function decodeMeta(value: Buffer): (Omit<TableMeta, 'keys'> & { readonly shift: number }) | string {
  if (value.length < 6) return 'its positions are too short'
  if (crc32c(value.subarray(4)) !== value.readUInt32BE(0))
    return 'the CRC of its positions does not match their bytes'
  if (value[4] !== FORMAT) return `it has format ${value[4]}, this version writes ${FORMAT}`
  const length = readVarint(value, 5)
  const from = cursor.at
  const incarnation = value.toString('utf8', from, from + length)
  const shift = readVarint(value, from + length)
  const holes = readVarint(value, cursor.at)
  const unkeyed = readVarint(value, cursor.at)
  const misplaced = readVarint(value, cursor.at)
  const partitions = readVarint(value, cursor.at)
  const next: number[] = []
  const swept: number[] = []
  const cleaned: number[] = []
  for (let i = 0; i < partitions; i++) {
    next.push(readVarint(value, cursor.at))
    swept.push(readVarint(value, cursor.at))
    cleaned.push(readVarint(value, cursor.at))
  }
  return { incarnation, next, swept, cleaned, shift, holes, unkeyed, misplaced }
}
