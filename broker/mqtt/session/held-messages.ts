/** Messages of one session that wait in memory, by their number in the delivery table; what is beyond the limits is read back from the log. */
import type { Message } from '../hub/message.ts'
import type { SessionLimits } from './limits.ts'
import { messageBytes } from './message-bytes.ts'

export class HeldMessages {
  readonly #limits: SessionLimits
  readonly #total: { bytes: number }
  #messages: Map<number, Message> | null = null
  #bytes = 0

  /** @param total bytes held by all sessions */
  constructor(limits: SessionLimits, total: { bytes: number }) {
    this.#limits = limits
    this.#total = total
  }

  get(seq: number): Message | undefined {
    return this.#messages?.get(seq)
  }

  has(seq: number): boolean {
    return this.#messages?.has(seq) === true
  }

  /** All sessions together hold as much as they may. */
  get isFull(): boolean {
    return this.#total.bytes >= this.#limits.heldBytesTotalMax
  }

  /** Where the limits allow it. */
  hold(seq: number, message: Message): void {
    const bytes = messageBytes(message)
    const { heldBytesMax, heldBytesTotalMax } = this.#limits
    if (this.#bytes + bytes > heldBytesMax || this.#total.bytes + bytes > heldBytesTotalMax) return
    this.keep(seq, message)
  }

  /** In any case: it is sent next. */
  keep(seq: number, message: Message): void {
    const bytes = messageBytes(message)
    message.own?.()
    this.#messages ??= new Map()
    this.#messages.set(seq, message)
    this.#bytes += bytes
    this.#total.bytes += bytes
  }

  drop(seq: number): void {
    const message = this.#messages?.get(seq)
    if (message === undefined) return
    this.#messages!.delete(seq)
    const bytes = messageBytes(message)
    this.#bytes -= bytes
    this.#total.bytes -= bytes
  }

  clear(): void {
    this.#total.bytes -= this.#bytes
    this.#bytes = 0
    this.#messages = null
  }
}
