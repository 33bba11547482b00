/**
 * What goes to a session's client, over connections: retained messages of new subscriptions, then what waits (deliveries.ts), and beside them, in turn,
 * replays (flow-replays.ts). All share packet ids and the client's receive maximum.
 */
import type { Grant, Message } from '../hub/message.ts'
import type { QoS } from '../packets/packet.ts'
import type { Replay } from '../replay/replay.ts'
import type { SessionReplays } from '../replay/session-replays.ts'
import { Deliveries, type Pump } from './deliveries.ts'
import { deliverable } from './delivery-fit.ts'
import type { DeliveryTable } from './delivery-table.ts'
import type { FlowOwner } from './flow-owner.ts'
import { FlowReplays } from './flow-replays.ts'
import type { Outgoing } from './outgoing.ts'
import { PacketIds } from './packet-ids.ts'
import { type RetainedFeed, RetainedFeeds } from './retained-feed.ts'
import type { SessionContext } from './session-context.ts'
import type { Shared } from './shared-returns.ts'

export class OutgoingFlow implements Pump {
  readonly #owner: FlowOwner
  readonly #table: DeliveryTable
  readonly #context: SessionContext
  readonly #ids = new PacketIds()
  readonly #deliveries: Deliveries
  /** Few sessions have any. */
  #replays: FlowReplays | null = null
  readonly feeds = new RetainedFeeds()
  #outgoing: Outgoing | null = null
  #isStarted = false
  /** Whose turn it is, the replays' or the table's. */
  #isReplaysTurn = false
  #isPumping = false

  constructor(owner: FlowOwner, table: DeliveryTable, context: SessionContext) {
    this.#owner = owner
    this.#table = table
    this.#context = context
    this.#deliveries = new Deliveries(owner, table, this.#ids, context, this)
  }

  get outgoing(): Outgoing | null {
    return this.#outgoing
  }
  /** CONNACK was sent. */
  get isStarted(): boolean {
    return this.#isStarted
  }
  /** Of the table. */
  get inFlight(): number {
    return this.#deliveries.inFlight
  }
  get replays(): SessionReplays {
    return this.#withReplays().all
  }
  get hasReplays(): boolean {
    return this.#replays !== null && this.#replays.count > 0
  }
  get inFlightOfReplays(): number {
    return this.#replays?.inFlight ?? 0
  }
  get lastPacketId(): number {
    return this.#ids.last
  }

  // -- connections --------------------------------------------------------------------------------------------------

  attach(outgoing: Outgoing): void {
    this.#outgoing = outgoing
    this.#isStarted = false
    this.#deliveries.begin()
  }

  detach(): void {
    this.#outgoing = null
    this.#isStarted = false
    this.#deliveries.rest()
    this.#replays?.rest()
    this.#ids.rest()
    this.feeds.rest()
  }

  start(): void {
    this.#isStarted = true
    this.pump()
  }

  /** Nothing is to be delivered any more. */
  end(): void {
    this.#deliveries.end()
    this.feeds.clear()
    this.#replays?.rest()
  }

  /** A message of QoS 1 or 2 that waits from now on, and is sent at once where nothing is before it. */
  add(message: Message, qos: QoS, isRetained: boolean, grant: Grant): void {
    this.#deliveries.add(message, qos, isRetained, grant, this.#outgoing !== null)
  }

  /** As `Deliveries.shared`. */
  shared(): Iterable<Shared> {
    return this.#deliveries.shared()
  }

  // -- what goes to the client --------------------------------------------------------------------------------------

  /** Sends what can be sent now. */
  pump(): void {
    if (!this.#isStarted || this.#isPumping) return
    this.#isPumping = true
    while (this.#outgoing !== null && this.#step(this.#outgoing)) {}
    this.#isPumping = false
  }

  /** @returns false where nothing more can be done now */
  #step(outgoing: Outgoing): boolean {
    const isReady = this.#deliveries.stepReady(outgoing)
    if (isReady !== null) return isReady
    const inFlight = this.inFlight + this.inFlightOfReplays
    const isFull = inFlight >= Math.min(outgoing.receiveMaximum, this.#context.limits.inFlightMax)
    const replays = this.#replays
    if (replays === null || replays.count === 0) return !isFull && this.#stepNew(outgoing)
    // neither may starve the other
    this.#isReplaysTurn = !this.#isReplaysTurn
    if (this.#isReplaysTurn && replays.step(outgoing, isFull)) return true
    if (!isFull && this.#stepNew(outgoing)) return true
    return !this.#isReplaysTurn && replays.step(outgoing, isFull)
  }

  #stepNew(outgoing: Outgoing): boolean {
    const feed = this.feeds.first
    return feed === null ? this.#deliveries.step(outgoing) : this.#stepFeed(outgoing, feed)
  }

  #stepFeed(outgoing: Outgoing, feed: RetainedFeed): boolean {
    const message = feed.peek()
    if (message === 'none') {
      const isLast = this.feeds.end(feed)
      if (isLast && this.#table.isStored) this.#owner.fed(feed.filter)
      return true
    }
    if (message === 'later') {
      void this.#loadFeed(feed)
      return false
    }
    const { qos: granted, identifier } = feed.subscription
    const identifiers = identifier === null ? [] : [identifier]
    const qos = Math.min(message.qos, granted) as QoS
    const left = deliverable(this.#context, outgoing, message, qos, identifiers)
    if (left === null) feed.shift()
    else if (qos === 0) {
      const delivery = { packetId: 0, qos, isDup: false, isRetained: true, identifiers }
      if (!outgoing.publish(left, delivery)) return false
      feed.shift()
    } else {
      if (!this.#deliveries.addFirst(outgoing, message, left, qos, identifiers)) return false
      feed.shift()
    }
    return true
  }

  async #loadFeed(feed: RetainedFeed): Promise<void> {
    if (feed.isLoading) return
    if (await feed.load()) this.pump()
    else this.#owner.stalled()
  }

  // -- what comes from the client -----------------------------------------------------------------------------------

  puback(packetId: number, _reasonCode: number): boolean {
    if (this.#replays?.has(packetId) === true) return this.#replays.puback(packetId)
    return this.#deliveries.puback(packetId)
  }

  pubrec(packetId: number, reasonCode: number): boolean {
    return this.#deliveries.pubrec(packetId, reasonCode)
  }

  pubcomp(packetId: number, _reasonCode: number): boolean {
    return this.#deliveries.pubcomp(packetId)
  }

  // -- from disk ----------------------------------------------------------------------------------------------------

  /** After all of it is loaded: packet ids are known. */
  loaded(lastPacketId: number): void {
    this.#ids.resume(lastPacketId)
    this.#deliveries.loaded()
  }

  /** One of a stored session. After `loaded`. */
  restoreReplay(replay: Replay): void {
    this.#withReplays().restore(replay)
  }

  #withReplays(): FlowReplays {
    this.#replays ??= new FlowReplays(this.#owner, this.#ids, this.#context, this)
    return this.#replays
  }
}
