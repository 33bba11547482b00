/**
 * Goes through a store that is not being written straight from its tables: the entries that `Store.range` would bring, without LevelDB,
 * which maps what it reads into memory and hands out a buffer for each value.
 *
 * The store may be open all the same. LevelDB moves tables of such a store from level to level, and seldom merges some into new ones:
 * where a table is gone when its turn comes, the manifest is read again, and the scan goes on behind the last key. What a store that is
 * written no more holds is the same in each of its versions.
 *
 * What stands in a write-ahead file alone is in no table: `scanFiles` then says so, and LevelDB has to open the store first.
 */

import { join } from 'node:path'
import type { EntryScan, EntryVisitor, KeyRange } from '../entry-scan.ts'
import type { Disk } from '../store.ts'
import { Scratch } from './block-reader.ts'
import { isHard } from './findings.ts'
import { compareInternal, internalKeyOf, TRAILER_BYTES, typeAt, VALUE } from './internal-key.ts'
import { type NumberedFile, readLayout } from './layout.ts'
import { DamagedFilesError, MissingTableError, TableCursor } from './table-cursor.ts'
import type { LiveTable, Version } from './version.ts'

/** How often a table may be gone when its turn comes, without an entry in between. */
const TRIES = 5

/**
 * @param directory of a store that is not written while it is scanned
 * @returns null where a write-ahead file holds something
 * @throws DamagedFilesError, as do the scan's own calls
 */
export async function scanFiles(disk: Disk, directory: string, range: KeyRange): Promise<EntryScan | null> {
  for (let tries = 1; ; tries++) {
    const { version, logs } = await liveFiles(disk, directory)
    const sizes = await Promise.all(logs.map(({ name }) => sizeOf(disk, join(directory, name))))
    if (sizes.some((size) => size !== undefined && size > 0)) return null
    const gone = logs.find((_, i) => sizes[i] === undefined)
    if (gone === undefined) return new FileScan(disk, directory, range, version)
    // LevelDB has made a table of it since, which this version does not have
    if (tries < TRIES) continue
    const reason = 'it is gone each time it is looked for'
    throw new DamagedFilesError(directory, [{ kind: 'wal-missing', file: gone.name, reason }])
  }
}

async function sizeOf(disk: Disk, path: string): Promise<number | undefined> {
  const file = await disk.openFile(path)
  await file?.close()
  return file?.size
}

/** The same of the tables of a version alone, whatever a write-ahead file holds. Its calls throw DamagedFilesError. */
export function scanTables(disk: Disk, directory: string, range: KeyRange, version: Version): EntryScan {
  return new FileScan(disk, directory, range, version)
}

export interface LiveFiles {
  readonly version: Version
  /** Write-ahead files that LevelDB would replay. */
  readonly logs: readonly NumberedFile[]
}

/** What the manifest names. It can be read just while LevelDB puts another one in its place. @throws DamagedFilesError */
export async function liveFiles(disk: Disk, directory: string): Promise<LiveFiles> {
  for (let tries = 1; ; tries++) {
    const { version, logs, findings } = await readLayout(disk, directory)
    const hard = findings.filter(isHard)
    if (version !== null && hard.length === 0) {
      const isLive = ({ number }: NumberedFile) => number >= version.log! || number === version.previousLog
      return { version, logs: logs.filter(isLive) }
    }
    if (tries === TRIES) throw new DamagedFilesError(directory, hard)
  }
}

/** Stands for the entry of no table. */
const NO_ENTRY = { key: Buffer.alloc(0), keyLength: 0 }

class FileScan implements EntryScan {
  readonly #disk: Disk
  readonly #directory: string
  readonly #to: Buffer
  /** Tables that were not come to yet: the next one last. */
  #waiting: LiveTable[]
  #open: TableCursor[] = []
  #sequenceMax: number
  /** An internal key: the scan goes on at the first that does not come before it. */
  #from: Buffer
  /** The last user key that was met. */
  #key = Buffer.alloc(0)
  #hasKey = false
  /** Since the last entry. */
  #restarts = 0
  /** Memory of tables that were closed. */
  readonly #free: Scratch[] = []

