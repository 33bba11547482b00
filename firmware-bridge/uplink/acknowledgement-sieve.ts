/**
 * Takes acknowledgements out of what the broker sends, where they lie: most of what comes is PUBREC and PUBCOMP, and mqtt.js' parser makes some 2 kB
 * of garbage of each. All else goes on as it came, and so does an acknowledgement that is not whole in a chunk, or that nobody here waits for.
 *
 *   PUBACK, PUBREC, PUBCOMP := 40 | 50 | 70, length, packet id u16, [reason code u8, [properties]]      MQTT 5.0 section 3.4
 *
 * PUBREC of id 7, nobody subscribes: 50 03 00 07 10
 */
import type { AcknowledgementKind } from './exchanges.ts'

const KINDS: Readonly<Record<number, AcknowledgementKind>> = { 64: 'puback', 80: 'pubrec', 112: 'pubcomp' }
/** Fixed header with a length of one byte, and packet id: those that are longer have a text, and are rare. */
const LENGTH_MAX = 0x7f
const CODE_AT = 4

/** @returns false: it is nobody's here, and goes on */
export type TakeAcknowledgement = (kind: AcknowledgementKind, packetId: number, reasonCode: number) => boolean

/** Of one connection. */
export class AcknowledgementSieve {
  readonly #take: TakeAcknowledgement
  /** Of the packet that goes on: bytes behind this chunk; null: its length is not whole yet. */
  #left: number | null = 0
  /** Of a length that is not whole: what its next byte counts, and what came before. */
  #unit = 0
  #length = 0

  constructor(take: TakeAcknowledgement) {
    this.#take = take
  }

  /** @param goOn called with each range of the chunk that is not taken, in order */
  read(chunk: Uint8Array, end: number, goOn: (from: number, to: number) => void): void {
    let from = 0
    let at = 0
    while (at < end) {
      if (this.#left !== 0) {
        at = this.#skip(chunk, at, end)
        continue
      }
      const taken = this.#takeAt(chunk, at, end)
      if (taken === 0) {
        this.#left = null
        this.#unit = 1
        this.#length = 0
        at++
        continue
      }
      if (from < at) goOn(from, at)
      at += taken
      from = at
    }
    if (from < end) goOn(from, end)
  }

  /** @returns its bytes; 0: it goes on */
  #takeAt(chunk: Uint8Array, at: number, end: number): number {
    const kind = KINDS[chunk[at]!]
    if (kind === undefined || at + CODE_AT > end) return 0
    const length = chunk[at + 1]!
    if (length < 2 || length > LENGTH_MAX || at + 2 + length > end) return 0
    const packetId = (chunk[at + 2]! << 8) | chunk[at + 3]!
    const reasonCode = length > 2 ? chunk[at + CODE_AT]! : 0
    return this.#take(kind, packetId, reasonCode) ? 2 + length : 0
  }

  /** Through the length and the rest of a packet that goes on. @returns where it got to */
  #skip(chunk: Uint8Array, from: number, end: number): number {
    let at = from
    while (this.#left === null && at < end) {
      const byte = chunk[at++]!
      this.#length += (byte & 0x7f) * this.#unit
      this.#unit *= 0x80
      if (byte < 0x80) this.#left = this.#length
    }
    if (this.#left === null) return at
    const skipped = Math.min(this.#left, end - at)
    this.#left -= skipped
    return at + skipped
  }
}
