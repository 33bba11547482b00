/**
 * How a table is built (google/leveldb, doc/table_format.md), read from its end:
 *
 *   table     := (block trailer)* filter trailer metaindex trailer index trailer footer
 *   index     := a block (block.ts); an entry for each data block: a key no smaller than its last, its handle
 *   metaindex := a block; "filter." and the filter's name, its handle
 *   handle    := offset:varint size:varint               size without the trailer
 *   footer    := handle{metaindex} handle{index} 0* magic:u64le        48 bytes; magic = 0xdb4775248b80fb57
 */

import { BlockCursor, hasRightChecksum, PLAIN, SNAPPY, TRAILER_BYTES, typeOf } from './block.ts'
import type { Scratch } from './block-reader.ts'
import { BloomFilter } from './bloom-filter.ts'
import { ByteCursor, NONE } from './byte-cursor.ts'
import type { Finding } from './findings.ts'
import { compareInternal, TRAILER_BYTES as KEY_TRAILER_BYTES } from './internal-key.ts'
import type { TolerantFile } from './tolerant-file.ts'

const FOOTER_BYTES = 48
const MAGIC = Buffer.from('57fb808b247547db', 'hex')
const FILTER_KEY = 'filter.leveldb.BuiltinBloomFilter2'
/** Index, metaindex and filter of most tables: read at once. */
const TAIL_BYTES = 128 * 1024

export interface BlockHandle {
  readonly offset: number
  /** Without the trailer. */
  readonly size: number
}

export interface IndexedBlock extends BlockHandle {
  /** An internal key: not before the last of the block, before the first of the next one. */
  readonly separator: Buffer
}

/** One of the thousand that a table has: its separator is made when it is asked for. */
class IndexEntry implements IndexedBlock {
  readonly offset: number
  readonly size: number
  readonly #keys: Buffer
  readonly #keyAt: number
  readonly #keyEnd: number

  constructor({ offset, size }: BlockHandle, keys: Buffer, keyAt: number, keyEnd: number) {
    this.offset = offset
    this.size = size
    this.#keys = keys
    this.#keyAt = keyAt
    this.#keyEnd = keyEnd
  }

  get separator(): Buffer {
    return this.#keys.subarray(this.#keyAt, this.#keyEnd)
  }
}

export interface TableStructure {
  /** null where the index cannot be believed. */
  readonly blocks: readonly IndexedBlock[] | null
  /** Where the data blocks end, as far as that is known. */
  readonly dataEnd: number | null
  /** null where there is none that can be believed. */
  readonly filter: BloomFilter | null
  readonly findings: readonly Finding[]
}

/**
 * @param size where the table ends in the file: a file may be longer than what LevelDB wrote of it
 * @param scratch given where many tables are read: nothing of what is returned stands in it
 */
export async function readStructure(
  file: TolerantFile,
  size: number,
  scratch?: Scratch,
): Promise<TableStructure> {
  return new StructureReader(file, size, scratch).read()
}

class StructureReader {
  readonly #file: TolerantFile
  readonly #size: number
  readonly #scratch: Scratch | undefined
  readonly #findings: Finding[] = []
  #tail: Buffer = Buffer.alloc(0)
  #tailAt = 0
  #filter: BloomFilter | null = null

  constructor(file: TolerantFile, size: number, scratch: Scratch | undefined) {
    this.#file = file
    this.#size = size
    this.#scratch = scratch
  }

  async read(): Promise<TableStructure> {
    const footerAt = this.#size - FOOTER_BYTES
    if (footerAt < 0 || this.#file.size < this.#size) {
      this.#find('footer-damaged', 0, this.#file.size, 'the file is too short for one')
      return this.#result(null, null)
    }
    this.#tailAt = Math.max(0, this.#size - TAIL_BYTES)
    const tailBytes = this.#size - this.#tailAt
    this.#tail = await this.#file.read(this.#tailAt, tailBytes, this.#scratch?.take(tailBytes))
    const footer = new ByteCursor(await this.#part(footerAt, FOOTER_BYTES))
    const metaindex = readHandle(footer, footerAt)
    const index = readHandle(footer, footerAt)
    const hasMagic = footer.bytes.subarray(FOOTER_BYTES - MAGIC.length).equals(MAGIC)
    if (metaindex === null || index === null || !hasMagic) {
      this.#find(
        'footer-damaged',
        footerAt,
        FOOTER_BYTES,
        hasMagic ? 'its places are damaged' : 'it is not a table’s',
      )
      return this.#result(null, null)
    }
    const dataEnd = await this.#readFilter(metaindex)
    return this.#result(await this.#readIndex(index), dataEnd)
  }

  #result(blocks: IndexedBlock[] | null, dataEnd: number | null): TableStructure {
    return { blocks, dataEnd, filter: this.#filter, findings: this.#findings }
  }

