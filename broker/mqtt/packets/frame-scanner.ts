/**
 * Whole packets out of the chunks that a socket brings. MQTT 5, section 2.1; MQTT 3.1.1, section 2.2.
 *
 *     packet          = first remainingLength body
 *     first           = type (4 bits) flags (4 bits)
 *     remainingLength = 1 to 4 bytes, 7 bits each, least significant first; 0x80 set: another one follows
 *     body            = remainingLength bytes
 *
 * Example: 30 06 00 01 61 68 69 21 is a PUBLISH of "hi!" to "a" with QoS 0.
 *
 * A packet that lies in one chunk is a view of it. Of one that does not, the bytes are collected in a buffer of its own, which grows as bytes
 * come: a length that is announced takes no memory. What a chunk leaves over is copied, so that a few bytes do not keep a large chunk.
 */
import { MqttProtocolError, malformed, Reason, violation } from './protocol-error.ts'

/** One object a scanner, filled again by each `next()`. The bytes stay as they are as long as somebody holds them. */
export interface Frame {
  /** Type and flags. */
  first: number
  bytes: Buffer
  /** The body is bytes[from, to). */
  from: number
  to: number
  /** The remaining length took no more bytes than it needs: a must in MQTT 5. */
  isLengthMinimal: boolean
}

export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const

const EMPTY = Buffer.alloc(0)
const LENGTH_BYTES_MAX = 4
/** What a packet in several chunks is collected in at first; doubled as it fills. */
const COLLECTED_BYTES_MIN = 1024

export class FrameScanner {
  /** May be lowered or raised between packets: an unknown client need not send as much as a known one. */
  packetBytesMax: number
  /** The first packet must be a CONNECT: known from its first byte. */
  private isFirst: boolean
  private chunk: Buffer = EMPTY
  private at = 0
  /** The beginning of a packet whose end has not come; bytes [0, held) of it are filled. */
  private collected: Buffer = EMPTY
  private held = 0
  private readonly frame: Frame = { first: 0, bytes: EMPTY, from: 0, to: 0, isLengthMinimal: true }

  /** @param startsWith 'any' where the first packet need not be a CONNECT. */
  constructor(packetBytesMax: number, startsWith: 'connect' | 'any' = 'connect') {
    this.packetBytesMax = packetBytesMax
    this.isFirst = startsWith === 'connect'
  }

  /** No part of a packet is kept. */
  get isEmpty(): boolean {
    return this.held === 0 && this.at === this.chunk.length
  }

  /** What the beginning of a packet takes whose end has not come. */
  get collectedBytes(): number {
    return this.held === 0 ? 0 : this.collected.length
  }

  /** Lets go of all it has; it is of no use then. */
  drop(): void {
    this.chunk = EMPTY
    this.at = 0
    this.collected = EMPTY
    this.held = 0
  }

  /** The bytes are the scanner's until they have been read: they must not change. */
  push(chunk: Buffer): void {
    if (this.at === this.chunk.length) this.chunk = chunk
    else this.chunk = Buffer.concat([this.chunk.subarray(this.at), chunk])
    this.at = 0
  }

  /**
   * The next whole packet, or null: more bytes are needed.
   * @throws MqttProtocolError as soon as the header shows that the packet cannot be accepted; the scanner is of no use then.
   */
  next(): Frame | null {
    if (this.held > 0) return this.nextCollected()
    const { chunk, at } = this
    const end = chunk.length
    if (at + 2 <= end && !this.isFirst) {
      // Nearly all: a length in one byte, all of the packet in the chunk.
      const remaining = chunk[at + 1]
      const to = at + 2 + remaining
      if (remaining < 0x80 && to <= end && to - at <= this.packetBytesMax && chunk[at] >= 0x10) {
        this.at = to
        return this.filled(chunk[at], chunk, at + 2, to, true)
      }
    }
    return at === end ? null : this.nextOfChunk()
  }

  private nextOfChunk(): Frame | null {
    const { chunk, at } = this
    this.checkFirst(chunk[at])
    const bytes = this.packetBytes(chunk, at, chunk.length)
    if (bytes === 0 || at + bytes > chunk.length) {
      this.collect(chunk.length - at, bytes)
      return null
    }
    this.at = at + bytes
    return this.finished(chunk, at, at + bytes)
  }

  private nextCollected(): Frame | null {
    let bytes = this.packetBytes(this.collected, 0, this.held)
    while (bytes === 0) {
      if (this.at === this.chunk.length) return null
      this.collect(1, 0)
      bytes = this.packetBytes(this.collected, 0, this.held)
    }
    this.collect(Math.min(bytes - this.held, this.chunk.length - this.at), bytes)
    if (this.held < bytes) return null
    const { collected } = this
    this.collected = EMPTY
    this.held = 0
    return this.finished(collected, 0, bytes)
  }

  /** Moves bytes of the chunk to the packet that is being collected. @param packetBytes of all of it; 0: not known yet */
  private collect(count: number, packetBytes: number): void {
    if (count === 0) return
    const needed = this.held + count
    if (needed > this.collected.length) {
      const known = packetBytes === 0 ? COLLECTED_BYTES_MIN : packetBytes
      const doubled = Math.max(COLLECTED_BYTES_MIN, 2 * this.collected.length, needed)
      const grown = Buffer.allocUnsafe(Math.max(needed, Math.min(doubled, known)))
      this.collected.copy(grown, 0, 0, this.held)
      this.collected = grown
    }
    this.chunk.copy(this.collected, this.held, this.at, this.at + count)
    this.held = needed
    this.at += count
    if (this.at === this.chunk.length) {
      this.chunk = EMPTY
      this.at = 0
    }
  }

  /** @returns The bytes of the whole packet; 0 where its length is not complete yet. */
  private packetBytes(bytes: Buffer, at: number, end: number): number {
    let remaining = 0
    for (let count = 1; count <= LENGTH_BYTES_MAX; count++) {
      if (at + count >= end) return 0
      const byte = bytes[at + count]
      remaining += (byte & 0x7f) * 2 ** (7 * (count - 1))
      if (byte >= 0x80) continue
      const packet = 1 + count + remaining
      if (packet > this.packetBytesMax) {
        throw new MqttProtocolError(
          Reason.packetTooLarge,
          'MQTT-3.2.2-15',
          `a packet of ${packet} bytes, the maximum is ${this.packetBytesMax}`,
        )
      }
      return packet
    }
    throw malformed('section 1.5.5', 'a remaining length of more than four bytes')
  }

  private checkFirst(first: number): void {
    const type = first >> 4
    if (this.isFirst && type !== PacketType.connect) {
      throw violation('MQTT-3.1.0-1', `the first packet is of type ${type}, not a CONNECT`)
    }
    if (type === 0) throw violation('section 2.1.2', 'a packet of the reserved type 0')
  }

  /** bytes[at, to) are a whole packet, header included. */
  private finished(bytes: Buffer, at: number, to: number): Frame {
    this.isFirst = false
    let from = at + 1
    while (bytes[from] >= 0x80) from++
    const isMinimal = from === at + 1 || bytes[from] !== 0
    return this.filled(bytes[at], bytes, from + 1, to, isMinimal)
  }

  private filled(first: number, bytes: Buffer, from: number, to: number, isMinimal: boolean): Frame {
    const frame = this.frame
    frame.first = first
    frame.bytes = bytes
    frame.from = from
    frame.to = to
    frame.isLengthMinimal = isMinimal
    return frame
  }
}
