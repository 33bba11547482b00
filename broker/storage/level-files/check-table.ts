/** Judges a live table: its structure, and its blocks where they are wanted. */
import { join } from 'node:path'
import type { Disk } from '../store.ts'
import {
  BlockCheckMemory,
  checkBlock,
  hasRightChecksum,
  PLAIN,
  SNAPPY,
  TRAILER_BYTES,
  typeOf,
} from './block.ts'
import { BlockReader, type Scratch } from './block-reader.ts'
import type { BloomFilter } from './bloom-filter.ts'
import type { BlockKind, Findings, KeyRange } from './findings.ts'
import { userKeyOf } from './internal-key.ts'
import { type IndexedBlock, readStructure, type TableStructure } from './table-structure.ts'
import { TolerantFile } from './tolerant-file.ts'
import type { LiveTable } from './version.ts'

/** Bytes read from the disk at once. */
const WINDOW_BYTES = 256 * 1024

export interface TableCheckOptions {
  readonly readsBlocks: boolean
  /** The newest sequence that the store knows of. */
  readonly sequenceMax: number
  /** For the blocks of all tables. */
  readonly scratch: Scratch
}

/** @param name of the table's file */
export async function checkTable(
  disk: Disk,
  directory: string,
  name: string,
  live: LiveTable,
  options: TableCheckOptions,
  findings: Findings,
): Promise<void> {
  const file = await TolerantFile.open(disk, join(directory, name), name)
  if (file === undefined || file.isLost) {
    findings.add({ kind: 'unreadable', file: name, reason: 'it cannot be opened' })
    return
  }
  try {
    if (file.size < live.size) {
      const bytes = live.size - file.size
      findings.add({
        kind: 'table-truncated',
        file: name,
        at: file.size,
        bytes,
        reason: 'the file is too short',
      })
      return
    }
    if (file.size > live.size) {
      const place = { file: name, at: live.size, bytes: file.size - live.size }
      findings.add({ kind: 'table-longer', ...place, reason: 'bytes follow the table' })
    }
    const structure = await readStructure(file, live.size, options.scratch)
    for (const finding of structure.findings) findings.add(finding)
    if (structure.blocks === null || !options.readsBlocks) return
    await new BlocksCheck(file, live, structure, options.sequenceMax).run(findings, options.scratch)
  } finally {
    await file.close()
  }
}

/** Why a block or its table is not as it was written. */
interface Fault {
  readonly kind: BlockKind | 'unreadable' | 'table-order'
  readonly reason: string
}

class BlocksCheck {
  readonly #file: TolerantFile
  readonly #live: LiveTable
  readonly #blocks: readonly IndexedBlock[]
  readonly #filter: BloomFilter | null
  readonly #sequenceMax: number
  readonly #memory = new BlockCheckMemory()

  constructor(file: TolerantFile, live: LiveTable, structure: TableStructure, sequenceMax: number) {
    this.#file = file
    this.#live = live
    this.#blocks = structure.blocks ?? []
    this.#filter = structure.filter
    this.#sequenceMax = sequenceMax
  }

  async run(findings: Findings, scratch: Scratch): Promise<void> {
    const reader = new BlockReader(this.#file, WINDOW_BYTES, scratch)
    for (const [i, block] of this.#blocks.entries()) {
      const fault = this.#judge(i, await reader.read(block))
      if (fault === null) continue
      const { kind, reason } = fault
      const place = { file: this.#file.name, at: block.offset, bytes: block.size + TRAILER_BYTES, reason }
      if (kind === 'unreadable' || kind === 'table-order') findings.add({ kind, ...place })
      else findings.add({ kind, ...place, keys: this.#keysOf(i) })
    }
  }

  #judge(i: number, bytes: Buffer): Fault | null {
    const block = this.#blocks[i]!
    const isRight = hasRightChecksum(bytes)
    const type = typeOf(bytes)
    if (isRight && type === SNAPPY) return { kind: 'block-compressed', reason: 'by snappy' }
    if (this.#file.isUnreadable(block.offset, block.offset + bytes.length))
      return { kind: 'unreadable', reason: 'the disk does not give it back' }
    if (type !== PLAIN) return { kind: 'block-damaged', reason: `it is of type ${type}` }
    const after = this.#blocks[i - 1]?.separator ?? null
    const limits = {
      after,
      through: block.separator,
      sequenceMax: this.#sequenceMax,
      filter: isRight ? null : this.#filter,
      offset: block.offset,
    }
    const { fault, first, last } = checkBlock(bytes.subarray(0, block.size), limits, this.#memory)
    if (fault !== null) return { kind: 'block-damaged', reason: fault }
    if (i === 0 && !first!.equals(this.#live.smallest))
      return { kind: 'table-order', reason: 'the table begins with another key than the manifest notes' }
    if (i === this.#blocks.length - 1 && !last!.equals(this.#live.largest))
      return { kind: 'table-order', reason: 'the table ends with another key than the manifest notes' }
    return isRight ? null : { kind: 'block-checksum', reason: 'its checksum is wrong' }
  }

  #keysOf(i: number): KeyRange {
    return {
      from: userKeyOf(this.#blocks[i - 1]?.separator ?? this.#live.smallest),
      to: userKeyOf(i === this.#blocks.length - 1 ? this.#live.largest : this.#blocks[i]!.separator),
    }
  }
}
