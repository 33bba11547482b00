/**
 * The members of a shared subscription: each message goes to one of them, in turn (MQTT 5, section 4.8.2). Members that are connected come
 * first; while none is, the message waits for one whose session stays.
 */
import { assert } from '../../assert.ts'
import type { Subscriber } from './message.ts'
import type { Subscription } from './subscription.ts'

export interface Member {
  readonly subscriber: Subscriber
  readonly subscription: Subscription
}

export class SharedGroup {
  readonly #members: Member[] = []
  #turn = 0

  get isEmpty(): boolean {
    return this.#members.length === 0
  }

  add(subscriber: Subscriber, subscription: Subscription): void {
    this.#members.push({ subscriber, subscription })
  }

  remove(subscriber: Subscriber): void {
    const index = this.#members.findIndex((member) => member.subscriber === subscriber)
    if (index < 0) return
    this.#members.splice(index, 1)
    if (index < this.#turn) this.#turn--
  }

  /** Whose turn it is. There is one. */
  next(): Member {
    const { length } = this.#members
    assert(length > 0, 'a group without members is none')
    const first = this.#turn % length
    let chosen = first
    for (let step = 0; step < length; step++) {
      const at = (first + step) % length
      if (!this.#members[at]!.subscriber.isOnline) continue
      chosen = at
      break
    }
    this.#turn = chosen + 1
    return this.#members[chosen]!
  }
}
