/**
 * Finds the data blocks of a table whose footer or index is lost. Blocks follow one another from the file's beginning; where entries end
 * and restarts begin shows, because the first restart is 0 and no entry begins with four zeros; the checksum then says for certain.
 *
 * Behind a block that is damaged the next one is searched for byte by byte. What is found so is anchored only if whole blocks lead from it
 * to the place where the data is known to end: a client can put the bytes of a block, with a right checksum, into a payload.
 */
import { BlockCursor, hasRightChecksum, PLAIN, TRAILER_BYTES, typeOf } from './block.ts'
import { compareInternal, isInternalKey } from './internal-key.ts'
import { type BlockHandle, type IndexedBlock, readIndex } from './table-structure.ts'
import type { LiveTable } from './version.ts'

/** Entries read for each byte of the file at most: a payload can be made so that each of its bytes looks like a block's beginning. */
const STEPS_PER_BYTE_MAX = 8

export interface FoundBlock extends BlockHandle {
  /** Its first and its last internal key. */
  readonly first: Buffer
  readonly last: Buffer
  readonly isAnchored: boolean
}

export interface TableScan {
  /** In the order of the file, which is that of their keys. */
  readonly found: readonly FoundBlock[]
  /** The index, where the scan came upon it whole: it knows more than the scan. */
  readonly index: readonly IndexedBlock[] | null
  /** The blocks at the beginning, or at the end, are not this table's. */
  readonly isForeign: boolean
}

/**
 * @param bytes the whole file
 * @param dataEnd where the data blocks end; null where that is not known
 * @param live what is known of the table's first and last key
 */
export function scanTable(bytes: Buffer, dataEnd: number | null, live: LiveTable | null): TableScan {
  const end = Math.min(dataEnd ?? bytes.length, bytes.length)
  const budget = { steps: bytes.length * STEPS_PER_BYTE_MAX }
  const rows: Block[][] = []
  let at = 0
  while (at < end) {
    const from = at
    let block = blockAt(bytes, at, end, budget)
    for (at++; block === null && at < end && budget.steps > 0; at++) block = blockAt(bytes, at, end, budget)
    if (block === null) break
    const index = readIndex(contentOf(bytes, block), block.offset)
    if (typeof index !== 'string' && isIndexOf(index, rows)) return { found: [], index, isForeign: false }
    at = endOf(block)
    const row = rows.at(-1)
    if (row !== undefined && block.offset === from && isBefore(row.at(-1)!, block)) row.push(block)
    else rows.push([block])
  }
  const [first, last] = [rows[0]?.[0], rows.at(-1)?.at(-1)]
  const isForeign =
    (first?.offset === 0 && live?.smallest.equals(first.first) === false) ||
    (last !== undefined && endOf(last) === dataEnd && live?.largest.equals(last.last) === false)
  return { found: arrange(rows, dataEnd, live), index: null, isForeign }
}

/** A block of data can look like an index; it does not name the blocks before it. */
function isIndexOf(index: readonly IndexedBlock[], [first = []]: readonly Block[][]): boolean {
  const sizes = new Map(index.map(({ offset, size }) => [offset, size]))
  return first.every(({ offset, size }) => sizes.get(offset) === size)
}

/** Anchored rows first, then the longest: what a client has forged neither stands in place of what is certain nor hides it. */
function arrange(rows: readonly Block[][], dataEnd: number | null, live: LiveTable | null): FoundBlock[] {
  const found: FoundBlock[] = []
  const isAtStart = ({ offset, first }: Block) => offset === 0 && live?.smallest.equals(first) !== false
  const isAtEnd = (block: Block) => endOf(block) === dataEnd && live?.largest.equals(block.last) !== false
  const isAnchored = (row: Block[]) => isAtStart(row[0]!) || isAtEnd(row.at(-1)!)
  const bytesOf = (row: Block[]) => endOf(row.at(-1)!) - row[0]!.offset
  const rank = (row: Block[]) => (isAnchored(row) ? Number.POSITIVE_INFINITY : bytesOf(row))
  for (const row of rows.toSorted((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a)))) {
    const place = found.findIndex(({ offset }) => offset > row[0]!.offset)
    const at = place < 0 ? found.length : place
    const [before, behind] = [found[at - 1], found[at]]
    const fits =
      (before === undefined || isBefore(before, row[0]!)) &&
      (behind === undefined || isBefore(row.at(-1)!, behind))
    if (fits) found.splice(at, 0, ...row.map((block) => ({ ...block, isAnchored: isAnchored(row) })))
  }
  return found
}

type Block = Omit<FoundBlock, 'isAnchored'>

function endOf({ offset, size }: BlockHandle): number {
  return offset + size + TRAILER_BYTES
}

function isBefore({ last }: Block, { first }: Block): boolean {
  return compareInternal(last, last.length, first, first.length) < 0
}

function contentOf(bytes: Buffer, { offset, size }: BlockHandle): Buffer {
  return bytes.subarray(offset, offset + size)
}

/** The block that begins here, whole and with a right checksum; null where there is none. */
function blockAt(bytes: Buffer, at: number, end: number, budget: { steps: number }): Block | null {
  // a whole key, and one that has room for a trailer
  if (bytes[at] !== 0 || !(bytes[at + 1]! >= 8)) return null
  const rest = bytes.subarray(at, end)
  const cursor = new BlockCursor(rest, true)
  let first: Buffer | null = null
  while (first === null || !isZero32(rest, cursor.valueEnd)) {
    budget.steps--
    if (budget.steps < 0 || !cursor.next() || !isInternalKey(cursor.key, cursor.keyLength)) return null
    first ??= cursor.keyCopy()
  }
  const size = restartsEnd(rest, cursor.valueEnd)
  const block = rest.subarray(0, size + TRAILER_BYTES)
  const isWhole = size > 0 && block.length === size + TRAILER_BYTES && typeOf(block) === PLAIN
  if (!isWhole || !hasRightChecksum(block)) return null
  return { offset: at, size, first, last: cursor.keyCopy() }
}

function isZero32(bytes: Buffer, at: number): boolean {
  return at + 4 <= bytes.length && bytes.readUInt32LE(at) === 0
}

/** Where the restarts that begin at `at`, and their number, end; 0 where these are none. An entry has 11 bytes or more. */
function restartsEnd(bytes: Buffer, at: number): number {
  let previous = 0
  for (let count = 1; at + 4 * count + 4 <= bytes.length; count++) {
    const value = bytes.readUInt32LE(at + 4 * count)
    if (value === count) return at + 4 * count + 4
    if (value <= previous || value >= at) return 0
    previous = value
  }
  return 0
}
