/**
 * The provenance header, encoded once for a partition and then changed in place: from one record to the next it
 * differs in the last digits alone.
 *
 *   header := keyLength:varint "hw.origin" valueLength:varint edge/incarnation8/stream/partition/offset
 *
 * Example, edge "pi-7", incarnation "0a1b2c3d-...", stream "events", partition 2, offset 41:
 *   12 68772e6f726967696e 34 "pi-7/0a1b2c3d/events/2/41"      (0x12 = 9, 0x34 = 26, zigzag)
 */

import type { LogIdentity } from '../broker/index.ts'
import { assert, writeVarint } from '../broker/index.ts'

export const ORIGIN_HEADER = 'hw.origin'
/** Room at the front of a splice buffer; edge and stream names are bounded well below it. */
export const TEMPLATE_BYTES_MAX = 1024
/** Digits of 2^53. */
const OFFSET_DIGITS_MAX = 16
const ZERO = 48
const NINE = 57

/** The header's value without the offset. */
export function originPrefix(identity: LogIdentity, stream: string, partition: number): string {
  return `${identity.edge}/${identity.incarnation.slice(0, 8)}/${stream}/${partition}/`
}

export class OriginHeader {
  readonly #prefix: Buffer
  /** Most bytes that the header takes. */
  readonly bytesMax: number
  #target: Buffer | null = null
  #offset = -1
  #bytes = 0

  constructor(prefix: string) {
    this.#prefix = Buffer.from(prefix, 'utf8')
    this.bytesMax = 1 + ORIGIN_HEADER.length + 3 + this.#prefix.length + OFFSET_DIGITS_MAX
    assert(this.bytesMax <= TEMPLATE_BYTES_MAX, 'names of edge and stream fit the provenance header')
  }

  /** Says where the template stands: at the front of `target`, which another header may have used meanwhile. */
  attach(target: Buffer): void {
    this.#target = target
    this.#offset = -1
  }

  /** The buffer has been replaced by a larger one, and the template was copied along. */
  follow(target: Buffer): void {
    this.#target = target
  }

  /** Makes the template that of `offset`. @returns its length; it begins at 0 */
  prepare(offset: number): number {
    if (offset !== this.#offset + 1 || !this.#increment()) this.#rewrite(offset)
    this.#offset = offset
    return this.#bytes
  }

  /** Adds one to the digits in place. @returns false when one more digit is needed */
  #increment(): boolean {
    if (this.#offset < 0) return false
    const target = this.#target!
    let at = this.#bytes - 1
    while (target[at] === NINE) target[at--] = ZERO
    // The byte before the digits is the '/' that ends the prefix: all of them were nines.
    if (target[at]! < ZERO) return false
    target[at]!++
    return true
  }

  #rewrite(offset: number): void {
    const target = this.#target!
    const digits = String(offset)
    let at = writeVarint(target, 0, ORIGIN_HEADER.length)
    at += target.write(ORIGIN_HEADER, at, 'latin1')
    at = writeVarint(target, at, this.#prefix.length + digits.length)
    at += this.#prefix.copy(target, at)
    this.#bytes = at + target.write(digits, at, 'latin1')
  }
}
