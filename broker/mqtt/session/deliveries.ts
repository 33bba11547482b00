/**
 * Deliveries of QoS 1 and 2 of a session to its client, over connections.
 *
 * Everything stands in the delivery table from the moment at which the hub hands it over until the client has acknowledged it, in order.
 * `#next` goes through the table once a connection: what was sent on an earlier one comes first and is sent again [MQTT-4.4.0-1], with its
 * packet id; the rest follows as the client's receive maximum allows. Messages that are not in memory are read back from the log on the
 * way, some at a time.
 */
import type { Grant, Message } from '../hub/message.ts'
import type { QoS } from '../packets/packet.ts'
import { Reason, violation } from '../packets/protocol-error.ts'
import { deliverable } from './delivery-fit.ts'
import { type DeliveryTable, INLINE } from './delivery-table.ts'
import type { FlowOwner } from './flow-owner.ts'
import { HeldMessages } from './held-messages.ts'
import { Intake } from './intake.ts'
import type { Outgoing } from './outgoing.ts'
import { OF_REPLAY, type PacketIds } from './packet-ids.ts'
import { Qos2Facts } from './qos2-facts.ts'
import { ReadBack } from './read-back.ts'
import { Receipts } from './receipts.ts'
import type { SessionContext } from './session-context.ts'
import type { Shared } from './shared-returns.ts'

/** A packet on its way to the connection: PUBREL where there is no message. */
interface Unsent {
  readonly seq: number
  readonly message: Message | null
  readonly isDup: boolean
  /** What it says is on disk. */
  isReady: boolean
}

/** What all of it goes through. */
export interface Pump {
  /** Sends what can be sent now. */
  pump(): void
}

export class Deliveries {
  readonly #owner: FlowOwner
  readonly #table: DeliveryTable
  readonly #context: SessionContext
  readonly #ids: PacketIds
  readonly #intake: Intake
  readonly #facts: Qos2Facts
  readonly #held: HeldMessages
  #reading: ReadBack | null = null
  #receipts: Receipts | null = null
  readonly #flow: Pump
  /** Changes with each connection: what an earlier one waited for does not concern this one. */
  #epoch = 0
  /** The next number in the table to be looked at on this connection. */
  #next = 0
  /** Waits for its packet id or its release to be on disk, or is behind one that waits. */
  #unsent: Unsent[] = []
  /** Handed over in this turn: sent without being held where nothing is before it. */
  #fresh: Message | null = null
  #freshSeq = -1
  /** Sent on this connection and not acknowledged. */
  inFlight = 0

  constructor(owner: FlowOwner, table: DeliveryTable, ids: PacketIds, context: SessionContext, flow: Pump) {
    this.#owner = owner
    this.#table = table
    this.#ids = ids
    this.#context = context
    this.#flow = flow
    this.#intake = new Intake(owner, table, context)
    this.#facts = new Qos2Facts(owner.number, table, context.store)
    this.#held = new HeldMessages(context.limits, context.held)
  }

