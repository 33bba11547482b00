/**
 * What goes to a session's client and what it answers: QoS 1 and 2, over connections.
 *
 * Everything stands in the delivery table from the moment at which the hub hands it over until the client has acknowledged it, in order.
 * `#next` goes through the table once a connection: what was sent on an earlier one comes first and is sent again [MQTT-4.4.0-1], with its
 * packet id; the rest follows as the client's receive maximum allows. Messages that are not in memory are read back from the log on the
 * way, some at a time. Retained messages of a new subscription go before what waits.
 */
import type { Message } from '../hub/message.ts'
import type { QoS } from '../packets/packet.ts'
import { Reason, type ReasonCode, violation } from '../packets/protocol-error.ts'
import type { Replay } from '../replay/replay.ts'
import { type ReplayFlow, SessionReplays } from '../replay/session-replays.ts'
import { deliverable } from './delivery-fit.ts'
import { type DeliveryTable, INLINE } from './delivery-table.ts'
import { HeldMessages } from './held-messages.ts'
import type { Outgoing } from './outgoing.ts'
import { OF_REPLAY, PacketIds } from './packet-ids.ts'
import { Qos2Facts } from './qos2-facts.ts'
import { ReadBack } from './read-back.ts'
import { Receipts } from './receipts.ts'
import { type RetainedFeed, RetainedFeeds } from './retained-feed.ts'
import type { SessionContext } from './session-context.ts'

/** The session, as its flow needs it. */
export interface FlowOwner {
  readonly clientId: string
  readonly number: number
  /** Something in the table, or a replay's position, has changed. */
  changed(): void
  /** Messages cannot be read now: `pump` is called later. */
  stalled(): void
  /** All retained messages of a subscription are in the table, or delivered. */
  fed(filter: string): void
  /** A delivery is over. */
  progressed(): void
  close(reason: ReasonCode, text: string): void
}

/** In the place of the number of a message that no stream holds: it is sent, and not again. */
const NOT_HELD = 0

/** A packet on its way to the connection: PUBREL where there is no message. */
interface Unsent {
  readonly seq: number
  readonly message: Message | null
  readonly isDup: boolean
  /** What it says is on disk. */
  isReady: boolean
}

export class OutgoingFlow implements ReplayFlow {
  readonly #owner: FlowOwner
  readonly #table: DeliveryTable
  readonly #context: SessionContext
  readonly #ids = new PacketIds()
  readonly #facts: Qos2Facts
  readonly #held: HeldMessages
  readonly #reading: ReadBack
  #outgoing: Outgoing | null = null
  #isStarted = false
  /** Changes with each connection: what an earlier one waited for does not concern this one. */
  #epoch = 0
  /** The next number in the table to be looked at on this connection. */
  #next = 0
  /** Sent on this connection and not acknowledged. */
  #inFlight = 0
  /** Waits for its packet id or its release to be on disk, or is behind one that waits. */
  #unsent: Unsent[] = []
  /** Handed over in this turn: sent without being held where nothing is before it. */
  #fresh: Message | null = null
  #freshSeq = -1
  /** Retained messages of new subscriptions: they go to the client before what waits. */
  readonly feeds = new RetainedFeeds()
  #replays: SessionReplays | null = null
  /** Whose turn it is, the replays' or the table's. */
  #isReplaysTurn = false
  readonly #receipts = new Receipts()
  #isPumping = false

  constructor(owner: FlowOwner, table: DeliveryTable, context: SessionContext) {
    this.#owner = owner
    this.#table = table
    this.#context = context
    this.#facts = new Qos2Facts(owner.number, table, context.store)
    this.#held = new HeldMessages(context.limits, context.held)
    this.#reading = new ReadBack(table, this.#held, context.loader)
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
    return this.#inFlight
  }
  get replays(): SessionReplays {
    this.#replays ??= new SessionReplays(this)
    return this.#replays
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
    this.#epoch++
    this.#outgoing = outgoing
    this.#isStarted = false
    this.#begin()
  }

  detach(): void {
    this.#epoch++
    this.#outgoing = null
    this.#isStarted = false
    this.#begin()
    this.#held.clear()
    this.#receipts.end()
    this.#replays?.rest()
    this.#table.rest()
    this.#ids.rest()
    this.#facts.rest()
    this.feeds.rest()
  }

  #begin(): void {
    this.#next = this.#table.head
    this.#inFlight = 0
    this.#unsent = []
    for (const seq of this.#ids.seqs()) this.#table.setUnsent(seq)
  }

  start(): void {
    this.#isStarted = true
    this.pump()
  }

