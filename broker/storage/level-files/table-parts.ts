/** The parts of a table in the order of their keys, each with what is known of it: by the index, or by a scan where that is lost. */
import { TRAILER_BYTES } from './block.ts'
import type { BloomFilter } from './bloom-filter.ts'
import { compareInternal, TRAILER_BYTES as KEY_TRAILER_BYTES } from './internal-key.ts'
import { scanTable } from './table-scan.ts'
import { type BlockHandle, type IndexedBlock, readStructure } from './table-structure.ts'
import type { TolerantFile } from './tolerant-file.ts'
import type { LiveTable } from './version.ts'

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
}

/** @param live what the manifest says of the table; null where it says nothing, or is not to be believed */
export async function readParts(file: TolerantFile, live: LiveTable | null): Promise<TableParts> {
  // made and not written
  if (live === null && file.size === 0) return { parts: [], filter: null }
  const size = live === null ? file.size : Math.min(file.size, live.size)
  // a table cut short has its blocks, and no footer
  const { blocks, dataEnd, filter } = await readStructure(file, size)
  const after = live === null ? null : justBefore(live.smallest)
  const through = live?.largest ?? null
  if (blocks !== null) return { parts: partsOfIndex(blocks, after, through), filter }
  const isShort = live !== null && size < live.size
  const bytes = await file.read(0, size)
  const scan = scanTable(bytes, isShort ? null : dataEnd)
  if (scan.index !== null) return { parts: partsOfIndex(scan.index, after, through), filter }
  const parts: TablePart[] = []
  let at = 0
  let last = after
  for (const block of scan.found) {
    const { offset, first } = block
    if (offset > at) parts.push({ kind: 'gap', offset: at, size: offset - at, after: last, through: first })
    parts.push({
      kind: block.isAnchored ? 'block' : 'unanchored',
      offset,
      size: block.size,
      after: last,
      through: block.last,
    })
    at = offset + block.size + TRAILER_BYTES
    last = block.last
  }
  const hasAll =
    last !== null && through !== null && compareInternal(last, last.length, through, through.length) >= 0
  // a cut at the end of a block leaves no gap to see
  const end = isShort ? live.size : (dataEnd ?? size)
  const isEndKnown = dataEnd !== null && !isShort
  if (!hasAll && (at < end || !isEndKnown))
    parts.push({ kind: 'gap', offset: at, size: Math.max(0, end - at), after: last, through })
  return { parts, filter }
}

function partsOfIndex(
  blocks: readonly IndexedBlock[],
  after: Buffer | null,
  through: Buffer | null,
): TablePart[] {
  return blocks.map(({ offset, size, separator }, i) => ({
    kind: 'block',
    offset,
    size,
    after: blocks[i - 1]?.separator ?? after,
    through: i === blocks.length - 1 ? (through ?? separator) : separator,
  }))
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
