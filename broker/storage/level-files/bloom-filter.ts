/**
 * A table's filter (table/filter_block.cc, util/bloom.cc): says of a user key that it is not in a block, with certainty, or that it may be,
 * wrongly for one in a hundred. LevelDB asks it before each lookup; here it tells a damaged key from one that was written.
 *
 *   block  := filter* place:u32le* places:u32le lg:u8     the filter of data block `offset` stands at place[offset >> lg]
 *   filter := bits probes:u8
 */
export class BloomFilter {
  readonly #bytes: Buffer
  readonly #places: number
  readonly #count: number
  readonly #lg: number

  private constructor(bytes: Buffer, places: number) {
    this.#bytes = bytes
    this.#places = places
    this.#count = (bytes.length - 5 - places) >>> 2
    this.#lg = bytes[bytes.length - 1]!
  }

  /** @param content whose checksum was right; null where it is no filter all the same */
  static read(content: Buffer): BloomFilter | null {
    if (content.length < 5) return null
    const places = content.readUInt32LE(content.length - 5)
    return places > content.length - 5 ? null : new BloomFilter(content, places)
  }

  /** @param key of which the first `length` bytes are a user key */
  mayHold(blockOffset: number, key: Buffer, length: number): boolean {
    const index = Math.floor(blockOffset / 2 ** this.#lg)
    if (index >= this.#count) return true
    const start = this.#bytes.readUInt32LE(this.#places + 4 * index)
    const end = this.#bytes.readUInt32LE(this.#places + 4 * index + 4)
    if (start > end || end > this.#places) return true
    const bits = (end - start - 1) * 8
    if (bits <= 0) return false
    const probes = this.#bytes[end - 1]!
    if (probes > 30) return true
    let position = hash(key, length)
    const step = ((position >>> 17) | (position << 15)) >>> 0
    for (let i = 0; i < probes; i++) {
      const bit = position % bits
      if (((this.#bytes[start + (bit >>> 3)]! >>> (bit & 7)) & 1) === 0) return false
      position = (position + step) >>> 0
    }
    return true
  }
}

const SEED = 0xbc9f1d34
const FACTOR = 0xc6a4a793

/** util/hash.cc, like murmur. */
function hash(key: Buffer, length: number): number {
  let mixed = SEED ^ Math.imul(length, FACTOR)
  const words = length - (length % 4)
  for (let i = 0; i < words; i += 4) {
    mixed = Math.imul(mixed + key.readUInt32LE(i), FACTOR)
    mixed ^= mixed >>> 16
  }
  if (words === length) return mixed >>> 0
  for (let i = length - 1; i >= words; i--) mixed += key[i]! << (8 * (i - words))
  mixed = Math.imul(mixed, FACTOR)
  return (mixed ^ (mixed >>> 24)) >>> 0
}
