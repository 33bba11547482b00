/**
 * Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): the same bytes without a zero among them, so that a zero can end a frame.
 *
 *   encoded := block+                 block := code byte{code - 1}          code := 0x01..0xFF; 0x00 does not occur
 *
 * A block stands for its bytes and then a zero; not after code 0xFF, and not after the last block. Some encoders end data whose last
 * block is full (0xFF) with one more block 0x01: that is read, too.
 */

/** Bytes that `length` bytes take at most when they are encoded. */
export function cobsBytesMax(length: number): number {
  return length + 1 + Math.floor(length / 254)
}

/**
 * @param end exclusive
 * @param target holds `end - start` bytes behind `at`
 * @returns where the decoded bytes end in `target`, or -1 when a code points beyond the end or a zero is among them
 */
export function cobsDecode(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  let from = start
  let to = at
  while (from < end) {
    const code = source[from++]!
    const last = from + code - 1
    if (code === 0 || last > end) return -1
    while (from < last) {
      const byte = source[from++]!
      if (byte === 0) return -1
      target[to++] = byte
    }
    if (code !== 0xff && from < end) target[to++] = 0
  }
  return to
}

/** @returns where the encoded bytes end in `target`, which has room for `cobsBytesMax` of them behind `at` */
export function cobsEncode(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  let codeAt = at
  let to = at + 1
  for (let from = start; from < end; from++) {
    const byte = source[from]!
    if (byte !== 0) target[to++] = byte
    if (byte === 0 || to - codeAt === 0xff) {
      // a full block at the very end needs none behind it
      if (byte !== 0 && from + 1 === end) break
      target[codeAt] = to - codeAt
      codeAt = to++
    }
  }
  target[codeAt] = to - codeAt
  return to
}