  constructor(disk: Disk, directory: string, { from, to }: KeyRange, version: Version) {
    this.#disk = disk
    this.#directory = directory
    this.#to = to
    this.#from = internalKeyOf(from, Number.MAX_SAFE_INTEGER, true)
    this.#waiting = this.#tablesOf(version)
    this.#sequenceMax = version.lastSequence!
  }

  #tablesOf(version: Version): LiveTable[] {
    return version.live
      .filter(({ largest }) => compare(largest, this.#from) >= 0)
      .sort((a, b) => compare(b.smallest, a.smallest))
  }

  async next(bytesMax: number, visit: EntryVisitor): Promise<number> {
    let bytes = 0
    while (bytes < bytesMax) {
      const least = this.#least()
      const waiting = this.#waiting.at(-1)
      const { key, keyLength } = least?.block ?? NO_ENTRY
      if (
        waiting !== undefined &&
        (least === null || compareInternal(waiting.smallest, waiting.smallest.length, key, keyLength) <= 0)
      ) {
        await this.#openNext()
        continue
      }
      if (least === null || compareUser(key, keyLength - TRAILER_BYTES, this.#to) >= 0) break
      bytes += this.#give(least, visit)
      if (least.next()) continue
      await least.nextBlock()
      if (least.block === null) await this.#close(least)
    }
    return bytes
  }

  #least(): TableCursor | null {
    let least: TableCursor | null = null
    for (const table of this.#open) {
      if (least === null) {
        least = table
        continue
      }
      const { key, keyLength } = least.block!
      const other = table.block!
      if (compareInternal(other.key, other.keyLength, key, keyLength) < 0) least = table
    }
    return least
  }

  async #openNext(): Promise<void> {
    const live = this.#waiting.pop()!
    const table = new TableCursor(this.#directory, live, this.#sequenceMax, this.#free.pop() ?? new Scratch())
    try {
      await table.open(this.#disk, this.#from)
    } catch (error) {
      await table.close()
      if (!(error instanceof MissingTableError)) throw error
      await this.#restart(error)
      return
    }
    if (table.block === null) await table.close()
    else this.#open.push(table)
  }

  /** A table is gone: goes on behind the last key with the tables that there are now. */
  async #restart(error: MissingTableError): Promise<void> {
    await this.close()
    // behind all versions of it
    if (this.#hasKey) this.#from = internalKeyOf(this.#key, 0, false)
    const { version } = await liveFiles(this.#disk, this.#directory)
    if (++this.#restarts === TRIES) throw error
    this.#sequenceMax = version.lastSequence!
    this.#waiting = this.#tablesOf(version)
  }

  /** @returns the entry's bytes; 0 for a deletion, and for a value that was replaced */
  #give(table: TableCursor, visit: EntryVisitor): number {
    const block = table.block!
    const { key, keyLength } = block
    const length = keyLength - TRAILER_BYTES
    if (this.#hasKey) {
      const order = compareUser(key, length, this.#key)
      if (order === 0) return 0
      if (order < 0) table.failOrder()
    }
    if (this.#key.length !== length) this.#key = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i++) this.#key[i] = key[i]!
    this.#hasKey = true
    this.#restarts = 0
    if (typeAt(key, keyLength) !== VALUE) return 0
    visit(this.#key, block.value)
    return length + block.valueEnd - block.valueStart
  }

  async #close(table: TableCursor): Promise<void> {
    this.#open.splice(this.#open.indexOf(table), 1)
    this.#free.push(table.scratch)
    await table.close()
  }

  async close(): Promise<void> {
    this.#waiting = []
    for (const table of this.#open.splice(0)) await table.close()
  }
}

function compare(a: Buffer, b: Buffer): number {
  return compareInternal(a, a.length, b, b.length)
}

/** @param key of which the first `length` bytes are a user key */
function compareUser(key: Buffer, length: number, other: Buffer): number {
  const common = Math.min(length, other.length)
  for (let i = 0; i < common; i++) {
    const difference = key[i]! - other[i]!
    if (difference !== 0) return difference
  }
  return length - other.length
}
