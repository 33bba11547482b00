/**
 * Messages that the broker itself publishes, of QoS 1, and which subscribers have acknowledged them. They go the way of all messages, with a receipt:
 * each session that takes one while it is connected says so, and says when it is done with it.
 */
import type { Message, Place, Receipt } from './hub/message.ts'
import type { MessageProperties } from './packets/packet.ts'

export interface OwnMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly isRetained: boolean
  readonly properties: MessageProperties | null
  /** null where no stream takes it, and where it is recorded already. */
  readonly place: Place | null
}

export interface Delivery {
  /** How many subscribers have to acknowledge it: those with QoS 1 or 2 that were connected. */
  readonly subscribers: number
  /** Resolves once all have, or are gone; false when one has done neither in time. */
  readonly acknowledged: Promise<boolean>
}

/** A subscriber that neither acknowledges nor ends its connection is not waited for any longer. */
const ACKNOWLEDGE_MS_MAX = 30_000

export interface OwnMessagesOptions {
  /** To all who take it; resolves once it is kept for those that are away. */
  readonly deliver: (message: Message) => void | Promise<void>
  /** ms since 1970 */
  readonly now: () => number
  readonly acknowledgeMsMax?: number
}

export class OwnMessages {
  readonly #options: OwnMessagesOptions
  readonly #open = new Set<Waiting>()
  #last: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: OwnMessagesOptions) {
    this.#options = options
  }

  /** Resolves once it is handed to all subscribers; messages go out in the order of the calls. */
  publish(message: OwnMessage): Promise<Delivery> {
    const delivery = this.#last.then(() => this.#publish(message))
    this.#last = delivery.catch(() => {})
    return delivery
  }

  /** The broker ends: nobody is waited for. */
  close(): void {
    this.#isClosed = true
    for (const waiting of this.#open) waiting.settle(false)
  }

  async #publish(message: OwnMessage): Promise<Delivery> {
    if (this.#isClosed) throw new Error('the broker ends')
    const { deliver, now, acknowledgeMsMax = ACKNOWLEDGE_MS_MAX } = this.#options
    const waiting = new Waiting(acknowledgeMsMax, () => this.#open.delete(waiting))
    this.#open.add(waiting)
    try {
      await deliver({ ...message, qos: 1, timestamp: now(), clientId: null, receipt: waiting })
    } catch (error) {
      waiting.settle(false)
      throw error
    }
    waiting.sent()
    return { subscribers: waiting.subscribers, acknowledged: waiting.acknowledged }
  }
}

/** The acknowledgements of one message. */
class Waiting implements Receipt {
  subscribers = 0
  readonly acknowledged: Promise<boolean>
  #open = 0
  #isSent = false
  #resolve: (isAcknowledged: boolean) => void = () => {}
  readonly #timer: NodeJS.Timeout
  readonly #onSettled: () => void

  constructor(msMax: number, onSettled: () => void) {
    this.#onSettled = onSettled
    this.acknowledged = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#timer = setTimeout(() => this.settle(false), msMax)
    this.#timer.unref()
  }

  expect(): void {
    this.subscribers++
    this.#open++
  }

  came(): void {
    this.#open--
    this.#settleWhenDone()
  }

  sent(): void {
    this.#isSent = true
    this.#settleWhenDone()
  }

  settle(isAcknowledged: boolean): void {
    clearTimeout(this.#timer)
    this.#onSettled()
    this.#resolve(isAcknowledged)
  }

  #settleWhenDone(): void {
    if (this.#isSent && this.#open === 0) this.settle(true)
  }
}
