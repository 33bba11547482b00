/**
 * A block of a table (google/leveldb, doc/table_format.md, table/block_builder.cc), here without the trailer behind it:
 *
 *   block    := entry*, restart:u32le{n}, n:u32le                  n is at least 1; the first restart is 0
 *   entry    := shared:varint32 own:varint32 value:varint32 key[own] value[value]
 *   trailer  := type:u8 crc:u32le        type = 0 plain | 1 snappy; crc = masked CRC-32C of block and type
 *
 * An entry's key is the first `shared` bytes of the one before it and `own` bytes more. A restart is the place of an entry whose key
 * stands whole. Example, the block of one entry "k" -> "v" written as number 1:
 *
 *   00 09 01  6b 01 01 00 00 00 00 00 00  76  00 00 00 00  01 00 00 00
 */
import type { BloomFilter } from './bloom-filter.ts'
import { ByteCursor, NONE } from './byte-cursor.ts'
import {
  compareInternal,
  isInternalKey,
  TRAILER_BYTES as KEY_TRAILER_BYTES,
  sequenceAt,
} from './internal-key.ts'
import { maskedCrc } from './masked-crc.ts'

export const TRAILER_BYTES = 5
export const PLAIN = 0
export const SNAPPY = 1

/** @param bytes the block with its trailer */
export function hasRightChecksum(bytes: Buffer): boolean {
  const end = bytes.length - 4
  return end > 0 && maskedCrc(bytes.subarray(0, end)) === bytes.readUInt32LE(end)
}

/** @param bytes the block with its trailer */
export function typeOf(bytes: Buffer): number {
  return bytes[bytes.length - TRAILER_BYTES]!
}

/** Goes through the entries of a block. Trusts no number in it. */
export class BlockCursor {
  /** Why it cannot go on; null where it did not have to stop. */
  fault: string | null = null
  /** The entry's key is the first `keyLength` bytes of `key`, which the next entry overwrites. */
  key: Buffer = Buffer.allocUnsafe(64)
  keyLength = 0
  entryStart = 0
  shared = 0
  valueStart = 0
  valueEnd = 0
  /** Where the restarts begin, and how many there are; none in a block that has no room for what it says. */
  entriesEnd = 0
  restarts = 0
  bytes: Buffer
  readonly #cursor: ByteCursor

  /**
   * @param bytes a block without its trailer; it is not copied
   * @param isOpen where the block ends is not known: entries are read for as long as they can be
   */
  constructor(bytes: Buffer, isOpen = false) {
    this.bytes = bytes
    this.#cursor = new ByteCursor(bytes)
    this.begin(bytes, isOpen)
  }

  /** Stands before the first entry of another block. */
  begin(bytes: Buffer, isOpen = false): void {
    const restarts = bytes.length >= 4 ? bytes.readUInt32LE(bytes.length - 4) : 0
    const entriesEnd = bytes.length - 4 * (restarts + 1)
    const isWhole = !isOpen && restarts > 0 && entriesEnd >= 0
    this.bytes = bytes
    this.restarts = isWhole ? restarts : 0
    this.entriesEnd = isWhole ? entriesEnd : isOpen ? bytes.length : 0
    this.#cursor.bytes = bytes
    this.#cursor.end = this.entriesEnd
    this.valueStart = 0
    this.valueEnd = 0
    this.seek(0)
    if (!isWhole && !isOpen) this.fault = 'its restarts do not fit'
  }

  restart(index: number): number {
    return this.bytes.readUInt32LE(this.entriesEnd + 4 * index)
  }

  /** Goes on with the entry at a restart, whose key stands whole. */
  seek(offset: number): void {
    this.fault = null
    this.keyLength = 0
    this.#cursor.at = offset
  }

  /** @returns false at the end, or where the entry cannot be read: `fault` then says why. */
  next(): boolean {
    const cursor = this.#cursor
    if (cursor.isAtEnd || this.fault !== null) return false
    this.entryStart = cursor.at
    this.shared = cursor.varint32()
    const own = cursor.varint32()
    const valueLength = cursor.varint32()
    if (this.shared === NONE || own === NONE || valueLength === NONE) return this.#stop('a length is damaged')
    if (own + valueLength > cursor.end - cursor.at) return this.#stop('an entry is longer than the block')
    if (this.shared > this.keyLength) return this.#stop('a key shares more than there is')
    this.#takeKey(own)
    this.valueStart = cursor.at
    this.valueEnd = cursor.at + valueLength
    cursor.at = this.valueEnd
    return true
  }

