/**
 * Chaskey (Mouha, Mennink, Van Herrewege, Watanabe, Preneel, Verbauwhede, 2014; ISO/IEC 29192-6), eight rounds: 128 bits
 * of a message under a secret key. It is made of 32-bit additions, rotations and xors, which JavaScript has. Hashes that
 * are only seeded will not do: for murmur3 there are messages that collide under every seed, and a publisher chooses the
 * keys of its records.
 */

const ROUNDS = 8
const BLOCK_BYTES = 16
export const HASH_KEY_BYTES = 16

export class KeyedHash {
  /** The digest, four int32, until the next one. */
  h0 = 0
  h1 = 0
  h2 = 0
  h3 = 0
  /** The key, and the ones for a last block that is full or padded: four words each. */
  readonly #keys: Int32Array

  constructor(key: Words) {
    const full = timesTwo(key)
    this.#keys = Int32Array.of(...key, ...full, ...timesTwo(full))
  }

  static of(key: Uint8Array): KeyedHash {
    return new KeyedHash([wordAt(key, 0), wordAt(key, 4), wordAt(key, 8), wordAt(key, 12)])
  }

  /** Hashes `length` bytes from `at`. */
  digest(bytes: Uint8Array, at: number, length: number): void {
    const keys = this.#keys
    let v0 = keys[0]!
    let v1 = keys[1]!
    let v2 = keys[2]!
    let v3 = keys[3]!
    let left = length
    while (left > BLOCK_BYTES) {
      v0 ^= wordAt(bytes, at)
      v1 ^= wordAt(bytes, at + 4)
      v2 ^= wordAt(bytes, at + 8)
      v3 ^= wordAt(bytes, at + 12)
      for (let round = 0; round < ROUNDS; round++) {
        v0 = (v0 + v1) | 0
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
        v0 = (v0 << 16) | (v0 >>> 16)
        v2 = (v2 + v3) | 0
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
        v0 = (v0 + v3) | 0
        v3 = ((v3 << 13) | (v3 >>> 19)) ^ v0
        v2 = (v2 + v1) | 0
        v1 = ((v1 << 7) | (v1 >>> 25)) ^ v2
        v2 = (v2 << 16) | (v2 >>> 16)
      }
      at += BLOCK_BYTES
      left -= BLOCK_BYTES
    }
    const last = left === BLOCK_BYTES ? 4 : 8
    const l0 = keys[last]!
    const l1 = keys[last + 1]!
    const l2 = keys[last + 2]!
    const l3 = keys[last + 3]!
    v0 ^= l0 ^ paddedWord(bytes, at, left)
    v1 ^= l1 ^ paddedWord(bytes, at + 4, left - 4)
    v2 ^= l2 ^ paddedWord(bytes, at + 8, left - 8)
    v3 ^= l3 ^ paddedWord(bytes, at + 12, left - 12)
    for (let round = 0; round < ROUNDS; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 13) | (v3 >>> 19)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 7) | (v1 >>> 25)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    this.h0 = v0 ^ l0
    this.h1 = v1 ^ l1
    this.h2 = v2 ^ l2
    this.h3 = v3 ^ l3
  }
}

type Words = readonly [number, number, number, number]

/** Multiplication by x in GF(2^128). */
function timesTwo([a, b, c, d]: Words): Words {
  return [(a << 1) ^ (d < 0 ? 0x87 : 0), (b << 1) | (a >>> 31), (c << 1) | (b >>> 31), (d << 1) | (c >>> 31)]
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

/** One word of the last block, of which `left` bytes are there: a 1 follows the message, then zeros. */
function paddedWord(bytes: Uint8Array, at: number, left: number): number {
  if (left >= 4) return wordAt(bytes, at)
  if (left < 0) return 0
  let word = 1 << (left * 8)
  for (let i = 0; i < left; i++) word |= bytes[at + i]! << (i * 8)
  return word
}
