/**
 * What a session has still to deliver, or has delivered without an acknowledgement: messages of QoS 1 and 2 by their number in the
 * session, each as a reference into the log. 16 bytes a message, in chunks of 64 that are written by themselves: a queue of which the
 * two ends move costs two chunks a checkpoint.
 *
 *   slot := offset:f64 partition:u32 packetId:u16 flags:u8 identifiers:u8       in memory, little-endian; live where flags has LIVE
 *
 * On disk (state-format.ts): chunk := (slot:varint partition:varint offset:varint packetId:varint flags:u8 identifiers)*
 *                            identifiers := count:varint identifier:varint*     all varints zigzag (log/varint.ts)
 */
import { assert } from '../../assert.ts'
import { cursor, readVarint, writeVarint } from '../../log/varint.ts'
import type { Group } from '../hub/message.ts'
import type { QoS } from '../packets/packet.ts'

/** In the place of a partition's id: the offset is a number among the messages that no stream holds (inline-messages.ts). */
export const INLINE = 0xffffffff

export const CHUNK_SLOTS = 64
const SLOT_BYTES = 16
const IDENTIFIER_LISTS_MAX = 255
/** A safe bound on a slot's bytes on disk without its identifiers. */
const STORED_SLOT_BYTES_MAX = 24

const QOS_MASK = 3
const RETAINED = 4
/** PUBREC came: PUBREL is what is to be sent. */
const RELEASED = 8
const LIVE = 16
/** Sent on this connection; not on disk. */
const SENT = 32
/** Its packet id is a fact of its own on disk. */
const FACT = 64
/** Sent at some time: again means DUP. */
const TRIED = 128
const STORED_FLAGS = QOS_MASK | RETAINED | RELEASED | FACT | TRIED

const NONE: readonly number[] = []

export interface NewEntry {
  readonly partition: number
  readonly offset: number
  readonly qos: QoS
  readonly isRetained: boolean
  readonly identifiers: readonly number[]
  /** Whose members take it. Not on disk: after a restart what waits stays with its session. */
  readonly group?: Group | undefined
}

/** What many slots have in common. */
interface Common {
  readonly identifiers: readonly number[]
  readonly group: Group | undefined
}

interface Chunk {
  readonly view: DataView
  live: number
}

export class DeliveryTable {
  /** By chunk number minus `#first`. */
  readonly #chunks: (Chunk | null)[] = []
  #first = 0
  /** Distinct lists of subscription identifiers, with the group; a slot has the place of its own, plus one. */
  #lists: Common[] | null = null
  isStored: boolean
  /** Chunks that changed since they were last taken, of a session that is stored. */
  #dirty: Set<number> | null = null
  /** Chunks that are on disk, or about to be. */
  #written: Set<number> | null = null
  /** The lowest number that can be live. */
  head = 0
  /** The next number. */
  tail = 0
  count = 0

  constructor(isStored: boolean) {
    this.isStored = isStored
  }

  append(entry: NewEntry): number {
    const seq = this.tail
    this.insert(seq, entry)
    return seq
  }

