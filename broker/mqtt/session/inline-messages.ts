/**
 * Messages of QoS 1 and 2 that no stream holds, while a session has still to deliver them, and copies of retained ones, whose records may go
 * first. Each has a number, which stands in queues where an offset would. One that a stored session waits for is written with that session's
 * queue; then its bytes leave the memory.
 */
import type { LimitedLog } from '../../limited-log.ts'
import type { Message } from '../hub/message.ts'
import { messageBytes } from './message-bytes.ts'
import { decodeMessage, encodeMessage, inlineKey } from './state-format.ts'
import type { StateStore } from './state-store.ts'

/** One session holds at most this part of all: what is for one that is away must not take the room of the others. */
const SHARE = 8

/** A session. */
export interface InlineHolder {
  readonly number: number
  readonly clientId: string
}

interface Held {
  /** null: it is read from the store. */
  message: Message | null
  readonly bytes: number
  /** Of a copy that all may share: of which record. */
  readonly record: string | null
  /** Sessions that have still to deliver it. */
  holders: number
  /** A stored session is among them. */
  isWanted: boolean
}

export class InlineMessages {
  readonly #store: StateStore
  readonly #bytesMax: number
  readonly #limited: LimitedLog
  /** Bytes by the number of the session that has still to deliver them. */
  readonly #bytesOf = new Map<number, number>()
  readonly #held = new Map<number, Held>()
  #unwritten = new Set<number>()
  #next = 1
  #bytes = 0
  /** The message that was held last: its other receivers share its number. */
  #last: { message: Message; number: number } | null = null
  /** Shared copies by their records. */
  readonly #copies = new Map<string, number>()

  constructor(store: StateStore, bytesMax: number, limited: LimitedLog) {
    this.#limited = limited
    this.#store = store
    this.#bytesMax = bytesMax
  }

  get count(): number {
    return this.#held.size
  }
  get bytes(): number {
    return this.#bytes
  }

  /** Some are to be written with the queues that have them. */
  get isUnwritten(): boolean {
    return this.#unwritten.size > 0
  }

  /** @param isStored the session that holds it is stored. @returns its number; null, and said, at a limit */
  hold(message: Message, isStored: boolean, holder: InlineHolder): number | null {
    const known = this.#last?.message === message ? this.#last.number : null
    const number = this.#take(message, known, null, holder)
    if (number === null) {
      const text =
        'a message was dropped: no stream takes its topic, and what is held of such messages is at a limit'
      this.#limited.warn('inline', text, {
        client: holder.clientId,
        topic: message.topic,
        reason: `its session holds ${this.#bytesOf.get(holder.number) ?? 0} bytes, all hold ${this.#bytes} of ${this.#bytesMax}`,
      })
      return null
    }
    this.#last = { message, number }
    if (isStored) this.want(number)
    return number
  }

  /**
   * A message that has a record, for a session that is stored.
   * @param isShared one copy does for all who hold it. @returns as `hold`
   */
  holdCopy(message: Message, isShared: boolean, holder: InlineHolder): number | null {
    const place = message.place!
    const record = isShared ? `${place.partition.id}:${place.offset}` : null
    const known = record === null ? null : (this.#copies.get(record) ?? null)
    const number = this.#take({ ...message, place: null }, known, record, holder)
    if (number === null) return null
    if (record !== null) this.#copies.set(record, number)
    this.want(number)
    return number
  }

  /** @param known its number where it is held already */
  #take(message: Message, known: number | null, record: string | null, holder: InlineHolder): number | null {
    const bytes = known === null ? messageBytes(message) : this.#held.get(known)!.bytes
    const own = this.#bytesOf.get(holder.number) ?? 0
    // one may be larger than the share
    if (own > 0 && own + bytes > this.#bytesMax / SHARE) return null
    if (known === null && this.#bytes + bytes > this.#bytesMax) return null
    const number = known ?? this.#add(message, bytes, record)
    this.#held.get(number)!.holders++
    this.#bytesOf.set(holder.number, own + bytes)
    return number
  }

  #add(message: Message, bytes: number, record: string | null): number {
    message.own?.()
    const number = this.#next++
    this.#held.set(number, { message, bytes, record, holders: 0, isWanted: false })
    this.#bytes += bytes
    return number
  }

  /** A session has delivered it, or given it up. */
  release(number: number, { number: session }: InlineHolder): void {
    const held = this.#held.get(number)
    if (held === undefined) return
    const own = (this.#bytesOf.get(session) ?? 0) - held.bytes
    if (own > 0) this.#bytesOf.set(session, own)
    else this.#bytesOf.delete(session)
    if (--held.holders > 0) return
    this.#forget(number, held)
  }

  /** A session that holds it is stored from now on. */
  want(number: number): void {
    const held = this.#held.get(number)
    if (held === undefined || held.isWanted) return
    held.isWanted = true
    this.#unwritten.add(number)
  }

  /** @returns null where it is not there any more. @throws where the disk is at fault */
  async get(number: number): Promise<Message | null> {
    const held = this.#held.get(number)
    if (held?.message != null) return held.message
    const payload = await this.#store.get(inlineKey(number))
    return payload === undefined ? null : { ...decodeMessage(payload), place: null }
  }

  /** Puts what has to be written; called with the queues. */
  build(): void {
    for (const number of this.#unwritten) {
      const held = this.#held.get(number)
      if (held?.message == null) continue
      this.#store.put(inlineKey(number), encodeMessage(held.message))
      held.message = null
      if (this.#last?.number === number) this.#last = null
    }
    this.#unwritten = new Set()
  }

  /** Found in the store at start; its holders come with their queues. */
  load(number: number, bytes: number): void {
    this.#held.set(number, { message: null, bytes, record: null, holders: 0, isWanted: true })
    this.#bytes += bytes
    this.#next = Math.max(this.#next, number + 1)
  }

  /** At start: a queue has it. */
  hasHeld(number: number, { number: session }: InlineHolder): boolean {
    const held = this.#held.get(number)
    if (held === undefined) return false
    this.#bytesOf.set(session, (this.#bytesOf.get(session) ?? 0) + held.bytes)
    held.holders++
    return true
  }

  /** After all queues are loaded: removes what nobody holds. */
  loaded(): void {
    for (const [number, held] of [...this.#held]) if (held.holders === 0) this.#forget(number, held)
  }

  #forget(number: number, held: Held): void {
    this.#held.delete(number)
    this.#bytes -= held.bytes
    if (this.#last?.number === number) this.#last = null
    if (held.record !== null) this.#copies.delete(held.record)
    // one that was not written needs no removal
    if (held.isWanted && !this.#unwritten.delete(number)) this.#store.remove(inlineKey(number))
  }
}
