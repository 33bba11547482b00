/**
 * The newest offset of each key, in a bounded memory: open addressing in typed arrays, no object for a key.
 *
 *   slot := hash:4*u32 offset-low:u32 offset-high-plus-1:u32        24 bytes; the last word 0 = free
 *
 * A key is known by 128 bits of a keyed hash (keyed-hash.ts), each partition under a key of its own; the bytes of the key
 * itself are not kept. Two keys taken for one would drop a live record: among 10^9 keys that has a chance below 1 in 10^20,
 * far below that of a CRC-32C to miss a damaged batch, and a publisher cannot raise it, because the secret is new with
 * each map and stays in it.
 *
 * The hash's first bits choose one of 64 tables, which grow each on its own: to double one takes a 64th of the pause, and of
 * the memory, that doubling all would take.
 */
import { randomBytes } from 'node:crypto'
import { assert } from '../../assert.ts'
import { HASH_KEY_BYTES, KeyedHash } from './keyed-hash.ts'

const TABLE_BITS = 6
const TABLES = 2 ** TABLE_BITS
const SLOT_WORDS = 6
const SLOT_BYTES = SLOT_WORDS * 4
const SLOTS_MIN = 8
/** Fuller, and looking for a key that is not there takes many steps. */
const LOAD_MAX = 0.75

interface Table {
  words: Int32Array
  slots: number
  used: number
}

export class KeyMap {
  readonly #slotsMax: number
  readonly #tables: Table[]
  readonly #secret: KeyedHash
  readonly #hashes = new Map<number, KeyedHash>()
  #id = -1
  #hash: KeyedHash
  #size = 0

  /**
   * @param bytesMax memory of all tables, also while one of them grows; 16 MB are room for 470,000 keys, 1 MB for 26,000
   * @param secret 16 random bytes
   */
  constructor(bytesMax: number, secret: Uint8Array = randomBytes(HASH_KEY_BYTES)) {
    assert(secret.length === HASH_KEY_BYTES, 'the secret has 16 bytes')
    // a table that grows is there twice, for a moment
    this.#slotsMax = Math.floor(bytesMax / (SLOT_BYTES * (TABLES + 1)))
    assert(
      this.#slotsMax >= SLOTS_MIN,
      `a key map has ${SLOTS_MIN * SLOT_BYTES * (TABLES + 1)} bytes at least`,
    )
    this.#tables = Array.from({ length: TABLES }, () => emptyTable(SLOTS_MIN))
    this.#secret = KeyedHash.of(secret)
    this.#hash = this.#secret
  }

  /** Keys in it. */
  get size(): number {
    return this.#size
  }
  /** Memory that the tables take now. */
  get bytes(): number {
    return this.#tables.reduce((bytes, { words }) => bytes + words.byteLength, 0)
  }

  /**
   * Notes that the key, `length` bytes of `source` from `at`, has a record at `offset`; the highest counts.
   * @returns false when there is no room for one more key: nothing has changed
   */
  put(id: number, source: Uint8Array, at: number, length: number, offset: number): boolean {
    const hash = this.#digest(id, source, at, length)
    const table = this.#tables[hash.h0 >>> (32 - TABLE_BITS)]!
    let word = find(table, hash)
    if (table.words[word + 5] === 0) {
      if (table.used >= Math.floor(table.slots * LOAD_MAX)) {
        if (table.slots >= this.#slotsMax) return false
        grow(table, Math.min(table.slots * 2, this.#slotsMax))
        word = find(table, hash)
      }
      table.words[word] = hash.h0
      table.words[word + 1] = hash.h1
      table.words[word + 2] = hash.h2
      table.words[word + 3] = hash.h3
      table.used++
      this.#size++
    } else if (offsetAt(table, word) >= offset) return true
    table.words[word + 4] = offset | 0
    table.words[word + 5] = Math.floor(offset / 2 ** 32) + 1
    return true
  }

  /** The highest offset put for the key; -1 when it is not in the map. */
  get(id: number, source: Uint8Array, at: number, length: number): number {
    const hash = this.#digest(id, source, at, length)
    const table = this.#tables[hash.h0 >>> (32 - TABLE_BITS)]!
    const word = find(table, hash)
    return table.words[word + 5] === 0 ? -1 : offsetAt(table, word)
  }

  #digest(id: number, source: Uint8Array, at: number, length: number): KeyedHash {
    assert(length >= 0, 'a record without a key is in no map')
    if (id !== this.#id) {
      this.#id = id
      this.#hash = this.#hashOf(id)
    }
    this.#hash.digest(source, at, length)
    return this.#hash
  }

  /** Each partition's hash has a key of its own, drawn from the secret. */
  #hashOf(id: number): KeyedHash {
    let hash = this.#hashes.get(id)
    if (hash === undefined) {
      const name = Buffer.allocUnsafe(4)
      name.writeUInt32LE(id)
      this.#secret.digest(name, 0, name.length)
      const { h0, h1, h2, h3 } = this.#secret
      hash = new KeyedHash([h0, h1, h2, h3])
      this.#hashes.set(id, hash)
    }
    return hash
  }
}

function emptyTable(slots: number): Table {
  return { words: new Int32Array(slots * SLOT_WORDS), slots, used: 0 }
}

function offsetAt({ words }: Table, word: number): number {
  return (words[word + 5]! - 1) * 2 ** 32 + (words[word + 4]! >>> 0)
}

/** Where a hash's search begins: its second word, scaled to the table. The order of slots is that of hashes. */
function homeOf(h1: number, slots: number): number {
  return Math.floor(((h1 >>> 0) * slots) / 2 ** 32) * SLOT_WORDS
}

/** The word at which the key's slot begins, or the free one where it belongs. */
function find(table: Table, hash: KeyedHash): number {
  const { words } = table
  const { h0, h1, h2, h3 } = hash
  let word = homeOf(h1, table.slots)
  while (words[word + 5] !== 0) {
    if (words[word + 1] === h1 && words[word + 2] === h2 && words[word + 3] === h3 && words[word] === h0)
      break
    word += SLOT_WORDS
    if (word === words.length) word = 0
  }
  return word
}

function grow(table: Table, slots: number): void {
  const old = table.words
  const words = new Int32Array(slots * SLOT_WORDS)
  for (let from = 0; from < old.length; from += SLOT_WORDS) {
    if (old[from + 5] === 0) continue
    let word = homeOf(old[from + 1]!, slots)
    while (words[word + 5] !== 0) {
      word += SLOT_WORDS
      if (word === words.length) word = 0
    }
    for (let i = 0; i < SLOT_WORDS; i++) words[word + i] = old[from + i]!
  }
  table.words = words
  table.slots = slots
}
