/**
 * LevelDB's internal key (db/dbformat.h):
 *
 *   internal key := user key, trailer:u64le      trailer = sequence << 8 | type
 *   type         := 0 deletion | 1 value
 *
 * Internal keys sort by user key, then by the trailer, the highest (newest) first.
 */
export const TRAILER_BYTES = 8

/** The index's shortened keys carry the highest sequence there is, 2^56 - 1: as a number it is rounded to this. */
export const SEQUENCE_MAX = 2 ** 56

export const DELETION = 0
export const VALUE = 1

export function userKeyOf(internalKey: Buffer): Buffer {
  return internalKey.subarray(0, internalKey.length - TRAILER_BYTES)
}

/** @param end where the internal key ends in `bytes` */
export function typeAt(bytes: Buffer, end: number): number {
  return bytes[end - TRAILER_BYTES]!
}

/** Exact below 2^53, which no store reaches. */
export function sequenceAt(bytes: Buffer, end: number): number {
  let sequence = 0
  for (let i = end - 1; i > end - TRAILER_BYTES; i--) sequence = sequence * 256 + bytes[i]!
  return sequence
}

/** True for what LevelDB can compare and read; its own code asserts, which ends the process. */
export function isInternalKey(bytes: Buffer, length: number): boolean {
  return length >= TRAILER_BYTES && typeAt(bytes, length) <= VALUE
}

/**
 * Compares the internal keys that the first bytes of two buffers hold. Keys are short and mostly differ late: a loop is faster
 * than a call out of JavaScript.
 * @param from so many first bytes are known to be equal
 */
export function compareInternal(a: Buffer, aLength: number, b: Buffer, bLength: number, from = 0): number {
  const aEnd = aLength - TRAILER_BYTES
  const bEnd = bLength - TRAILER_BYTES
  const common = aEnd < bEnd ? aEnd : bEnd
  for (let i = from; i < common; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference
  }
  if (aEnd !== bEnd) return aEnd - bEnd
  for (let i = TRAILER_BYTES - 1; i >= 0; i--) {
    const difference = b[bEnd + i]! - a[aEnd + i]!
    if (difference !== 0) return difference
  }
  return 0
}

export function internalKeyOf(userKey: Buffer, sequence: number, isValue: boolean): Buffer {
  const key = Buffer.allocUnsafe(userKey.length + TRAILER_BYTES)
  userKey.copy(key)
  key[userKey.length] = isValue ? VALUE : DELETION
  key.writeUInt32LE(sequence % 2 ** 32, userKey.length + 1)
  key.writeUIntLE(Math.floor(sequence / 2 ** 32), userKey.length + 5, 3)
  return key
}
