/**
 * The members of a shared subscription: each message goes to one of them, in turn (MQTT 5, section 4.8.2). Members that are connected and take
 * what comes are first; then who is connected; while none is, the message waits for one whose session stays. Publishers wait where all are slow.
 */
import { assert } from '../../assert.ts'
import type { Backlog, Pressure } from './backlog.ts'
import type { Subscriber } from './message.ts'
import type { Subscription } from './subscription.ts'

export interface Member {
  readonly subscriber: Subscriber
  readonly subscription: Subscription
}

export class SharedGroup implements Pressure {
  readonly #members: Member[] = []
  #turn = 0
  /** To a member that is not chosen yet. */
  #underWay = 0

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
    let chosen = -1
    for (let step = 0; step < length; step++) {
      const at = (first + step) % length
      const { subscriber, subscription } = this.#members[at]!
      if (!subscriber.isOnline) continue
      if (chosen < 0) chosen = at
      if (subscription.qos > 0 && subscriber.backlog.room === 0) continue
      chosen = at
      break
    }
    if (chosen < 0) chosen = first
    this.#turn = chosen + 1
    return this.#members[chosen]!
  }

  // -- of publishers ------------------------------------------------------------------------------------------------

  holds(own: Backlog | null): Backlog | null {
    let room = -this.#underWay
    let isNext = true
    let isTurn = false
    let found: Backlog | null = null
    for (const { subscriber, subscription } of this.#members) {
      if (!subscriber.isOnline) continue
      if (subscription.qos === 0) return null
      const { backlog } = subscriber
      room += backlog.room
      isNext &&= backlog.isNext
      isTurn ||= backlog.isTurn
      found ??= backlog.holdsUp(own)
    }
    return room > 0 && (isNext || isTurn) ? null : found
  }

  expect(): void {
    this.#underWay++
  }

  arrived(): void {
    this.#underWay--
    if (this.#underWay > 0) return
    for (const { subscriber } of this.#members) subscriber.backlog.wakeSoon()
  }
}
