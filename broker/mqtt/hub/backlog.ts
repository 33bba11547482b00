/**
 * What waits for a session, as its publishers feel it. A message of QoS 1 or 2 that goes to a queue which is half full waits, unread in its publisher's
 * connection, until the client has taken others. Who is waited for, and for how long, is decided elsewhere (session/patience.ts).
 *
 * The level of a queue is what stands in it and what is under way to it: admitted to a commit that is not on disk yet. So it holds to the message,
 * whatever number of publishers find room at the same time.
 */

/** What a message of QoS 1 or 2 meets on its way to subscribers: a session's queue, or a shared group's. */
export interface Pressure {
  /**
   * @param own what waits for the publisher itself
   * @returns what the message is to wait for, with `wait`; null: nothing
   */
  holds(own: Backlog | null): Backlog | null
  /** A message was admitted, and is under way. */
  expect(): void
  /** It is about to be handed over, or its commit has failed. */
  arrived(): void
}

/** The session, as its backlog needs it. */
export interface BacklogOwner {
  /** Messages of QoS 1 and 2 that were not sent yet. */
  readonly queued: number
  /** Its client is connected, and quick enough. */
  readonly isWaitedFor: boolean
  /** The first publisher waits; nobody waits any more. */
  awaited(isAwaited: boolean): void
}

/** A connection that waits. */
export interface HeldPublisher {
  /** What waits for itself: it answers nothing while it is not read. */
  readonly own: Backlog | null
  /** It goes on with what it has read, as far as there is room. */
  resume(): void
}

/** Publishers are let in when there is room for so many messages: not for each acknowledgement anew. */
const WAKE_MESSAGES_MAX = 64
/** Clients that wait for each other one after the other: a longer chain counts as a circle. */
const CHAIN_MAX = 100
/** Above half a queue sinks, and publishers do not stand still: so many come for each that goes. */
const CREDIT_OF_EACH = 0.75

export class Backlog implements Pressure {
  readonly #owner: BacklogOwner
  readonly #messagesMax: number
  readonly #holdFrom: number
  readonly #wakeFrom: number
  #underWay = 0
  #credit = 0
  /** In the order in which they came. */
  #waiting: HeldPublisher[] | null = null
  #isWaking = false
  #isLettingIn = false
  /** So many more of the one that was let in. */
  #turnLeft = 0
  /** What the session's own client waits for as a publisher. */
  #waitsFor: Backlog | null = null
  /** Deliveries that are over, since the start. */
  completed = 0

  /** @param messagesMax of the queue */
  constructor(owner: BacklogOwner, messagesMax: number) {
    this.#owner = owner
    this.#messagesMax = messagesMax
    this.#holdFrom = Math.max(1, Math.floor(messagesMax / 2))
    this.#wakeFrom = Math.min(WAKE_MESSAGES_MAX, Math.max(1, Math.floor(this.#holdFrom / 8)))
  }

  get queued(): number {
    return this.#owner.queued
  }
  get waiting(): number {
    return this.#waiting?.length ?? 0
  }
  /** Of this queue's half, half is free: who was too slow may be waited for again. */
  get isLow(): boolean {
    return this.#level < this.#holdFrom / 2
  }
  /** Messages that may come now. */
  get room(): number {
    const level = this.#level
    if (level < this.#holdFrom) return this.#holdFrom - level
    return level < this.#messagesMax ? Math.floor(this.#credit) : 0
  }
  /** The one who asks was let in just now. */
  get isTurn(): boolean {
    return this.#turnLeft > 0
  }
  /** Nobody came before the one who asks. */
  get isNext(): boolean {
    return this.isTurn || (this.#waiting === null && !this.#isLettingIn)
  }

  get #level(): number {
    return this.#owner.queued + this.#underWay
  }

  // -- of publishers ------------------------------------------------------------------------------------------------

  holds(own: Backlog | null): Backlog | null {
    return this.isNext && this.room > 0 ? null : this.holdsUp(own)
  }

  /** @returns this, where a publisher may be made to wait for it */
  holdsUp(own: Backlog | null): Backlog | null {
    return this.#owner.isWaitedFor && !this.#isCircle(own) ? this : null
  }

  /** Whoever waits here would wait, over others, for itself: a client's acknowledgements come behind its messages, on one connection. */
  #isCircle(own: Backlog | null): boolean {
    if (own === null) return false
    let at: Backlog | null = this
    for (let steps = 0; at !== null; at = at.#waitsFor) if (at === own || ++steps > CHAIN_MAX) return true
    return false
  }

  expect(): void {
    if (this.#turnLeft > 0) this.#turnLeft--
    if (this.#credit >= 1 && this.#level >= this.#holdFrom) this.#credit--
    this.#underWay++
  }

  arrived(): void {
    this.#underWay--
    this.wakeSoon()
  }

  /** Until `resume`; whoever came before goes first. */
  wait(publisher: HeldPublisher): void {
    if (publisher.own !== null) publisher.own.#waitsFor = this
    this.#waiting ??= []
    this.#waiting.push(publisher)
    if (this.#waiting.length === 1) this.#owner.awaited(true)
  }

  /** Its connection has ended. */
  leave(publisher: HeldPublisher): void {
    this.#letGo(publisher)
    if (this.#waiting === null) return
    this.#waiting = this.#waiting.filter((other) => other !== publisher)
    if (this.#waiting.length === 0) this.#nobodyWaits()
    else this.wakeSoon()
  }

  #nobodyWaits(): void {
    this.#waiting = null
    this.#owner.awaited(false)
  }

  #letGo({ own }: HeldPublisher): void {
    if (own !== null && own.#waitsFor === this) own.#waitsFor = null
  }

  // -- of the session -----------------------------------------------------------------------------------------------

  /** A delivery is over. */
  progressed(): void {
    this.completed++
    if (this.#waiting === null) return
    this.#credit = this.#level < this.#holdFrom ? 0 : Math.min(this.#credit + CREDIT_OF_EACH, this.#wakeFrom)
    this.wakeSoon()
  }

  /** Once a turn of the event loop, after all that it brings. */
  wakeSoon(): void {
    if (this.#waiting === null || this.#isWaking) return
    this.#isWaking = true
    setImmediate(() => {
      this.#isWaking = false
      this.#wake()
    })
  }

  /** Room is shared: each of those that waited longest gets as much. */
  #wake(): void {
    const { room } = this
    if (this.#waiting === null || room < this.#wakeFrom) return
    const woken = this.#waiting.splice(0, room)
    const others = this.#waiting.length
    if (others === 0) this.#waiting = null
    const share = Math.floor(room / woken.length)
    this.#isLettingIn = true
    for (const publisher of woken) {
      this.#letGo(publisher)
      this.#turnLeft = share
      publisher.resume()
    }
    this.#turnLeft = 0
    this.#isLettingIn = false
    if (this.#waiting === null) this.#owner.awaited(false)
    // who was let in had perhaps nothing to send
    else if (others > 0) this.wakeSoon()
  }

  /** It is not waited for any more: everybody goes on. */
  release(): void {
    const waiting = this.#waiting
    if (waiting === null) return
    this.#credit = 0
    this.#nobodyWaits()
    for (const publisher of waiting) {
      this.#letGo(publisher)
      publisher.resume()
    }
  }
}
