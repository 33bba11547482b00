/**
 * About how many keys a table has, without knowing them all: the hashes of all of them while they are few, then of every second,
 * fourth, ... one, chosen by the hash itself. Beyond `SAMPLED_MAX` keys the error is about 1 %. On disk: never change but with the
 * format in table-meta.ts.
 *
 *   key   := 0x00 0x01 hash:u32be          value := (empty)
 *
 * Hashes come and go in the batches that bring and remove their keys.
 */
import type { Store, WriteBatch } from '../storage/store.ts'

const SAMPLED_MAX = 8192
/** The low bits of a hash choose the partition. */
const SKIPPED_BITS = 11
/** One key in 2^20 at the least. */
const SHIFT_MAX = 20
const PREFIX = Buffer.of(0x00, 0x01)
const END = Buffer.of(0x00, 0x02)

export class KeySample {
  readonly #hashes = new Set<number>()
  /** One key in 2^shift is counted. */
  #shift = 0

  /** @param shift the one with which the hashes were written */
  static async read(store: Store, shift: number): Promise<KeySample> {
    const sample = new KeySample()
    sample.#shift = shift
    for (const { key } of await store.range({ from: PREFIX, to: END, bytesMax: Number.MAX_SAFE_INTEGER })) {
      if (key.length === 6) sample.#hashes.add(key.readInt32BE(2))
    }
    return sample
  }

  get shift(): number {
    return this.#shift
  }
  get estimate(): number {
    return this.#hashes.size * 2 ** this.#shift
  }

  /** @param hash murmur2 of a key that is there now */
  put(hash: number, batch: WriteBatch): void {
    if (!this.#isSampled(hash) || this.#hashes.has(hash)) return
    this.#hashes.add(hash)
    batch.put(sampleKey(hash), Buffer.alloc(0))
    if (this.#hashes.size > SAMPLED_MAX && this.#shift < SHIFT_MAX) this.#thinOut(batch)
  }

  /** @param hash murmur2 of a key that is not there any more */
  delete(hash: number, batch: WriteBatch): void {
    if (this.#hashes.delete(hash)) batch.delete(sampleKey(hash))
  }

  #thinOut(batch: WriteBatch): void {
    this.#shift++
    for (const hash of this.#hashes) if (!this.#isSampled(hash)) this.delete(hash, batch)
  }

  #isSampled(hash: number): boolean {
    return ((hash >>> SKIPPED_BITS) & ((1 << this.#shift) - 1)) === 0
  }
}

function sampleKey(hash: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  PREFIX.copy(key)
  key.writeInt32BE(hash, 2)
  return key
}