  #takeKey(own: number): void {
    const { bytes, shared } = this
    const { at } = this.#cursor
    if (this.key.length < shared + own) {
      const longer = Buffer.allocUnsafe(2 * (shared + own))
      this.key.copy(longer, 0, 0, shared)
      this.key = longer
    }
    for (let i = 0; i < own; i++) this.key[shared + i] = bytes[at + i]!
    this.keyLength = shared + own
    this.#cursor.at += own
  }

  #stop(fault: string): false {
    this.fault = fault
    return false
  }

  keyCopy(): Buffer {
    return Buffer.from(this.key.subarray(0, this.keyLength))
  }

  get value(): Buffer {
    return this.bytes.subarray(this.valueStart, this.valueEnd)
  }
}

/** What is known of the keys of a block before it is read. */
export interface KeyLimits {
  /** Internal keys: those of the block lie behind `after`, and not behind `through`; null where that is not known. */
  readonly after: Buffer | null
  readonly through: Buffer | null
  readonly sequenceMax: number
  /** The table's, and where in it the block begins: asked where the checksum is wrong. */
  readonly filter: BloomFilter | null
  readonly offset: number
}

/** True for an internal key that can be one of the block's. */
export function isInPlace(cursor: BlockCursor, limits: KeyLimits): boolean {
  return isPlausible(cursor, limits) && isAfter(cursor, limits) && isThrough(cursor, limits)
}

function isPlausible({ key, keyLength }: BlockCursor, { sequenceMax, filter, offset }: KeyLimits): boolean {
  if (!isInternalKey(key, keyLength) || sequenceAt(key, keyLength) > sequenceMax) return false
  return filter === null || filter.mayHold(offset, key, keyLength - KEY_TRAILER_BYTES)
}

function isAfter({ key, keyLength }: BlockCursor, { after }: KeyLimits): boolean {
  return after === null || compareInternal(key, keyLength, after, after.length) > 0
}

function isThrough({ key, keyLength }: BlockCursor, { through }: KeyLimits): boolean {
  return through === null || compareInternal(key, keyLength, through, through.length) <= 0
}

/** What a check works with: one for many blocks. */
export class BlockCheckMemory {
  readonly cursor = new BlockCursor(Buffer.alloc(0))
  /** The key before the one at which the cursor stands. */
  last: Buffer = Buffer.allocUnsafe(64)
}

export interface BlockCheck {
  /** Why LevelDB could stumble over the block or pass over an entry; null where it reads all of it. */
  readonly fault: string | null
  /** The first and the last internal key that were read. */
  readonly first: Buffer | null
  readonly last: Buffer | null
}

/**
 * Reads a block as LevelDB would at its strictest: every key an internal one, in order, between its neighbours, every restart at an
 * entry. What passes can be read, searched and compacted: a key out of order ends the process in a compaction, a restart out of place
 * hides entries from a search.
 * @param bytes without the trailer
 */
export function checkBlock(
  bytes: Buffer,
  limits: KeyLimits,
  memory: BlockCheckMemory = new BlockCheckMemory(),
): BlockCheck {
  const { cursor } = memory
  cursor.begin(bytes)
  let first: Buffer | null = null
  let { last } = memory
  let lastLength = 0
  let restart = 0
  const result = (fault: string | null): BlockCheck => ({
    fault,
    first,
    last: first === null ? null : Buffer.from(last.subarray(0, lastLength)),
  })
  while (cursor.next()) {
    const { key, keyLength, shared } = cursor
    if (!isPlausible(cursor, limits)) return result('a key is damaged')
    if (first === null) {
      if (!isAfter(cursor, limits)) return result('a key is damaged')
      first = cursor.keyCopy()
    } else if (compareInternal(key, keyLength, last, lastLength, shared) <= 0)
      return result('keys are out of order')
    if (restart < cursor.restarts && cursor.restart(restart) === cursor.entryStart) {
      if (shared !== 0) return result('a restart is not at a whole key')
      restart++
    }
    if (last.length < keyLength)
      last = memory.last = Buffer.concat([last.subarray(0, shared), Buffer.allocUnsafe(2 * keyLength)])
    // what it shares is there from the key before
    for (let i = shared; i < keyLength; i++) last[i] = key[i]!
    lastLength = keyLength
  }
  if (cursor.fault !== null) return result(cursor.fault)
  if (first === null) return result('it is empty')
  if (!isThrough(cursor, limits)) return result('a key is damaged')
  return result(restart === cursor.restarts ? null : 'a restart is out of place')
}