  /** Nothing is to be delivered any more. */
  end(): void {
    for (const seq of this.#table.live()) this.#release(seq)
    this.feeds.clear()
    this.#replays?.rest()
  }

  // -- what comes in ------------------------------------------------------------------------------------------------

  /** A message of QoS 1 or 2 that waits from now on, and is sent at once where nothing is before it. */
  add(message: Message, qos: QoS, isRetained: boolean, identifiers: readonly number[]): void {
    // of a session that is not stored what is sent need not be held: it is not sent again
    const isHeldLater = message.place === null && !this.#table.isStored && this.#outgoing !== null
    const seq = isHeldLater
      ? this.#appendAt(INLINE, NOT_HELD, qos, isRetained, identifiers)
      : this.#append(message, qos, isRetained, identifiers)
    if (seq < 0 || this.#outgoing === null) return
    if (message.receipt !== undefined) this.#receipts.expect(seq, message.receipt)
    this.#fresh = message
    this.#freshSeq = seq
    this.pump()
    this.#fresh = null
    if (this.#next > seq || !this.#table.isLive(seq)) return
    if (isHeldLater && !this.#holdUnsent(seq, message)) return
    this.#held.hold(seq, message)
  }

  #holdUnsent(seq: number, message: Message): boolean {
    const number = this.#context.inline.hold(message, false, this.#owner)
    if (number !== null) this.#table.setOffset(seq, number)
    else {
      this.#context.drops.count('inlineFull')
      this.#complete(seq)
    }
    return number !== null
  }

  /** @returns its number in the table; -1 where there is no room */
  #append(message: Message, qos: QoS, isRetained: boolean, identifiers: readonly number[]): number {
    const { inline, drops } = this.#context
    const { place } = message
    if (place !== null) return this.#appendAt(place.partition.id, place.offset, qos, isRetained, identifiers)
    const number = inline.hold(message, this.#table.isStored, this.#owner)
    if (number !== null) return this.#appendAt(INLINE, number, qos, isRetained, identifiers)
    drops.count('inlineFull')
    return -1
  }

  #appendAt(
    partition: number,
    offset: number,
    qos: QoS,
    isRetained: boolean,
    identifiers: readonly number[],
  ): number {
    const seq = this.#table.append({ partition, offset, qos, isRetained, identifiers })
    this.#owner.changed()
    return seq
  }

  /**
   * A retained message outlives its record: what has to be sent again is not read from the log. Of QoS 2 each delivery has a copy of its own,
   * because a fact has its message's place for a name. Where there is no room for one the record has to do.
   */
  #appendRetained(message: Message, qos: QoS, identifiers: readonly number[]): number {
    if (!this.#table.isStored) return this.#appendAt(INLINE, NOT_HELD, qos, true, identifiers)
    if (message.place !== null) {
      const number = this.#context.inline.holdCopy(message, qos === 1, this.#owner)
      if (number !== null) return this.#appendAt(INLINE, number, qos, true, identifiers)
    }
    return this.#append(message, qos, true, identifiers)
  }

  #messageOf(seq: number): Message | undefined {
    return seq === this.#freshSeq && this.#fresh !== null ? this.#fresh : this.#held.get(seq)
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
    const unsent = this.#unsent[0]
    if (unsent?.isReady === true) {
      if (this.#table.isLive(unsent.seq) && !this.#sendLate(outgoing, unsent)) return false
      this.#unsent.shift()
      return true
    }
    const inFlight = this.#inFlight + this.inFlightOfReplays
    const isFull = inFlight >= Math.min(outgoing.receiveMaximum, this.#context.limits.inFlightMax)
    if (this.#replays === null || this.#replays.count === 0) return !isFull && this.#stepNew(outgoing)
    // neither may starve the other
    this.#isReplaysTurn = !this.#isReplaysTurn
    if (this.#isReplaysTurn && this.#replays.step(outgoing, isFull)) return true
    if (!isFull && this.#stepNew(outgoing)) return true
    return !this.#isReplaysTurn && this.#replays.step(outgoing, isFull)
  }

  #stepNew(outgoing: Outgoing): boolean {
    const feed = this.feeds.first
    return feed === null ? this.#stepTable(outgoing) : this.#stepFeed(outgoing, feed)
  }

  #stepTable(outgoing: Outgoing): boolean {
    const table = this.#table
    if (this.#next < table.head) this.#next = table.head
    const seq = this.#next
    if (seq >= table.tail) return false
    if (!table.isLive(seq) || table.isSent(seq)) {
      this.#next++
      return true
    }
    if (table.isReleased(seq)) return this.#sendRelease(outgoing, seq)
    const message = this.#messageOf(seq)
    if (message === undefined) {
      void this.#readBack(seq)
      return false
    }
    const left = deliverable(this.#context, outgoing, message, table.qosOf(seq), table.identifiersOf(seq))
    if (left === null) {
      this.#next++
      this.#complete(seq)
      return true
    }
    return this.#send(outgoing, seq, left)
  }

  /**
   * At once, or, of QoS 2 where the session is stored, once its packet id is on disk. What comes behind one that waits keeps behind it
   * [MQTT-4.6.0-6].
   */
  #send(outgoing: Outgoing, seq: number, message: Message): boolean {
    const table = this.#table
    const packetId = table.packetIdOf(seq) === 0 ? this.#ids.next() : table.packetIdOf(seq)
    const isDup = table.isTried(seq)
    const isForDisk = table.qosOf(seq) === 2 && this.#table.isStored && !this.#facts.isSafe(seq)
    if (!isForDisk && this.#unsent.length === 0) {
      if (!this.#publish(outgoing, seq, message, packetId, isDup)) return false
      this.#passed(seq, packetId)
      return true
    }
    this.#passed(seq, packetId)
    const unsent = { seq, message, isDup, isReady: !isForDisk }
    this.#unsent.push(unsent)
    if (!isForDisk) return true
    if (!table.isFact(seq)) this.#facts.put(seq)
    this.#onceOnDisk(unsent)
    return true
  }

  /** PUBREC came on an earlier connection. */
  #sendRelease(outgoing: Outgoing, seq: number): boolean {
    const table = this.#table
    const packetId = table.packetIdOf(seq)
    const isForDisk = this.#table.isStored && !this.#facts.isSafe(seq)
    if (!isForDisk && !outgoing.pubrel(packetId)) return false
    this.#passed(seq, packetId)
    if (!isForDisk) return true
    const unsent = { seq, message: null, isDup: false, isReady: false }
    this.#unsent.push(unsent)
    this.#onceOnDisk(unsent)
    return true
  }

  #publish(outgoing: Outgoing, seq: number, message: Message, packetId: number, isDup: boolean): boolean {
    const table = this.#table
    return outgoing.publish(message, {
      packetId,
      qos: table.qosOf(seq),
      isDup,
      isRetained: table.isRetained(seq),
      identifiers: table.identifiersOf(seq),
    })
  }

  #sendLate(outgoing: Outgoing, { seq, message, isDup }: Unsent): boolean {
    const packetId = this.#table.packetIdOf(seq)
    if (message === null) return outgoing.pubrel(packetId)
    return this.#publish(outgoing, seq, message, packetId, isDup)
  }

  #passed(seq: number, packetId: number): void {
    this.#ids.set(packetId, seq)
    this.#table.setSent(seq, packetId)
    this.#inFlight++
    this.#held.drop(seq)
    this.#owner.changed()
    if (seq === this.#next) this.#next++
  }

  #onceOnDisk(unsent: Unsent): void {
    const epoch = this.#epoch
    this.#facts.settled(unsent.seq).then(
      () => {
        if (epoch !== this.#epoch) return
        unsent.isReady = true
        this.pump()
      },
      () => {
        if (epoch !== this.#epoch) return
        this.#owner.close(Reason.serverUnavailable, 'the state of its session cannot be written')
      },
    )
  }

  // -- reading back -------------------------------------------------------------------------------------------------

  async #readBack(from: number): Promise<void> {
    if (this.#reading.isUnderWay) return
    const epoch = this.#epoch
    try {
      for (const seq of await this.#reading.read(from, () => epoch === this.#epoch)) {
        this.#context.drops.count('gone')
        this.#complete(seq)
      }
    } catch {
      this.#owner.stalled()
      return
    }
    this.pump()
  }

  // -- retained messages --------------------------------------------------------------------------------------------

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
      const seq = this.#appendRetained(message, qos, identifiers)
      if (seq >= 0 && !this.#send(outgoing, seq, left)) {
        // it was not taken: the feed brings it again
        this.#release(seq)
        this.#table.remove(seq)
        return false
      }
      feed.shift()
    }
    return true
  }

  async #loadFeed(feed: RetainedFeed): Promise<void> {
    if (feed.isLoading) return
    if (await feed.load()) this.pump()
    else this.#owner.stalled()
  }

