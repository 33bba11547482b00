/** The parts of a table in the order of their keys, each with what is known of it: by the index, or by a scan where that is lost. */
import { BlockCursor, hasRightChecksum, TRAILER_BYTES } from './block.ts'
import type { BloomFilter } from './bloom-filter.ts'
import { compareInternal, TRAILER_BYTES as KEY_TRAILER_BYTES } from './internal-key.ts'
import { type FoundBlock, scanTable } from './table-scan.ts'
import { type BlockHandle, type IndexedBlock, readStructure } from './table-structure.ts'
import type { TolerantFile } from './tolerant-file.ts'
import type { LiveTable } from './version.ts'

/** A block of more is one entry, as a rule: its key is held against what is known of the table when it is read. */
const KEYS_BLOCK_BYTES_MAX = 1024 * 1024

export interface TablePart extends BlockHandle {
  /**
   * block: its checksum decides. unanchored: found by a search, it can be what a client sent. gap: no block is known, `size` counts all
   * bytes; it begins where a block does.
   */
  readonly kind: 'block' | 'unanchored' | 'gap'
  /** Internal keys: those of the part lie behind `after`, and not behind `through`; null where that is not known. */
  readonly after: Buffer | null
  readonly through: Buffer | null
}

export interface TableParts {
  readonly parts: readonly TablePart[]
  readonly filter: BloomFilter | null
  /**
   * The table begins or ends whole, and with another key than the manifest notes: a part of it was written for another place, and what
   * stood there is lost, wherever its keys were.
   */
  readonly isForeign: boolean
}

/** @param live what the manifest says of the table; null where it says nothing, or is not to be believed */
export async function readParts(file: TolerantFile, live: LiveTable | null): Promise<TableParts> {
  const size = live === null ? file.size : Math.min(file.size, live.size)
  // a table cut short has its blocks, and no footer
  const { blocks, dataEnd, filter } = await readStructure(file, size)
  if (blocks !== null) return { ...(await partsOfIndex(file, blocks, live)), filter }
  const isShort = live !== null && size < live.size
  const bytes = await file.read(0, size)
  const scan = scanTable(bytes, isShort ? null : dataEnd, live)
  if (scan.index !== null) return { ...(await partsOfIndex(file, scan.index, live)), filter }
  // a cut at the end of a block leaves no gap to see
  const end = isShort ? live.size : (dataEnd ?? size)
  const parts = partsOfScan(scan.found, live, end, dataEnd !== null && !isShort)
  const [first] = scan.found
  return {
    parts,
    filter,
    isForeign: first?.offset === 0 && live !== null && !first.first.equals(live.smallest),
  }
}

function partsOfScan(
  found: readonly FoundBlock[],
  live: LiveTable | null,
  end: number,
  isEndKnown: boolean,
): TablePart[] {
  const parts: TablePart[] = []
  let at = 0
  let after = live === null ? null : justBefore(live.smallest)
  for (const { offset, size, first, last, isAnchored } of found) {
    if (offset > at) parts.push({ kind: 'gap', offset: at, size: offset - at, after, through: first })
    parts.push({ kind: isAnchored ? 'block' : 'unanchored', offset, size, after, through: last })
    at = offset + size + TRAILER_BYTES
    after = last
  }
  const through = live?.largest ?? null
  const hasAll =
    at > 0 && through !== null && compareInternal(after!, after!.length, through, through.length) >= 0
  if (!hasAll && (at < end || !isEndKnown))
    parts.push({ kind: 'gap', offset: at, size: Math.max(0, end - at), after, through })
  return parts
}

async function partsOfIndex(
  file: TolerantFile,
  blocks: readonly IndexedBlock[],
  live: LiveTable | null,
): Promise<{ parts: TablePart[]; isForeign: boolean }> {
  const isForeign = live !== null && !(await hasEnds(file, blocks, live))
  const parts = blocks.map(({ offset, size, separator }, i): TablePart => {
    const isLast = i === blocks.length - 1
    const before = blocks[i - 1]?.separator ?? (live === null ? null : justBefore(live.smallest))
    const through = isLast ? (live?.largest ?? separator) : separator
    return { kind: isForeign ? 'unanchored' : 'block', offset, size, after: before, through }
  })
  return { parts, isForeign }
}

/** False where the first block or the last one is whole, and not that of this table. */
async function hasEnds(
  file: TolerantFile,
  blocks: readonly IndexedBlock[],
  live: LiveTable,
): Promise<boolean> {
  const [first] = await keysOf(file, blocks[0]!)
  const last = (await keysOf(file, blocks.at(-1)!)).at(-1)
  return first?.equals(live.smallest) !== false && last?.equals(live.largest) !== false
}

/** Its first key and its last; none of a block that is not whole, or that is too large to be read for it alone. */
async function keysOf(file: TolerantFile, { offset, size }: BlockHandle): Promise<Buffer[]> {
  if (size > KEYS_BLOCK_BYTES_MAX) return []
  const bytes = await file.read(offset, size + TRAILER_BYTES)
  const cursor = new BlockCursor(bytes.subarray(0, size))
  if (!hasRightChecksum(bytes) || !cursor.next()) return []
  const first = cursor.keyCopy()
  while (cursor.next());
  return [first, cursor.keyCopy()]
}

/** The internal key before which there is nothing but keys that sort before this one. */
function justBefore(internalKey: Buffer): Buffer {
  const key = Buffer.from(internalKey)
  for (let i = key.length - KEY_TRAILER_BYTES; i < key.length; i++) {
    key[i] = (key[i]! + 1) & 0xff
    if (key[i] !== 0) break
  }
  return key
}