  #find(
    kind: 'footer-damaged' | 'index-damaged' | 'filter-damaged',
    at: number,
    bytes: number,
    reason: string,
  ): void {
    const { name } = this.#file
    if (this.#file.isUnreadable(at, at + bytes))
      this.#findings.push({
        kind: 'unreadable',
        file: name,
        at,
        bytes,
        reason: 'the disk does not give it back',
      })
    else this.#findings.push({ kind, file: name, at, bytes, reason })
  }

  async #part(offset: number, length: number): Promise<Buffer> {
    const at = offset - this.#tailAt
    if (at >= 0 && at + length <= this.#tail.length) return this.#tail.subarray(at, at + length)
    return this.#file.read(offset, length)
  }

  /** The block without its trailer, or why it cannot be had. */
  async #block(handle: BlockHandle): Promise<Buffer | string> {
    const bytes = await this.#part(handle.offset, handle.size + TRAILER_BYTES)
    if (!hasRightChecksum(bytes)) return 'its checksum is wrong'
    const type = typeOf(bytes)
    if (type === PLAIN) return bytes.subarray(0, handle.size)
    return type === SNAPPY ? 'compressed' : `it is of type ${type}`
  }

  /** @returns where the filter begins, or the metaindex where there is none: there the data blocks end */
  async #readFilter(metaindex: BlockHandle): Promise<number | null> {
    const block = await this.#block(metaindex)
    const bytes = metaindex.size + TRAILER_BYTES
    if (typeof block === 'string') {
      if (block !== 'compressed')
        this.#find('filter-damaged', metaindex.offset, bytes, `the metaindex: ${block}`)
      return null
    }
    const cursor = new BlockCursor(block)
    let filter: BlockHandle | null = null
    while (cursor.next()) {
      if (cursor.key.toString('latin1', 0, cursor.keyLength) !== FILTER_KEY) continue
      filter = readHandle(new ByteCursor(cursor.value), metaindex.offset)
      if (filter === null) break
      // LevelDB does not check it, and a damaged filter says of keys that they are not there
      const content = await this.#part(filter.offset, filter.size + TRAILER_BYTES)
      if (hasRightChecksum(content))
        this.#filter = BloomFilter.read(Buffer.from(content.subarray(0, filter.size)))
      else this.#find('filter-damaged', filter.offset, content.length, 'its checksum is wrong')
    }
    if (cursor.fault !== null || (filter === null && cursor.valueEnd > 0))
      this.#find('filter-damaged', metaindex.offset, bytes, 'the metaindex cannot be read')
    return filter?.offset ?? metaindex.offset
  }

  async #readIndex(index: BlockHandle): Promise<IndexedBlock[] | null> {
    const block = await this.#block(index)
    const bytes = index.size + TRAILER_BYTES
    if (block === 'compressed') {
      const { name: file } = this.#file
      const keys = { from: null, to: null }
      this.#findings.push({
        kind: 'block-compressed',
        file,
        at: index.offset,
        bytes,
        keys,
        reason: 'the index',
      })
      return null
    }
    // it is kept: not in memory that is used again
    const blocks = typeof block === 'string' ? block : readIndex(Buffer.from(block), index.offset)
    if (typeof blocks !== 'string') return blocks
    this.#find('index-damaged', index.offset, bytes, blocks)
    return null
  }
}

/** @param end where what the handle names must end, with its trailer */
function readHandle(cursor: ByteCursor, end: number): BlockHandle | null {
  const offset = cursor.varint64()
  const size = cursor.varint64()
  if (offset === NONE || size === NONE || offset + size + TRAILER_BYTES > end) return null
  return { offset, size }
}

/**
 * The data blocks that an index names, which follow one another from the file's beginning; or why it is no index.
 * @param block kept, for the separators
 * @param end where the data blocks must have ended
 */
export function readIndex(block: Buffer, end: number): IndexedBlock[] | string {
  const cursor = new BlockCursor(block)
  const blocks: IndexedBlock[] = []
  let offset = 0
  let previous: Buffer = Buffer.allocUnsafe(64)
  let previousLength = 0
  while (cursor.next()) {
    const value = new ByteCursor(cursor.value)
    const handle = readHandle(value, end)
    if (handle === null || !value.isAtEnd || handle.offset !== offset) return 'a place in it is damaged'
    if (cursor.keyLength < KEY_TRAILER_BYTES) return 'a key in it is damaged'
    const { key, keyLength, shared, valueStart } = cursor
    if (blocks.length > 0 && compareInternal(previous, previousLength, key, keyLength) >= 0)
      return 'its keys are out of order'
    if (previous.length < keyLength) previous = Buffer.allocUnsafe(2 * keyLength)
    for (let i = 0; i < keyLength; i++) previous[i] = key[i]!
    previousLength = keyLength
    // LevelDB writes each key of an index whole
    blocks.push(
      shared === 0
        ? new IndexEntry(handle, block, valueStart - keyLength, valueStart)
        : new IndexEntry(handle, cursor.keyCopy(), 0, keyLength),
    )
    offset = handle.offset + handle.size + TRAILER_BYTES
  }
  if (cursor.fault !== null) return cursor.fault
  return blocks.length > 0 ? blocks : 'it is empty'
}