  /** At a number that is not live: when a session is read from disk. */
  insert(seq: number, { partition, offset, qos, isRetained, identifiers, group }: NewEntry): void {
    const chunk = this.#chunkFor(seq)
    const at = slotAt(seq)
    assert((chunk.view.getUint8(at + 14) & LIVE) === 0, 'a delivery has a number of its own')
    chunk.view.setFloat64(at, offset, true)
    chunk.view.setUint32(at + 8, partition, true)
    chunk.view.setUint16(at + 12, 0, true)
    chunk.view.setUint8(at + 14, qos | LIVE | (isRetained ? RETAINED : 0))
    const isPlain = identifiers.length === 0 && group === undefined
    chunk.view.setUint8(at + 15, isPlain ? 0 : this.#listPlace(identifiers, group))
    chunk.live++
    this.count++
    if (seq >= this.tail) this.tail = seq + 1
    this.#touch(seq)
  }

  remove(seq: number): void {
    const chunk = this.#chunkOf(seq)
    if (chunk === null || !this.isLive(seq)) return
    chunk.view.setUint8(slotAt(seq) + 14, 0)
    chunk.live--
    this.count--
    this.#touch(seq)
    if (this.count === 0) this.#empty()
    else if (seq === this.head) this.#moveHead()
  }

  isLive(seq: number): boolean {
    return (this.#flags(seq) & LIVE) !== 0
  }
  qosOf(seq: number): QoS {
    return (this.#flags(seq) & QOS_MASK) as QoS
  }
  isRetained(seq: number): boolean {
    return (this.#flags(seq) & RETAINED) !== 0
  }
  isReleased(seq: number): boolean {
    return (this.#flags(seq) & RELEASED) !== 0
  }
  isSent(seq: number): boolean {
    return (this.#flags(seq) & SENT) !== 0
  }
  isFact(seq: number): boolean {
    return (this.#flags(seq) & FACT) !== 0
  }
  isTried(seq: number): boolean {
    return (this.#flags(seq) & TRIED) !== 0
  }
  offsetOf(seq: number): number {
    return this.#chunkOf(seq)!.view.getFloat64(slotAt(seq), true)
  }
  partitionOf(seq: number): number {
    return this.#chunkOf(seq)!.view.getUint32(slotAt(seq) + 8, true)
  }
  packetIdOf(seq: number): number {
    return this.#chunkOf(seq)!.view.getUint16(slotAt(seq) + 12, true)
  }
  identifiersOf(seq: number): readonly number[] {
    const place = this.#chunkOf(seq)!.view.getUint8(slotAt(seq) + 15)
    return place === 0 ? NONE : this.#lists![place - 1]!.identifiers
  }
  groupOf(seq: number): Group | undefined {
    const place = this.#chunkOf(seq)!.view.getUint8(slotAt(seq) + 15)
    return place === 0 ? undefined : this.#lists![place - 1]!.group
  }

  setOffset(seq: number, offset: number): void {
    this.#chunkOf(seq)!.view.setFloat64(slotAt(seq), offset, true)
    this.#touch(seq)
  }

  /** It was sent now under this packet id. */
  setSent(seq: number, packetId: number): void {
    this.#chunkOf(seq)!.view.setUint16(slotAt(seq) + 12, packetId, true)
    this.#set(seq, SENT | TRIED)
    this.#touch(seq)
  }
  setFact(seq: number): void {
    this.#set(seq, FACT)
    this.#touch(seq)
  }
  setReleased(seq: number): void {
    this.#set(seq, RELEASED)
    this.#touch(seq)
  }
  /** Another connection begins. */
  setUnsent(seq: number): void {
    const { view } = this.#chunkOf(seq)!
    view.setUint8(slotAt(seq) + 14, view.getUint8(slotAt(seq) + 14) & ~SENT)
  }

  /** The session's expiry became more than nothing, or nothing. */
  setStored(isStored: boolean): void {
    if (isStored === this.isStored) return
    this.isStored = isStored
    this.#dirty = isStored ? new Set(this.#chunks.map((_, place) => this.#first + place)) : null
  }

  /** Chunks that changed since the last call, each with its bytes, or null where it is to be removed. */
  takeDirty(): [chunk: number, bytes: Buffer | null][] {
    if (this.#dirty === null) return []
    const taken: [number, Buffer | null][] = []
    for (const chunk of this.#dirty) {
      const bytes = this.#encode(chunk)
      if (bytes !== null) {
        this.#written ??= new Set()
        this.#written.add(chunk)
        taken.push([chunk, bytes])
      } else if (this.#written?.delete(chunk) === true) taken.push([chunk, null])
    }
    this.#dirty = null
    return taken
  }

  /** Chunks that are to be removed from disk, as the session is. */
  takeWritten(): number[] {
    const written = [...(this.#written ?? [])]
    this.#written = null
    return written
  }

  /** @throws RangeError where it is not a chunk's bytes */
  load(chunk: number, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const seq = chunk * CHUNK_SLOTS + readVarint(bytes, at)
      const partition = readVarint(bytes, cursor.at)
      const offset = readVarint(bytes, cursor.at)
      const packetId = readVarint(bytes, cursor.at)
      const flags = bytes.readUInt8(cursor.at)
      const identifiers: number[] = []
      let left = readVarint(bytes, cursor.at + 1)
      for (; left > 0; left--) identifiers.push(readVarint(bytes, cursor.at))
      at = cursor.at
      const isRetained = (flags & RETAINED) !== 0
      this.insert(seq, { partition, offset, qos: (flags & QOS_MASK) as QoS, isRetained, identifiers })
      this.#chunkOf(seq)!.view.setUint16(slotAt(seq) + 12, packetId, true)
      this.#set(seq, flags & STORED_FLAGS)
    }
    this.#dirty?.delete(chunk)
    this.#written ??= new Set()
    this.#written.add(chunk)
  }

  /** Live numbers in order. */
  *live(): Generator<number, void, void> {
    for (let seq = this.head; seq < this.tail; seq++) if (this.isLive(seq)) yield seq
  }

  #encode(number: number): Buffer | null {
    const chunk = this.#chunks[number - this.#first] ?? null
    if (chunk === null || chunk.live === 0) return null
    const from = number * CHUNK_SLOTS
    const slots: number[] = []
    let bytesMax = 0
    for (let seq = from; seq < from + CHUNK_SLOTS; seq++) {
      if (!this.isLive(seq)) continue
      slots.push(seq)
      bytesMax += STORED_SLOT_BYTES_MAX + this.identifiersOf(seq).length * 6
    }
    const bytes = Buffer.allocUnsafe(bytesMax)
    let at = 0
    for (const seq of slots) {
      at = writeVarint(bytes, at, seq - from)
      at = writeVarint(bytes, at, this.partitionOf(seq))
      at = writeVarint(bytes, at, this.offsetOf(seq))
      at = writeVarint(bytes, at, this.packetIdOf(seq))
      at = bytes.writeUInt8(this.#flags(seq) & STORED_FLAGS, at)
      const identifiers = this.identifiersOf(seq)
      at = writeVarint(bytes, at, identifiers.length)
      for (const identifier of identifiers) at = writeVarint(bytes, at, identifier)
    }
    return bytes.subarray(0, at)
  }

  #chunkOf(seq: number): Chunk | null {
    return this.#chunks[Math.floor(seq / CHUNK_SLOTS) - this.#first] ?? null
  }

  #chunkFor(seq: number): Chunk {
    const number = Math.floor(seq / CHUNK_SLOTS)
    if (this.#chunks.length === 0) {
      this.#first = number
      this.head = seq
    }
    for (; number < this.#first; this.#first--) this.#chunks.unshift(null)
    while (number - this.#first >= this.#chunks.length) this.#chunks.push(null)
    if (seq < this.head) this.head = seq
    let chunk = this.#chunks[number - this.#first]!
    if (chunk === null) {
      chunk = { view: new DataView(new ArrayBuffer(CHUNK_SLOTS * SLOT_BYTES)), live: 0 }
      this.#chunks[number - this.#first] = chunk
    }
    return chunk
  }

  /** A session without anything to deliver holds one chunk while it is in use, and none once it rests (`rest`). */
  #empty(): void {
    this.head = this.tail
    const last = Math.floor(this.tail / CHUNK_SLOTS)
    while (this.#chunks.length > 0 && this.#first < last) {
      this.#chunks.shift()
      this.#first++
    }
    this.#lists = null
  }

  /** Lets go of memory: nothing is expected soon. */
  rest(): void {
    if (this.count > 0) return
    this.#chunks.length = 0
    this.#lists = null
    if (this.#written?.size === 0) this.#written = null
  }

  #moveHead(): void {
    while (!this.isLive(this.head)) {
      const chunk = this.#chunks[0]!
      if (chunk !== null && chunk.live > 0) {
        this.head++
        continue
      }
      this.#chunks.shift()
      this.#first++
      this.head = this.#first * CHUNK_SLOTS
    }
    const number = Math.floor(this.head / CHUNK_SLOTS)
    for (; this.#first < number; this.#first++) this.#chunks.shift()
  }

  #flags(seq: number): number {
    return this.#chunkOf(seq)?.view.getUint8(slotAt(seq) + 14) ?? 0
  }

  #set(seq: number, flags: number): void {
    const { view } = this.#chunkOf(seq)!
    view.setUint8(slotAt(seq) + 14, view.getUint8(slotAt(seq) + 14) | flags)
  }

  #touch(seq: number): void {
    if (!this.isStored) return
    this.#dirty ??= new Set()
    this.#dirty.add(Math.floor(seq / CHUNK_SLOTS))
  }

  #listPlace(identifiers: readonly number[], group: Group | undefined): number {
    this.#lists ??= []
    const known = this.#lists.findIndex(
      (list) => list.group === group && isSame(list.identifiers, identifiers),
    )
    if (known >= 0) return known + 1
    // a client with more combinations than this under way gets the message without them
    if (this.#lists.length >= IDENTIFIER_LISTS_MAX) return 0
    this.#lists.push({ identifiers, group })
    return this.#lists.length
  }
}

function slotAt(seq: number): number {
  return (seq % CHUNK_SLOTS) * SLOT_BYTES
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((identifier, i) => identifier === other[i])
}
