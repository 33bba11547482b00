/**
 * Whether bytes are one CBOR map that is worth decoding (RFC 8949, well-formedness as in its appendix C), before a decoder allocates
 * anything for them: lengths fit what is there, nesting and items are bounded, text is UTF-8. Tags, strings in pieces, simple
 * values without a meaning and a second item behind the first are refused: a sensor's body has none, and decoders do all kinds of things for tags.
 */
import { isUtf8 } from 'node:buffer'

/** Maps and arrays within each other. */
export const DEPTH_MAX = 8
/** Keys and values together. */
export const ITEMS_MAX = 1024

const MAP = 5
const BREAK = 0xff
const INDEFINITE = 31

export type CborFault =
  | 'not a map'
  | 'cut short'
  | 'bytes behind the map'
  | 'nested too deeply'
  | 'too many items'
  | 'a tag'
  | 'a string in pieces'
  | 'text that is not UTF-8'
  | 'not CBOR'

/** Thrown and caught within this file. */
class Refusal extends Error {
  readonly fault: CborFault

  constructor(fault: CborFault) {
    super(fault)
    this.fault = fault
  }
}

/** @returns the number of pairs in the map and in those within it, or what is wrong */
export function checkCborMap(bytes: Uint8Array): number | CborFault {
  if (bytes.length === 0 || bytes[0]! >> 5 !== MAP) return 'not a map'
  try {
    const walk = new Walk(bytes)
    walk.item(0)
    if (walk.at !== bytes.length) return 'bytes behind the map'
    return walk.pairs
  } catch (error) {
    if (error instanceof Refusal) return error.fault
    throw error
  }
}

class Walk {
  readonly #bytes: Uint8Array
  at = 0
  pairs = 0
  #items = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** @param depth how many maps and arrays are around it */
  item(depth: number): void {
    if (++this.#items > ITEMS_MAX) throw new Refusal('too many items')
    const head = this.#byte()
    const major = head >> 5
    const info = head & 31
    switch (major) {
      case 0:
      case 1:
        this.#argument(info)
        return
      case 2:
      case 3:
        this.#string(major, info)
        return
      case 4:
      case 5:
        this.#collection(major, info, depth)
        return
      case 6:
        throw new Refusal('a tag')
      default:
        this.#simple(info)
    }
  }

  #byte(): number {
    if (this.at >= this.#bytes.length) throw new Refusal('cut short')
    return this.#bytes[this.at++]!
  }

  /** A number, or a length; above 2^53 it is rounded, which no length that fits is. */
  #argument(info: number): number {
    if (info < 24) return info
    if (info > 27) throw new Refusal('not CBOR')
    let value = 0
    for (let left = 1 << (info - 24); left > 0; left--) value = value * 256 + this.#byte()
    return value
  }

  #string(major: number, info: number): void {
    if (info === INDEFINITE) throw new Refusal('a string in pieces')
    const length = this.#argument(info)
    if (length > this.#bytes.length - this.at) throw new Refusal('cut short')
    const text = this.#bytes.subarray(this.at, this.at + length)
    if (major === 3 && !isUtf8(text)) throw new Refusal('text that is not UTF-8')
    this.at += length
  }

  #collection(major: number, info: number, depth: number): void {
    if (depth >= DEPTH_MAX) throw new Refusal('nested too deeply')
    const perEntry = major === MAP ? 2 : 1
    let entries = 0
    if (info === INDEFINITE) {
      for (; this.#bytes[this.at] !== BREAK; entries++) this.#entry(perEntry, depth)
      this.at++
    } else {
      const count = this.#argument(info)
      for (; entries < count; entries++) this.#entry(perEntry, depth)
    }
    if (major === MAP) this.pairs += entries
  }

  #entry(items: number, depth: number): void {
    for (let i = 0; i < items; i++) this.item(depth + 1)
  }

  /** false, true, null, undefined; floats of 2, 4 and 8 bytes. */
  #simple(info: number): void {
    if (info >= 20 && info <= 23) return
    if (info < 25 || info > 27) throw new Refusal('not CBOR')
    this.#argument(info)
  }
}
