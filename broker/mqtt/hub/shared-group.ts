/**
 * The members of a shared subscription: each message goes to one of them, in turn (MQTT 5, section 4.8.2). Members that are connected and for which nothing
 * waits are first; then whoever is connected and has least that waits; while none is connected, the message waits for one whose session stays. So one that is
 * slow, or dead and still connected, holds what its receive maximum lets it have, and nothing that another could take. Publishers wait where all are slow.
 */
import { assert } from '../../assert.ts'
import type { Backlog, Pressure } from './backlog.ts'
import type { Grant, Group, Message, Subscriber } from './message.ts'
import type { Subscription } from './subscription.ts'

export interface Member {
  readonly subscriber: Subscriber
  readonly subscription: Subscription
  readonly grant: Grant
}

/** Connected members that are compared, from the one on whose turn it is: all of them, in nearly every group. */
const COMPARED_MAX = 16

export class SharedGroup implements Pressure, Group {
  readonly #members: Member[] = []
  #turn = 0
  /** To a member that is not chosen yet. */
  #underWay = 0

  get isEmpty(): boolean {
    return this.#members.length === 0
  }

  add(subscriber: Subscriber, subscription: Subscription): void {
    const { qos, identifier, isRetainAsPublished } = subscription
    const identifiers = identifier === null ? [] : [identifier]
    const grant = { qos, identifiers, isRetainAsPublished, group: this }
    this.#members.push({ subscriber, subscription, grant })
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
    let least = Number.POSITIVE_INFINITY
    let compared = 0
    for (let step = 0; step < length && least > 0 && compared < COMPARED_MAX; step++) {
      const at = (first + step) % length
      const { subscriber } = this.#members[at]!
      if (!subscriber.isOnline) continue
      compared++
      const { queued } = subscriber.backlog
      if (queued >= least) continue
      least = queued
      chosen = at
    }
    this.#turn = chosen + 1
    return this.#members[chosen]!
  }

  give(message: Message): boolean {
    if (this.isEmpty) return false
    const { subscriber, grant } = this.next()
    subscriber.deliver(message, grant)
    return true
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
