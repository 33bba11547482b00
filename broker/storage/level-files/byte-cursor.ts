/**
 * LevelDB's numbers (util/coding.h), read with bounds. What does not end within its bytes, or is larger than LevelDB writes, is
 * `NONE`: a damaged file must neither be read past its end nor name the size of an allocation.
 *
 *   varint := seven bits a byte, the lowest first; the eighth bit says that more follow
 */
export const NONE = -1

export class ByteCursor {
  bytes: Buffer
  end: number
  at: number

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get isAtEnd(): boolean {
    return this.at >= this.end
  }

  /** 0 to 2^32 - 1, or NONE. */
  varint32(): number {
    const first = this.at < this.end ? this.bytes[this.at]! : 0x80
    if (first < 0x80) {
      this.at++
      return first
    }
    const value = this.varint64(5)
    return value > 0xffffffff ? NONE : value
  }

  /** 0 to 2^53 - 1, or NONE. */
  varint64(bytesMax = 10): number {
    let value = 0
    let scale = 1
    const last = Math.min(this.end, this.at + bytesMax)
    while (this.at < last) {
      const byte = this.bytes[this.at++]!
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : NONE
      scale *= 128
    }
    return NONE
  }

  /** Bytes behind their length; null where they are not all there. */
  lengthPrefixed(): Buffer | null {
    const from = this.skipPrefixed()
    return from === NONE ? null : this.bytes.subarray(from, this.at)
  }

  /** The same without looking at them. @returns where they begin, or NONE */
  skipPrefixed(): number {
    const length = this.varint32()
    if (length === NONE || length > this.end - this.at) return NONE
    this.at += length
    return this.at - length
  }
}