  // -- replays ------------------------------------------------------------------------------------------------------

  get clientId(): string {
    return this.#owner.clientId
  }

  takeId(): number {
    const packetId = this.#ids.next()
    this.#ids.set(packetId, OF_REPLAY)
    return packetId
  }

  freeId(packetId: number): void {
    if (this.#ids.seqOf(packetId) === OF_REPLAY) this.#ids.delete(packetId)
  }

  fitted(outgoing: Outgoing, message: Message, qos: QoS, identifiers: readonly number[]): Message | null {
    return deliverable(this.#context, outgoing, message, qos, identifiers)
  }

  changed(): void {
    this.#owner.changed()
  }

  stalled(): void {
    this.#owner.stalled()
  }

  /** One of a stored session. After `loaded`: a packet id that a delivery of the table has was free again, and a message is new then. */
  restoreReplay(replay: Replay): void {
    for (const sent of replay.position.unacked) {
      if (this.#ids.seqOf(sent.packetId) === undefined) this.#ids.set(sent.packetId, OF_REPLAY)
      else replay.acknowledged(sent.packetId)
    }
    this.replays.add(replay)
  }

  // -- what comes from the client -----------------------------------------------------------------------------------

  puback(packetId: number, _reasonCode: number): boolean {
    if (this.#ids.seqOf(packetId) === OF_REPLAY) {
      const isSent = this.replays.puback(packetId)
      if (isSent) this.pump()
      return isSent
    }
    const seq = this.#sentAs(packetId, 1)
    if (seq < 0) return false
    this.#acknowledged(seq)
    return true
  }

  pubrec(packetId: number, reasonCode: number): boolean {
    const seq = this.#sentAs(packetId, 2)
    if (seq < 0) return false
    // it has the message from an earlier connection: it must not get it again after PUBREL
    if (!this.#table.isSent(seq)) this.#passed(seq, packetId)
    // the client does not want it: that ends the delivery [MQTT 5, section 4.3.3]
    if (reasonCode >= 0x80) {
      this.#acknowledged(seq)
      return true
    }
    this.#table.setReleased(seq)
    this.#owner.changed()
    const isForDisk = this.#table.isFact(seq) && this.#table.isStored
    const released = { seq, message: null, isDup: false, isReady: !isForDisk }
    this.#unsent.push(released)
    if (isForDisk) {
      this.#facts.put(seq)
      this.#onceOnDisk(released)
    } else this.pump()
    return true
  }

  pubcomp(packetId: number, _reasonCode: number): boolean {
    const seq = this.#sentAs(packetId, 2)
    if (seq < 0) return false
    if (!this.#table.isReleased(seq)) throw violation('MQTT-4.3.3-3', 'a PUBCOMP before PUBREL')
    this.#acknowledged(seq)
    return true
  }

  /**
   * An answer can be one to what went out on an earlier connection, and come before it has gone out again: some clients keep answers for
   * the next connection. A packet id stands for one message until that is over, so it counts.
   * @returns the number of what went under this id; -1 where there is none
   * @throws MqttProtocolError where the answer is one to another QoS
   */
  #sentAs(packetId: number, qos: QoS): number {
    const seq = this.#ids.seqOf(packetId)
    if (seq === OF_REPLAY) throw violation('MQTT-4.3.2-3', 'an acknowledgement of another QoS')
    if (seq === undefined) return -1
    if (this.#table.qosOf(seq) !== qos) throw violation('MQTT-4.3.2-3', 'an acknowledgement of another QoS')
    return seq
  }

  #acknowledged(seq: number): void {
    this.#complete(seq)
    this.pump()
  }

  #complete(seq: number): void {
    const packetId = this.#table.packetIdOf(seq)
    if (packetId !== 0) this.#ids.delete(packetId)
    if (this.#table.isSent(seq)) this.#inFlight--
    this.#held.drop(seq)
    this.#facts.forget(seq)
    this.#release(seq)
    this.#table.remove(seq)
    this.#owner.progressed()
  }

  /** What else knows of it. */
  #release(seq: number): void {
    const table = this.#table
    this.#receipts.came(seq)
    const partition = table.partitionOf(seq)
    const offset = table.offsetOf(seq)
    if (table.isFact(seq)) this.#context.finished(this.#facts.keyOf(seq))
    if (partition === INLINE) this.#context.inline.release(offset, this.#owner)
    this.#owner.changed()
  }

  /** After all of it is loaded: packet ids are known. Of two deliveries under one id the later one is under way, the earlier was over. */
  loaded(lastPacketId: number): void {
    const table = this.#table
    this.#ids.resume(lastPacketId)
    for (const seq of [...table.live()]) {
      const isInline = table.partitionOf(seq) === INLINE
      if (isInline && !this.#context.inline.hasHeld(table.offsetOf(seq), this.#owner)) {
        table.remove(seq)
        continue
      }
      const packetId = table.packetIdOf(seq)
      if (packetId === 0) continue
      table.setUnsent(seq)
      const earlier = this.#ids.seqOf(packetId)
      if (earlier !== undefined) {
        this.#release(earlier)
        table.remove(earlier)
      }
      this.#ids.set(packetId, seq)
    }
    this.#next = table.head
  }
}
