/**
 * Messages of QoS 1 and 2 that no stream holds, while a session has still to deliver them. Each has a number, which stands in queues where
 * an offset would. One that a stored session waits for is written with that session's queue; then its bytes leave the memory.
 */
import type { Message } from '../hub/message.ts'
import { decodeMessage, encodeMessage, inlineKey } from './state-format.ts'
import type { StateStore } from './state-store.ts'

interface Held {
  /** null: it is read from the store. */
  message: Message | null
  readonly bytes: number
  /** Sessions that have still to deliver it. */
  holders: number
  /** A stored session is among them. */
  isWanted: boolean
}

/** Beside topic and payload. */
const OVERHEAD_BYTES = 64

export class InlineMessages {
  readonly #store: StateStore
  readonly #bytesMax: number
  readonly #held = new Map<number, Held>()
  #unwritten = new Set<number>()
  #next = 1
  #bytes = 0
  /** The message that was held last: its other receivers share its number. */
  #last: { message: Message; number: number } | null = null

  constructor(store: StateStore, bytesMax: number) {
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

  /** @param isStored the session that holds it is stored. @returns its number; null at the limit */
  hold(message: Message, isStored: boolean): number | null {
    let number = this.#last?.message === message ? this.#last.number : 0
    let held = this.#held.get(number)
    if (held === undefined) {
      const bytes = OVERHEAD_BYTES + message.topic.length + message.payload.length
      if (this.#bytes + bytes > this.#bytesMax) return null
      message.own?.()
      number = this.#next++
      held = { message, bytes, holders: 0, isWanted: false }
      this.#held.set(number, held)
      this.#bytes += bytes
      this.#last = { message, number }
    }
    held.holders++
    if (isStored && !held.isWanted) {
      held.isWanted = true
      this.#unwritten.add(number)
    }
    return number
  }

  /** A session has delivered it, or given it up. */
  release(number: number): void {
    const held = this.#held.get(number)
    if (held === undefined || --held.holders > 0) return
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
  load(number: number, payloadBytes: number): void {
    const bytes = OVERHEAD_BYTES + payloadBytes
    this.#held.set(number, { message: null, bytes, holders: 0, isWanted: true })
    this.#bytes += bytes
    this.#next = Math.max(this.#next, number + 1)
  }

  hasHeld(number: number): boolean {
    const held = this.#held.get(number)
    if (held === undefined) return false
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
    // one that was not written needs no removal
    if (held.isWanted && !this.#unwritten.delete(number)) this.#store.remove(inlineKey(number))
  }
}
