/** Messages that wait for a device: the most urgent first, then in the order in which they came. */
import type { DownMessage } from '../uplink/uplink.ts'

export interface Waiting {
  readonly message: DownMessage
  readonly priority: number
  /** 0: none yet. Kept when it is sent again: with DUP the device knows it. */
  messageId: number
  wasSent: boolean
  /** The device has said once that it does not know the topic id. */
  wasUnknown: boolean
  /** The device has it, or will not get it: the broker is answered. */
  readonly done: () => void
  /** The session has ended: the broker still has it. */
  readonly fail: (error: Error) => void
}

export class DownlinkQueue {
  readonly #messagesMax: number
  readonly #waiting: Waiting[] = []

  /** @param messagesMax beyond it none of QoS 0 is added without that an older one goes; those of QoS 1 and 2 are bounded by who sends them */
  constructor(messagesMax: number) {
    this.#messagesMax = messagesMax
  }

  get length(): number {
    return this.#waiting.length
  }

  /** @returns what had to go for it: null nothing, itself where all others are more urgent or not of QoS 0 */
  add(item: Waiting): Waiting | null {
    let victim: Waiting | null = null
    if (item.message.qos === 0 && this.#waiting.length >= this.#messagesMax) {
      victim = this.#oldestOfLeastUrgent()
      if (victim === null || victim.priority < item.priority) return item
      this.#waiting.splice(this.#waiting.indexOf(victim), 1)
    }
    let at = this.#waiting.length
    while (at > 0 && this.#waiting[at - 1]!.priority > item.priority) at--
    this.#waiting.splice(at, 0, item)
    return victim
  }

  /** What was taken and has not arrived: before all of its urgency. */
  putBack(item: Waiting): void {
    const at = this.#waiting.findIndex(({ priority }) => priority >= item.priority)
    this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, item)
  }

  take(): Waiting | undefined {
    return this.#waiting.shift()
  }

  clear(): Waiting[] {
    return this.#waiting.splice(0)
  }

  #oldestOfLeastUrgent(): Waiting | null {
    let found: Waiting | null = null
    for (const item of this.#waiting) {
      if (item.message.qos === 0 && (found === null || item.priority > found.priority)) found = item
    }
    return found
  }
}
