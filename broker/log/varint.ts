/**
 * Zigzag varints as Kafka's record format uses them (protobuf's sint32/sint64): seven bits a byte, low bits first,
 * the high bit says that more follow. Values here stay within ±2^52; 32-bit values take a fast path.
 * Functions that read return the value and leave the next position in `cursor.at`, so that nothing is allocated.
 */

/** Where the last read ended. One per process is enough: nothing awaits between a read and its use. */
export const cursor = { at: 0 }

/** Bytes that `value` (a signed integer within ±2^52) takes. */
export function varintSize(value: number): number {
  if (value >= -64 && value < 64) return 1
  if (value >= -8192 && value < 8192) return 2
  if (value >= -1048576 && value < 1048576) return 3
  if (value >= -134217728 && value < 134217728) return 4
  let zigzag = value >= 0 ? value * 2 : -value * 2 - 1
  let size = 1
  while (zigzag >= 128) {
    zigzag = Math.floor(zigzag / 128)
    size++
  }
  return size
}

/** Writes `value` at `at` and returns the position after it. The caller has made room. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  if (value >= -1073741824 && value < 1073741824) {
    let zigzag = ((value << 1) ^ (value >> 31)) >>> 0
    while (zigzag >= 128) {
      target[at++] = (zigzag & 127) | 128
      zigzag >>>= 7
    }
    target[at++] = zigzag
    return at
  }
  let zigzag = value >= 0 ? value * 2 : -value * 2 - 1
  while (zigzag >= 128) {
    target[at++] = (zigzag % 128) | 128
    zigzag = Math.floor(zigzag / 128)
  }
  target[at++] = zigzag
  return at
}

/** Reads at `at`; the end position is in `cursor.at`. Throws RangeError past the end or past ten bytes. */
export function readVarint(source: Uint8Array, at: number): number {
  let byte = source[at++]!
  if (byte < 128) {
    cursor.at = at
    return (byte >>> 1) ^ -(byte & 1)
  }
  let zigzag = byte & 127
  let shift = 7
  while (shift < 28) {
    byte = source[at++]!
    zigzag |= (byte & 127) << shift
    if (byte < 128) {
      cursor.at = at
      return (zigzag >>> 1) ^ -(zigzag & 1)
    }
    shift += 7
  }
  let wide = zigzag
  let scale = 2 ** 28
  for (let length = 5; ; length++) {
    const next = source[at++]
    if (next === undefined || length > 10) throw new RangeError('a varint runs past its end')
    wide += (next & 127) * scale
    if (next < 128) break
    scale *= 128
  }
  cursor.at = at
  return wide % 2 === 0 ? wide / 2 : -(wide + 1) / 2
}
