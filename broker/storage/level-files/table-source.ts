/** The entries of one table, whole or damaged, in the order of their internal keys. */
import { join } from 'node:path'
import type { Disk } from '../store.ts'
import {
  BlockCursor,
  checkBlock,
  hasRightChecksum,
  type KeyLimits,
  PLAIN,
  SNAPPY,
  TRAILER_BYTES,
  typeOf,
} from './block.ts'
import { BlockReader } from './block-reader.ts'
import type { BloomFilter } from './bloom-filter.ts'
import type { EntrySource, SourceEntry } from './entry-source.ts'
import type { FindingKind } from './findings.ts'
import { typeAt, userKeyOf, VALUE } from './internal-key.ts'
import type { SalvageReport } from './salvage-report.ts'
import { suspectEntries } from './suspect-entries.ts'
import { readParts, type TablePart } from './table-parts.ts'
import { TolerantFile } from './tolerant-file.ts'
import type { LiveTable } from './version.ts'

/** Bytes read from the disk at once, for each table that is being merged. */
const WINDOW_BYTES = 128 * 1024

export interface SourceOptions {
  readonly disk: Disk
  readonly directory: string
  readonly sequenceMax: number
  readonly accept: (key: Buffer, value: Buffer | undefined) => boolean
  readonly report: SalvageReport
}

export class TableSource implements EntrySource {
  readonly lowerBound: Buffer
  head: SourceEntry | null = null
  readonly #name: string
  readonly #live: LiveTable | null
  readonly #options: SourceOptions
  #file: TolerantFile | undefined
  #reader: BlockReader | undefined
  #filter: BloomFilter | null = null
  #parts: readonly TablePart[] = []
  #nextPart = 0
  #entries: Iterator<SourceEntry> = [][Symbol.iterator]()

  /** @param live what a manifest that is believed says of the table */
  constructor(name: string, live: LiveTable | null, lowerBound: Buffer, options: SourceOptions) {
    this.#name = name
    this.#live = live
    this.lowerBound = lowerBound
    this.#options = options
  }

  async open(): Promise<void> {
    const { disk, directory, report } = this.#options
    this.#file = await TolerantFile.open(disk, join(directory, this.#name), this.#name)
    report.tables++
    if (this.#file === undefined || this.#file.isLost) {
      this.#lose('unreadable', 0, this.#live?.size ?? 0, null, null)
      return
    }
    const { parts, filter, isForeign } = await readParts(this.#file, this.#live)
    if (isForeign) this.#lose('table-order', 0, this.#file.size, null, null)
    this.#parts = parts
    this.#filter = filter
    this.#reader = new BlockReader(this.#file, WINDOW_BYTES)
    await this.next()
  }

  next(): Promise<void> | undefined {
    const { done, value } = this.#entries.next()
    if (done !== true) {
      this.head = value
      return undefined
    }
    return this.#nextWithData()
  }

  async #nextWithData(): Promise<void> {
    this.head = null
    while (this.#nextPart < this.#parts.length) {
      const part = this.#parts[this.#nextPart++]!
      const bytes = await this.#reader!.read(part)
      this.#entries = this.#entriesOf(part, bytes)
      const { done, value } = this.#entries.next()
      if (done === true) continue
      this.head = value
      return
    }
  }

  #entriesOf(part: TablePart, bytes: Buffer): Iterator<SourceEntry> {
    const { report, sequenceMax } = this.#options
    const { after, through, offset } = part
    report.blocks++
    const isRight = part.kind !== 'gap' && hasRightChecksum(bytes)
    if (isRight && typeOf(bytes) === SNAPPY) {
      this.#lose('block-compressed', offset, bytes.length, after, through)
      return [][Symbol.iterator]()
    }
    const content = bytes.subarray(0, part.size)
    const limits = {
      after,
      through,
      sequenceMax,
      offset,
      filter: isRight && part.kind === 'block' ? null : this.#filter,
    }
    const check = part.kind === 'gap' ? 'no block is known' : checkBlock(content, limits).fault
    if (isRight && check === null && part.kind === 'block') return plainEntries(content)
    return this.#accepted(part, content, limits, check === null && typeOf(bytes) === PLAIN)
  }

  /** @param isReadable every entry can be read and is in its place */
  #accepted(part: TablePart, content: Buffer, limits: KeyLimits, isReadable: boolean): Iterator<SourceEntry> {
    const { accept, report } = this.#options
    const found = suspectEntries(content, part.kind === 'gap', limits)
    const accepted = found.filter(({ internalKey, value }) => accept(userKeyOf(internalKey), value))
    const rejected = found.length - accepted.length
    report.rejected += rejected
    if (rejected > 0 || !isReadable) {
      const bytes = part.kind === 'gap' ? part.size : part.size + TRAILER_BYTES
      this.#lose('block-damaged', part.offset, bytes, part.after, part.through)
    }
    return accepted[Symbol.iterator]()
  }

  #lose(kind: FindingKind, at: number, bytes: number, after: Buffer | null, through: Buffer | null): void {
    const { report } = this.#options
    const isUnread = this.#file?.isUnreadable(at, at + bytes) === true
    const fileSize = this.#file?.size ?? 0
    const isCut = this.#live !== null && fileSize < this.#live.size && at + bytes > fileSize
    report.blocksLost++
    report.add({
      cause: isUnread ? 'unreadable' : isCut ? 'table-truncated' : kind,
      file: this.#name,
      at,
      bytes,
      from: userKeyOrNull(after ?? this.#live?.smallest),
      to: userKeyOrNull(through ?? this.#live?.largest),
      isByWriting: false,
    })
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
    this.head = null
  }
}

function userKeyOrNull(internalKey: Buffer | undefined): Buffer | null {
  return internalKey === undefined ? null : userKeyOf(internalKey)
}

function* plainEntries(content: Buffer): Generator<SourceEntry> {
  const cursor = new BlockCursor(content)
  while (cursor.next()) {
    const isValue = typeAt(cursor.key, cursor.keyLength) === VALUE
    yield { internalKey: cursor.keyCopy(), value: isValue ? cursor.value : undefined }
  }
}
