/**
 * Kafka's default partitioner (org.apache.kafka.common.utils.Utils.murmur2, public domain algorithm by Austin Appleby):
 * a key lands on the partition where any Kafka client would put it.
 */

/** 32-bit murmur2 with Kafka's seed of `key`, or of its bytes `from` to `to`. @returns a signed 32-bit number. */
export function murmur2(key: Uint8Array, from = 0, to = key.length): number {
  const length = to - from
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ length
  const words = from + (length & ~3)
  for (let i = from; i < words; i += 4) {
    let k = key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    k = Math.imul(k, m)
    h = Math.imul(h, m) ^ k
  }
  const rest = length & 3
  if (rest === 3) h ^= key[words + 2]! << 16
  if (rest >= 2) h ^= key[words + 1]! << 8
  if (rest >= 1) {
    h ^= key[words]!
    h = Math.imul(h, m)
  }
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

/** The partition of a key, 0 to `partitions` - 1. */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return partitions === 1 ? 0 : partitionOfHash(murmur2(key), partitions)
}

/** The same, for a key whose murmur2 is known. */
export function partitionOfHash(hash: number, partitions: number): number {
  return (hash & 0x7fffffff) % partitions
}
