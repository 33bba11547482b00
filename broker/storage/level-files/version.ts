/**
 * A manifest is a log file (log-file.ts) whose records are edits; one after the other they give the version: which tables are live
 * (db/version_edit.cc).
 *
 *   edit  := field*
 *   field := 1 comparator:bytes | 2 log:varint | 3 nextFile:varint | 4 lastSequence:varint | 9 previousLog:varint
 *          | 5 level:varint key:bytes                                 where the next compaction begins
 *          | 6 level:varint number:varint                             a table that is no longer of this level
 *          | 7 level:varint number:varint size:varint smallest:bytes largest:bytes      a table; internal keys
 *   bytes := length:varint byte{length}                               field numbers are varints as well
 */
import { ByteCursor, NONE } from './byte-cursor.ts'
import { compareInternal, isInternalKey } from './internal-key.ts'

const COMPARATOR = 'leveldb.BytewiseComparator'
const LEVELS = 7

export interface LiveTable {
  readonly level: number
  readonly number: number
  readonly size: number
  /** Internal keys: the table's first and its last. */
  readonly smallest: Buffer
  readonly largest: Buffer
}

interface Edit {
  log: number | null
  previousLog: number | null
  nextFile: number | null
  lastSequence: number | null
  readonly removed: { level: number; number: number }[]
  readonly added: LiveTable[]
}

/** @returns why not, where a field is damaged or of another program's. */
function decodeEdit(record: Buffer): Edit | string {
  const cursor = new ByteCursor(record)
  const edit: Edit = {
    log: null,
    previousLog: null,
    nextFile: null,
    lastSequence: null,
    removed: [],
    added: [],
  }
  while (!cursor.isAtEnd) {
    const field = cursor.varint32()
    if (!decodeField(cursor, field, edit)) return `field ${field} cannot be read`
  }
  return edit
}

function decodeField(cursor: ByteCursor, field: number, edit: Edit): boolean {
  switch (field) {
    case 1:
      return cursor.lengthPrefixed()?.toString('latin1') === COMPARATOR
    case 2:
      edit.log = cursor.varint64()
      return edit.log !== NONE
    case 3:
      edit.nextFile = cursor.varint64()
      return edit.nextFile !== NONE
    case 4:
      edit.lastSequence = cursor.varint64()
      return edit.lastSequence !== NONE
    case 5:
      return isLevel(cursor.varint32()) && isKey(cursor.lengthPrefixed())
    case 6: {
      const level = cursor.varint32()
      const number = cursor.varint64()
      edit.removed.push({ level, number })
      return isLevel(level) && number !== NONE
    }
    case 7: {
      const [level, number, size] = [cursor.varint32(), cursor.varint64(), cursor.varint64()]
      const [smallest, largest] = [cursor.lengthPrefixed(), cursor.lengthPrefixed()]
      if (!isLevel(level) || number === NONE || size === NONE || !isKey(smallest) || !isKey(largest))
        return false
      edit.added.push({ level, number, size, smallest: Buffer.from(smallest), largest: Buffer.from(largest) })
      return true
    }
    case 9:
      edit.previousLog = cursor.varint64()
      return edit.previousLog !== NONE
    default:
      return false
  }
}

function isLevel(level: number): boolean {
  return level >= 0 && level < LEVELS
}

function isKey(key: Buffer | null): key is Buffer {
  return key !== null && isInternalKey(key, key.length)
}

/** The version that the edits of a manifest give, also of one that has holes. */
export class Version {
  log: number | null = null
  previousLog = 0
  nextFile: number | null = null
  lastSequence: number | null = null
  /** Every table that an edit has named. */
  readonly named = new Set<number>()
  /**
   * Tables that a compaction has replaced: an edit takes them from a level and gives them to no other. It stays true whatever edits
   * are lost, because LevelDB never gives a number twice.
   */
  readonly replaced = new Set<number>()
  readonly #live = new Map<string, LiveTable>()

  /** @returns why the record is no edit, or null */
  apply(record: Buffer): string | null {
    const edit = decodeEdit(record)
    if (typeof edit === 'string') return edit
    if (edit.log !== null) this.log = Math.max(edit.log, this.log ?? 0)
    this.previousLog = edit.previousLog ?? this.previousLog
    this.nextFile = edit.nextFile ?? this.nextFile
    this.lastSequence = edit.lastSequence ?? this.lastSequence
    for (const { level, number } of edit.removed) {
      this.#live.delete(`${level}/${number}`)
      this.named.add(number)
      if (edit.added.every((table) => table.number !== number)) this.replaced.add(number)
    }
    for (const table of edit.added) {
      this.#live.set(`${table.level}/${table.number}`, table)
      this.named.add(table.number)
    }
    return null
  }

  get live(): LiveTable[] {
    return [...this.#live.values()]
  }

  /** Why LevelDB would not take this version, or null. */
  get fault(): string | null {
    if (this.nextFile === null || this.log === null || this.lastSequence === null)
      return 'it lacks a beginning'
    for (let level = 1; level < LEVELS; level++) {
      const tables = this.live.filter((table) => table.level === level)
      tables.sort((a, b) => compareInternal(a.smallest, a.smallest.length, b.smallest, b.smallest.length))
      for (const [i, { largest }] of tables.entries()) {
        const next = tables[i + 1]?.smallest
        // LevelDB asserts it, which ends the process
        if (next !== undefined && compareInternal(largest, largest.length, next, next.length) >= 0)
          return `tables of level ${level} overlap`
      }
    }
    return null
  }
}