  /** A connection begins. */
  begin(): void {
    this.#epoch++
    this.#next = this.#table.head
    this.inFlight = 0
    this.#unsent = []
    for (const seq of this.#ids.seqs()) this.#table.setUnsent(seq)
  }

  /** It has ended: nothing is held but what the next one needs. */
  rest(): void {
    this.begin()
    this.#held.clear()
    this.#receipts?.end()
    this.#table.rest()
    this.#facts.rest()
  }

  /**
   * What others of its shared subscriptions may have once it is over: QoS 1, and QoS 2 that was not sent [MQTT-4.8.2-5]. What no stream takes is not
   * among it: it is not in the log.
   */
  *shared(): Generator<Shared, void, void> {
    const table = this.#table
    for (const seq of table.live()) {
      const group = table.groupOf(seq)
      const qos = table.qosOf(seq)
      if (group === undefined || (qos === 2 && table.isTried(seq))) continue
      const partition = table.partitionOf(seq)
      if (partition !== INLINE) yield { group, qos, partition, offset: table.offsetOf(seq) }
    }
  }

  /** Nothing is to be delivered any more. */
  end(): void {
    for (const seq of this.#table.live()) this.#release(seq)
  }

  // -- what comes in ------------------------------------------------------------------------------------------------

  /** A message that waits from now on, and is sent at once where nothing is before it. @param isOnline somebody may take it */
  add(
    message: Message,
    qos: QoS,
    isRetained: boolean,
    { identifiers, group }: Grant,
    isOnline: boolean,
  ): void {
    const intake = this.#intake
    // of a session that is not stored what is sent need not be held: it is not sent again
    const isHeldLater = message.place === null && !this.#table.isStored && isOnline
    const seq = isHeldLater
      ? intake.addUnheld(qos, isRetained, identifiers)
      : intake.add(message, qos, isRetained, identifiers, group)
    if (seq < 0 || !isOnline) return
    if (message.receipt !== undefined) {
      this.#receipts ??= new Receipts()
      this.#receipts.expect(seq, message.receipt)
    }
    this.#fresh = message
    this.#freshSeq = seq
    this.#flow.pump()
    this.#fresh = null
    if (this.#next > seq || !this.#table.isLive(seq)) return
    if (isHeldLater && !intake.hold(seq, message)) this.#complete(seq)
    else this.#held.hold(seq, message)
  }

  /**
   * A retained message, which goes before what waits.
   * @param left it, with what is left of its expiry
   * @returns false where it was not taken: it is to be handed over again
   */
  addFirst(
    outgoing: Outgoing,
    message: Message,
    left: Message,
    qos: QoS,
    identifiers: readonly number[],
  ): boolean {
    const seq = this.#intake.addRetained(message, qos, identifiers)
    if (seq < 0 || this.#send(outgoing, seq, left)) return true
    this.#release(seq)
    this.#table.remove(seq)
    return false
  }

  #messageOf(seq: number): Message | undefined {
    return seq === this.#freshSeq && this.#fresh !== null ? this.#fresh : this.#held.get(seq)
  }

  // -- what goes to the client --------------------------------------------------------------------------------------

  /** What waited for the disk, if that is done. @returns null where nothing is ready; false where it cannot be sent now */
  stepReady(outgoing: Outgoing): boolean | null {
    const unsent = this.#unsent[0]
    if (unsent?.isReady !== true) return null
    if (this.#table.isLive(unsent.seq) && !this.#sendLate(outgoing, unsent)) return false
    this.#unsent.shift()
    return true
  }

  /** The next of the table. @returns false where nothing more can be sent now */
  step(outgoing: Outgoing): boolean {
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
    this.inFlight++
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
        this.#flow.pump()
      },
      () => {
        if (epoch !== this.#epoch) return
        this.#owner.close(Reason.serverUnavailable, 'the state of its session cannot be written')
      },
    )
  }

  // -- reading back -------------------------------------------------------------------------------------------------

  async #readBack(from: number): Promise<void> {
    this.#reading ??= new ReadBack(this.#table, this.#held, this.#context.loader)
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
    this.#flow.pump()
  }

  // -- what comes from the client -----------------------------------------------------------------------------------

  puback(packetId: number): boolean {
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
    } else this.#flow.pump()
    return true
  }

  pubcomp(packetId: number): boolean {
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
    this.#flow.pump()
  }

  #complete(seq: number): void {
    const packetId = this.#table.packetIdOf(seq)
    if (packetId !== 0) this.#ids.delete(packetId)
    if (this.#table.isSent(seq)) this.inFlight--
    this.#held.drop(seq)
    this.#facts.forget(seq)
    this.#release(seq)
    this.#table.remove(seq)
    this.#owner.progressed()
  }

  /** What else knows of it. */
  #release(seq: number): void {
    const table = this.#table
    this.#receipts?.came(seq)
    const partition = table.partitionOf(seq)
    const offset = table.offsetOf(seq)
    if (table.isFact(seq)) this.#context.finished(this.#facts.keyOf(seq))
    if (partition === INLINE) this.#context.inline.release(offset, this.#owner)
    this.#owner.changed()
  }

  /** After all of it is loaded: packet ids are known. Of two deliveries under one id the later one is under way, the earlier was over. */
  loaded(): void {
    const table = this.#table
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
