/**
 * Steps through the entries of one whole table in the order of their internal keys, in memory that is used again. For a table that
 * `checkStore` has found fit: a block's checksum and the order of its keys are checked all the same, because the file can have been
 * damaged since, and what is wrong ends the scan (`DamagedFilesError`). A block whose checksum is wrong and whose entries are all in their
 * places is read: what is damaged in a value its reader has to see.
 */
import { join } from 'node:path'
import { CorruptLogError } from '../../errors.ts'
import type { Disk } from '../store.ts'
import { BlockCursor, checkBlock, hasRightChecksum, PLAIN, SNAPPY, typeOf } from './block.ts'
import { BlockReader, type Scratch } from './block-reader.ts'
import type { BloomFilter } from './bloom-filter.ts'
import { tableName } from './file-names.ts'
import { type Finding, isHard } from './findings.ts'
import { compareInternal } from './internal-key.ts'
import { type IndexedBlock, readStructure } from './table-structure.ts'
import { TolerantFile } from './tolerant-file.ts'
import type { LiveTable } from './version.ts'

/** Bytes read from the disk at once: what is copied while nothing else runs. */
const WINDOW_BYTES = 256 * 1024

const NO_BLOCK = Buffer.alloc(0)

/** The files are not what LevelDB wrote: it must not be let near them. */
export class DamagedFilesError extends CorruptLogError {
  readonly findings: readonly Finding[]

  constructor(directory: string, findings: readonly Finding[]) {
    super(directory, findings.map(({ file, reason }) => `${file}: ${reason}`).join('; '))
    this.findings = findings
  }
}

/** A table that the manifest lists is not there: LevelDB has replaced it since, or it is lost. */
export class MissingTableError extends DamagedFilesError {}

export class TableCursor {
  readonly live: LiveTable
  readonly #directory: string
  readonly #name: string
  readonly #sequenceMax: number
  /** Its memory: another table's once this one is closed. */
  readonly scratch: Scratch
  #file: TolerantFile | undefined
  #reader: BlockReader | undefined
  #filter: BloomFilter | null = null
  #blocks: readonly IndexedBlock[] = []
  #nextBlock = 0
  #block: BlockCursor | null = null
  readonly #cursor = new BlockCursor(NO_BLOCK)

  /** @param scratch this table's alone until it is closed */
  constructor(directory: string, live: LiveTable, sequenceMax: number, scratch: Scratch) {
    this.live = live
    this.#directory = directory
    this.#name = tableName(live.number)
    this.#sequenceMax = sequenceMax
    this.scratch = scratch
  }

  /** The entry at which it stands: `key`, `keyLength`, `value`; null at the end. */
  get block(): BlockCursor | null {
    return this.#block
  }

  /** Stands at the first entry that does not come before this internal key. @throws DamagedFilesError */
  async open(disk: Disk, from: Buffer): Promise<void> {
    const file = await TolerantFile.open(disk, join(this.#directory, this.#name), this.#name)
    if (file === undefined) {
      const finding = { kind: 'table-missing', file: this.#name, reason: 'the manifest lists it' } as const
      throw new MissingTableError(this.#directory, [finding])
    }
    this.#file = file
    if (file.isLost) this.#fail('unreadable', 'it cannot be opened')
    if (file.size < this.live.size) this.#fail('table-truncated', 'the file is too short')
    const { blocks, filter, findings } = await readStructure(file, this.live.size, this.scratch)
    if (blocks === null) {
      if (!findings.some(isHard)) this.#refuseCompressed()
      throw new DamagedFilesError(this.#directory, findings)
    }
    this.#blocks = blocks
    this.#filter = filter
    this.#reader = new BlockReader(file, WINDOW_BYTES, this.scratch)
    this.#nextBlock = firstBlock(blocks, from)
    do {
      await this.nextBlock()
      while (this.#block !== null && compare(this.#block, from) < 0 && this.next());
    } while (this.#block !== null && compare(this.#block, from) < 0)
  }

  /** Goes on within the block. @returns false at its end: `nextBlock` is to be called then */
  next(): boolean {
    const block = this.#block!
    if (block.next()) return true
    if (block.fault !== null) this.#fail('block-damaged', block.fault)
    return false
  }

  /** Goes on to the first entry of the next block, or to the end of the table. */
  async nextBlock(): Promise<void> {
    this.#block = null
    if (this.#nextBlock === this.#blocks.length) return
    const place = this.#blocks[this.#nextBlock++]!
    const reader = this.#reader!
    const bytes = reader.readAhead(place) ?? (await reader.read(place))
    this.#check(place, bytes)
    this.#cursor.begin(bytes.subarray(0, place.size))
    this.#block = this.#cursor
    if (!this.next()) this.#fail('block-damaged', 'it is empty')
  }

  #check({ offset, size, separator }: IndexedBlock, bytes: Buffer): void {
    if (this.#file!.isUnreadable(offset, offset + bytes.length))
      this.#fail('unreadable', 'the disk does not give it back')
    const isRight = hasRightChecksum(bytes)
    const type = typeOf(bytes)
    if (isRight && type === PLAIN) return
    if (isRight && type === SNAPPY) this.#refuseCompressed()
    if (type !== PLAIN) this.#fail('block-damaged', `it is of type ${type}`)
    const { fault } = checkBlock(bytes.subarray(0, size), {
      after: this.#blocks[this.#nextBlock - 2]?.separator ?? null,
      through: separator,
      sequenceMax: this.#sequenceMax,
      filter: this.#filter,
      offset,
    })
    if (fault !== null) this.#fail('block-damaged', fault)
  }

  /** LevelDB reads it, so it is not damaged. */
  #refuseCompressed(): never {
    throw new CorruptLogError(this.#directory, `${this.#name} is compressed, which the log never is`)
  }

  #fail(kind: 'unreadable' | 'table-truncated' | 'table-order' | 'block-damaged', reason: string): never {
    const place = { file: this.#name, reason }
    const finding: Finding =
      kind === 'block-damaged' ? { kind, ...place, keys: { from: null, to: null } } : { kind, ...place }
    throw new DamagedFilesError(this.#directory, [finding])
  }

  /** Its keys are not in their order. */
  failOrder(): never {
    this.#fail('table-order', 'its keys are out of order')
  }

  async close(): Promise<void> {
    this.#block = null
    await this.#file?.close()
    this.#file = undefined
  }
}

/** The first that can hold a key which does not come before this one. */
function firstBlock(blocks: readonly IndexedBlock[], from: Buffer): number {
  let low = 0
  let high = blocks.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const { separator } = blocks[middle]!
    if (compareInternal(separator, separator.length, from, from.length) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function compare({ key, keyLength }: BlockCursor, other: Buffer): number {
  return compareInternal(key, keyLength, other, other.length)
}
