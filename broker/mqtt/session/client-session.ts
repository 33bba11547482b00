/**
 * A client's session: its subscriptions, and what goes to it. It lives on over connections, and over restarts where its expiry is more
 * than nothing (`isStored`).
 *
 * Everything of QoS 1 and 2 stands in the delivery table from the moment at which the hub hands it over until the client has acknowledged
 * it, in order. `#next` goes through the table once a connection: what was sent on an earlier one comes first and is sent again
 * [MQTT-4.4.0-1], with its packet id; the rest follows as the client's receive maximum allows. Messages that are not in memory are read
 * back from the log on the way, some at a time.
 */
import { assert } from '../../assert.ts'
import type { Grant, Message, Receipt, Subscriber } from '../hub/message.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { QoS } from '../packets/packet.ts'
import { Reason, type ReasonCode, violation } from '../packets/protocol-error.ts'
import { DeliveryTable, INLINE } from './delivery-table.ts'
import type { Drops } from './drops.ts'
import type { InlineMessages } from './inline-messages.ts'
import type { SessionLimits } from './limits.ts'
import { withExpiryLeft } from './message-expiry.ts'
import type { MessageLoader, Reference } from './message-loader.ts'
import type { Outgoing } from './outgoing.ts'
import { publishBytes } from './publish-size.ts'
import type { RetainedFeed } from './retained-feed.ts'
import type { Session } from './session.ts'
import { chunkKey, encodeQos2, qos2Key } from './state-format.ts'
import type { StateStore } from './state-store.ts'

/** What all sessions share. */
export interface SessionContext {
  readonly limits: SessionLimits
  readonly drops: Drops
  readonly store: StateStore
  readonly inline: InlineMessages
  readonly loader: MessageLoader
  /** Bytes of messages held in memory by all sessions. */
  readonly held: { bytes: number }
  /** ms since 1970, the clock of messages' timestamps. */
  now(): number
  /** Something of a stored session is to be written with the next checkpoint: `build` is called then. */
  changed(session: ClientSession): void
  /** A QoS 2 delivery is over: its fact goes with the next checkpoint, whose positions cover the message. */
  finished(key: Buffer): void
  /** Messages cannot be read now: `retry` is called later. */
  stalled(session: ClientSession): void
  queueFull(session: ClientSession): void
  /** The session has closed its connection: it counts as lost. */
  closed(link: Session): void
  /** All retained messages of a subscription are in the table. */
  fed(session: ClientSession, filter: string): void
}

/** Read back from the log at once. */
const LOAD_MESSAGES_MAX = 64
const LOAD_BYTES_MAX = 64 * 1024
const PACKET_ID_MAX = 65_535

/** A packet on its way to the connection: PUBREL where there is no message. */
interface Unsent {
  readonly seq: number
  readonly message: Message | null
  readonly isDup: boolean
  /** What it says is on disk. */
  isReady: boolean
}

export class ClientSession implements Subscriber {
  readonly clientId: string
  /** Its name in the store; never used again. */
  readonly number: number
  readonly #context: SessionContext
  expirySeconds: number
  /** By `filterText`. */
  readonly subscriptions = new Map<string, Subscription>()
  readonly table: DeliveryTable
  /** The connection's hold on it. */
  link: Session | null = null
  #outgoing: Outgoing | null = null
  #isStarted = false
  /** Changes with each connection: what an earlier one waited for does not concern this one. */
  #epoch = 0
  /** Of the packet ids in use. */
  #seqOf: Map<number, number> | null = null
  #lastId = 0
  /** The next number in the table to be looked at on this connection. */
  #next = 0
  /** Sent on this connection and not acknowledged. */
  #inFlight = 0
  /** Waits for its packet id or its release to be on disk, or is behind one that waits. */
  #unsent: Unsent[] = []
  /** Facts that were put, and of which it is not known yet that they are on disk. */
  #unsafe: Set<number> | null = null
  #held: Map<number, Message> | null = null
  #heldBytes = 0
  /** Handed over in this turn: sent without being held where nothing is before it. */
  #fresh: Message | null = null
  #freshSeq = -1
  #feeds: RetainedFeed[] | null = null
  /** Who waits for the acknowledgement of what came while the client was connected. */
  #receipts: Map<number, Receipt> | null = null
  #isLoading = false
  #isPumping = false
  #isOverflown = false
  /** Waits for the next checkpoint. */
  #isListed = false
  /** Places of QoS 2 deliveries found at start: a replay must not bring them again. */
  #known: Set<string> | null = null

  constructor(clientId: string, number: number, expirySeconds: number, context: SessionContext) {
    this.clientId = clientId
    this.number = number
    this.expirySeconds = expirySeconds
    this.#context = context
    this.table = new DeliveryTable(expirySeconds > 0)
  }

  get isOnline(): boolean {
    return this.#outgoing !== null
  }
  get isStored(): boolean {
    return this.table.isStored
  }
  get outgoing(): Outgoing | null {
    return this.#outgoing
  }
  /** Not sent yet, or not on this connection. */
  get queued(): number {
    return this.table.count - this.#inFlight
  }
  get inFlight(): number {
    return this.#inFlight
  }

  // -- connections --------------------------------------------------------------------------------------------------

  /** A connection has it from now on; nothing is sent before `start`. */
  attach(link: Session, outgoing: Outgoing): void {
    assert(this.#outgoing === null, 'a session has one connection at a time')
    this.#epoch++
    this.link = link
    this.#outgoing = outgoing
    this.#isStarted = false
    this.#isOverflown = false
    this.#begin()
  }

  #begin(): void {
    this.#next = this.table.head
    this.#inFlight = 0
    this.#unsent = []
    if (this.#seqOf !== null) for (const seq of this.#seqOf.values()) this.table.setUnsent(seq)
  }

  detach(): void {
    this.#epoch++
    this.link?.detach()
    this.link = null
    this.#outgoing = null
    this.#isStarted = false
    this.#begin()
    this.#letGo()
    // nobody waits for a client that is gone: it gets what it has missed once it is back
    for (const receipt of this.#receipts?.values() ?? []) receipt.came()
    this.#receipts = null
    this.table.rest()
    if (this.#seqOf?.size === 0) this.#seqOf = null
    if (this.#unsafe?.size === 0) this.#unsafe = null
    for (const feed of this.#feeds ?? []) feed.rest()
  }

  /** CONNACK is sent, or there is room. */
  start(): void {
    this.#isStarted = true
    this.pump()
  }

  /** It is stored from now on, or not any more. */
  setExpiry(seconds: number): void {
    this.expirySeconds = seconds
    const isStored = seconds > 0
    if (isStored === this.isStored) return
    this.table.setStored(isStored)
    if (!isStored) return
    for (const seq of this.table.live()) {
      if (this.table.partitionOf(seq) === INLINE) this.#context.inline.want(this.table.offsetOf(seq))
    }
  }

  /** It is over: nothing of it is to be delivered. */
  end(): void {
    if (this.#outgoing !== null || this.link !== null) this.detach()
    for (const seq of this.table.live()) this.#release(seq)
    this.#feeds = null
  }

  // -- what comes from the hub --------------------------------------------------------------------------------------

  deliver(message: Message, grant: Grant): void {
    const qos = Math.min(message.qos, grant.qos) as QoS
    const isRetained = grant.isRetainAsPublished && message.isRetained
    if (qos === 0) {
      if (this.#isStarted) this.#deliverAtOnce(message, isRetained, grant.identifiers)
      return
    }
    if (this.#isOverflown || (this.#outgoing === null && !this.isStored) || this.#isKnown(message)) return
    if (this.queued >= this.#context.limits.queuedMessagesMax) {
      this.#overflow()
      return
    }
    const seq = this.#append(message, qos, isRetained, grant.identifiers)
    if (seq < 0 || this.#outgoing === null) return
    if (message.receipt !== undefined) this.#expect(seq, message.receipt)
    this.#fresh = message
    this.#freshSeq = seq
    this.pump()
    this.#fresh = null
    if (this.#next <= seq && this.table.isLive(seq)) this.#hold(seq, message)
  }

  #expect(seq: number, receipt: Receipt): void {
    this.#receipts ??= new Map()
    this.#receipts.set(seq, receipt)
    receipt.expect()
  }

  #deliverAtOnce(message: Message, isRetained: boolean, identifiers: readonly number[]): void {
    const { drops, now } = this.#context
    const left = withExpiryLeft(message, now())
    if (left === null) drops.count('expired')
    else if (!this.#fits(left, 0, identifiers)) drops.count('tooLarge')
    else if (!this.#outgoing!.publish(left, { packetId: 0, qos: 0, isDup: false, isRetained, identifiers })) {
      drops.count('outboxFull')
    }
  }

  /** @returns its number in the table; -1 where there is no room */
  #append(message: Message, qos: QoS, isRetained: boolean, identifiers: readonly number[]): number {
    const { inline, drops } = this.#context
    const { place } = message
    let offset = place?.offset ?? -1
    if (place === null) {
      const number = inline.hold(message, this.isStored)
      if (number === null) {
        drops.count('inlineFull')
        return -1
      }
      offset = number
    }
    const partition = place?.partition.id ?? INLINE
    const seq = this.table.append({ partition, offset, qos, isRetained, identifiers })
    this.#changed()
    return seq
  }

  #overflow(): void {
    this.#context.drops.count('queueFull')
    this.#context.queueFull(this)
    if (this.isStored || this.#outgoing === null) return
    this.#isOverflown = true
    this.#close(Reason.quotaExceeded, 'its queue is full: it takes messages slower than they come')
  }

  #close(reason: ReasonCode, text: string): void {
    const { link } = this
    this.#outgoing?.close(reason, text)
    if (link !== null) this.#context.closed(link)
  }

  #hold(seq: number, message: Message): void {
    const { limits, held } = this.#context
    const bytes = message.payload.length + message.topic.length
    if (this.#heldBytes + bytes > limits.heldBytesMax || held.bytes + bytes > limits.heldBytesTotalMax) return
    this.#keep(seq, message, bytes)
  }

  #keep(seq: number, message: Message, bytes: number): void {
    this.#held ??= new Map()
    this.#held.set(seq, message)
    this.#heldBytes += bytes
    this.#context.held.bytes += bytes
  }

  #takeHeld(seq: number): Message | undefined {
    if (seq === this.#freshSeq && this.#fresh !== null) return this.#fresh
    return this.#held?.get(seq)
  }

  #dropHeld(seq: number): void {
    const message = this.#held?.get(seq)
    if (message === undefined) return
    this.#held!.delete(seq)
    const bytes = message.payload.length + message.topic.length
    this.#heldBytes -= bytes
    this.#context.held.bytes -= bytes
  }

  #letGo(): void {
    this.#context.held.bytes -= this.#heldBytes
    this.#heldBytes = 0
    this.#held = null
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
      if (this.table.isLive(unsent.seq) && !this.#sendLate(outgoing, unsent)) return false
      this.#unsent.shift()
      return true
    }
    if (this.#inFlight >= Math.min(outgoing.receiveMaximum, this.#context.limits.inFlightMax)) return false
    if (this.#feeds !== null && this.#feeds.length > 0) return this.#stepFeed(outgoing, this.#feeds[0]!)
    return this.#stepTable(outgoing)
  }

  #stepTable(outgoing: Outgoing): boolean {
    const { table } = this
    if (this.#next < table.head) this.#next = table.head
    const seq = this.#next
    if (seq >= table.tail) return false
    if (!table.isLive(seq) || table.isSent(seq)) {
      this.#next++
      return true
    }
    if (table.isReleased(seq)) return this.#sendRelease(outgoing, seq)
    const message = this.#takeHeld(seq)
    if (message === undefined) {
      void this.#load(seq)
      return false
    }
    const left = this.#deliverable(message, table.qosOf(seq), table.identifiersOf(seq))
    if (left === null) {
      this.#next++
      this.#complete(seq)
      return true
    }
    return this.#send(outgoing, seq, left)
  }

  /** null, and counted, where it is not to be delivered: it counts as delivered then [MQTT-3.1.2-25]. */
  #deliverable(message: Message, qos: QoS, identifiers: readonly number[]): Message | null {
    const { drops, now } = this.#context
    const left = withExpiryLeft(message, now())
    if (left === null) {
      drops.count('expired')
      return null
    }
    if (this.#fits(left, qos, identifiers)) return left
    drops.count('tooLarge')
    return null
  }

  #fits(message: Message, qos: QoS, identifiers: readonly number[]): boolean {
    const { maximumPacketBytes, version } = this.#outgoing!
    return (
      maximumPacketBytes === null || publishBytes(message, qos, identifiers, version) <= maximumPacketBytes
    )
  }

  /**
   * At once, or, of QoS 2 where the session is stored, once its packet id is on disk. What comes behind one that waits keeps behind it
   * [MQTT-4.6.0-6].
   */
  #send(outgoing: Outgoing, seq: number, message: Message): boolean {
    const { table } = this
    const packetId = table.packetIdOf(seq) === 0 ? this.#newId() : table.packetIdOf(seq)
    const isDup = table.isTried(seq)
    const isForDisk = table.qosOf(seq) === 2 && this.isStored && !this.#isSafe(seq)
    if (!isForDisk && this.#unsent.length === 0) {
      if (!this.#publish(outgoing, seq, message, packetId, isDup)) return false
      this.#passed(seq, packetId)
      return true
    }
    this.#passed(seq, packetId)
    const unsent = { seq, message, isDup, isReady: !isForDisk }
    this.#unsent.push(unsent)
    if (!isForDisk) return true
    if (!table.isFact(seq)) this.#putFact(seq)
    this.#onceOnDisk(unsent)
    return true
  }

  /** PUBREC came on an earlier connection. */
  #sendRelease(outgoing: Outgoing, seq: number): boolean {
    const { table } = this
    const packetId = table.packetIdOf(seq)
    const isForDisk = this.isStored && !this.#isSafe(seq)
    if (!isForDisk && !outgoing.pubrel(packetId)) return false
    this.#passed(seq, packetId)
    if (!isForDisk) return true
    const unsent = { seq, message: null, isDup: false, isReady: false }
    this.#unsent.push(unsent)
    this.#onceOnDisk(unsent)
    return true
  }

  /** What is known of a delivery of QoS 2 is on disk. */
  #isSafe(seq: number): boolean {
    return this.table.isFact(seq) && this.#unsafe?.has(seq) !== true
  }

  #publish(outgoing: Outgoing, seq: number, message: Message, packetId: number, isDup: boolean): boolean {
    const { table } = this
    return outgoing.publish(message, {
      packetId,
      qos: table.qosOf(seq),
      isDup,
      isRetained: table.isRetained(seq),
      identifiers: table.identifiersOf(seq),
    })
  }

  #sendLate(outgoing: Outgoing, { seq, message, isDup }: Unsent): boolean {
    const packetId = this.table.packetIdOf(seq)
    if (message === null) return outgoing.pubrel(packetId)
    return this.#publish(outgoing, seq, message, packetId, isDup)
  }

  #passed(seq: number, packetId: number): void {
    this.#seqOf ??= new Map()
    this.#seqOf.set(packetId, seq)
    this.table.setSent(seq, packetId)
    this.#inFlight++
    this.#dropHeld(seq)
    this.#changed()
    if (seq === this.#next) this.#next++
  }

  /** A packet id that is not in use [MQTT-2.2.1-3]; fewer than 65,535 are in flight. */
  #newId(): number {
    do this.#lastId = this.#lastId >= PACKET_ID_MAX ? 1 : this.#lastId + 1
    while (this.#seqOf?.has(this.#lastId) === true)
    return this.#lastId
  }

  #putFact(seq: number): void {
    const { table } = this
    table.setFact(seq)
    this.#unsafe ??= new Set()
    this.#unsafe.add(seq)
    this.#context.store.put(
      qos2Key(this.number, table.partitionOf(seq), table.offsetOf(seq)),
      encodeQos2({
        seq,
        packetId: table.packetIdOf(seq),
        isRetained: table.isRetained(seq),
        isReleased: table.isReleased(seq),
        identifiers: table.identifiersOf(seq),
      }),
    )
  }

  /** One that no stream holds has to be on disk itself: it goes with the queues. */
  #onceOnDisk(unsent: Unsent): void {
    const epoch = this.#epoch
    const isInline = this.table.partitionOf(unsent.seq) === INLINE
    this.#context.store.flush(isInline).then(
      () => {
        this.#unsafe?.delete(unsent.seq)
        if (epoch !== this.#epoch) return
        unsent.isReady = true
        this.pump()
      },
      () => {
        if (epoch === this.#epoch) {
          this.#close(Reason.serverUnavailable, 'the state of its session cannot be written')
        }
      },
    )
  }

  // -- reading back -------------------------------------------------------------------------------------------------

  async #load(from: number): Promise<void> {
    if (this.#isLoading) return
    this.#isLoading = true
    const epoch = this.#epoch
    const { table } = this
    const seqs: number[] = []
    const references: Reference[] = []
    for (let seq = from; seq < table.tail && seqs.length < LOAD_MESSAGES_MAX; seq++) {
      if (!table.isLive(seq) || table.isSent(seq) || table.isReleased(seq)) continue
      if (this.#held?.has(seq) === true) continue
      seqs.push(seq)
      references.push({ partition: table.partitionOf(seq), offset: table.offsetOf(seq) })
    }
    try {
      const { held, limits, loader } = this.#context
      const bytesMax = held.bytes < limits.heldBytesTotalMax ? LOAD_BYTES_MAX : 1
      const loaded = await loader.load(references, bytesMax)
      this.#isLoading = false
      if (epoch !== this.#epoch) {
        this.pump()
        return
      }
      for (const [i, message] of loaded.entries()) this.#loaded(seqs[i]!, message)
    } catch {
      this.#isLoading = false
      this.#context.stalled(this)
      return
    }
    this.pump()
  }

  #loaded(seq: number, message: Message | 'gone'): void {
    if (!this.table.isLive(seq) || this.table.isSent(seq) || this.#held?.has(seq) === true) return
    if (message === 'gone') {
      this.#context.drops.count('gone')
      this.#complete(seq)
    } else this.#keep(seq, message, message.payload.length + message.topic.length)
  }

  // -- retained messages --------------------------------------------------------------------------------------------

  /** Retained messages of a new subscription go to the client before what waits. */
  feed(feed: RetainedFeed): void {
    this.unfeed(feed.filter)
    this.#feeds ??= []
    this.#feeds.push(feed)
  }

  unfeed(filter: string): void {
    if (this.#feeds === null) return
    this.#feeds = this.#feeds.filter((feed) => feed.filter !== filter)
  }

  #stepFeed(outgoing: Outgoing, feed: RetainedFeed): boolean {
    const message = feed.peek()
    if (message === 'none') {
      this.#feeds!.shift()
      if (this.isStored) this.#context.fed(this, feed.filter)
      return true
    }
    if (message === 'later') {
      void this.#loadFeed(feed)
      return false
    }
    const { qos: granted, identifier } = feed.subscription
    const identifiers = identifier === null ? [] : [identifier]
    const qos = Math.min(message.qos, granted) as QoS
    const left = this.#deliverable(message, qos, identifiers)
    if (left === null) feed.shift()
    else if (qos === 0) {
      const delivery = { packetId: 0, qos, isDup: false, isRetained: true, identifiers }
      if (!outgoing.publish(left, delivery)) return false
      feed.shift()
    } else {
      const seq = this.#append(message, qos, true, identifiers)
      if (seq >= 0 && !this.#send(outgoing, seq, left)) {
        // it was not taken: the feed brings it again
        this.#release(seq)
        this.table.remove(seq)
        return false
      }
      feed.shift()
    }
    return true
  }

  async #loadFeed(feed: RetainedFeed): Promise<void> {
    if (feed.isLoading) return
    if (await feed.load()) this.pump()
    else this.#context.stalled(this)
  }

  // -- what comes from the client -----------------------------------------------------------------------------------

  puback(packetId: number, _reasonCode: number): boolean {
    const seq = this.#sentAs(packetId, 1)
    if (seq < 0) return false
    this.#acknowledged(seq)
    return true
  }

  pubrec(packetId: number, reasonCode: number): boolean {
    const seq = this.#sentAs(packetId, 2)
    if (seq < 0) return false
    // the client does not want it: that ends the delivery [MQTT 5, section 4.3.3]
    if (reasonCode >= 0x80) {
      this.#acknowledged(seq)
      return true
    }
    this.table.setReleased(seq)
    this.#changed()
    const isForDisk = this.table.isFact(seq) && this.isStored
    const released = { seq, message: null, isDup: false, isReady: !isForDisk }
    this.#unsent.push(released)
    if (isForDisk) {
      this.#putFact(seq)
      this.#onceOnDisk(released)
    } else this.pump()
    return true
  }

  pubcomp(packetId: number, _reasonCode: number): boolean {
    const seq = this.#sentAs(packetId, 2)
    if (seq < 0) return false
    if (!this.table.isReleased(seq)) throw violation('MQTT-4.3.3-3', 'a PUBCOMP before PUBREL')
    this.#acknowledged(seq)
    return true
  }

  /**
   * @returns the number of what went under this id on this connection; -1 where there is none
   * @throws MqttProtocolError where the answer is one to another QoS
   */
  #sentAs(packetId: number, qos: QoS): number {
    const seq = this.#seqOf?.get(packetId)
    if (seq === undefined || !this.table.isSent(seq)) return -1
    if (this.table.qosOf(seq) !== qos) throw violation('MQTT-4.3.2-3', 'an acknowledgement of another QoS')
    return seq
  }

  #acknowledged(seq: number): void {
    this.#complete(seq)
    this.pump()
  }

  #complete(seq: number): void {
    const packetId = this.table.packetIdOf(seq)
    if (packetId !== 0) this.#seqOf?.delete(packetId)
    if (this.table.isSent(seq)) this.#inFlight--
    this.#dropHeld(seq)
    this.#unsafe?.delete(seq)
    this.#release(seq)
    this.table.remove(seq)
  }

  /** What else knows of it. */
  #release(seq: number): void {
    const { table } = this
    const receipt = this.#receipts?.get(seq)
    if (receipt !== undefined) {
      this.#receipts!.delete(seq)
      receipt.came()
    }
    const partition = table.partitionOf(seq)
    const offset = table.offsetOf(seq)
    if (table.isFact(seq)) this.#context.finished(qos2Key(this.number, partition, offset))
    if (partition === INLINE) this.#context.inline.release(offset)
    this.#changed()
  }

  // -- to disk, and from it ----------------------------------------------------------------------------------------------------

  #changed(): void {
    if (this.#isListed || !this.isStored) return
    this.#isListed = true
    this.#context.changed(this)
  }

  /** Puts what has changed in its queue. */
  build(): void {
    this.#isListed = false
    const { store } = this.#context
    for (const [chunk, bytes] of this.table.takeDirty()) {
      if (bytes === null) store.remove(chunkKey(this.number, chunk))
      else store.put(chunkKey(this.number, chunk), bytes)
    }
  }

  /** Keys of all that is on disk of what is to be delivered. */
  *storedKeys(): Generator<Buffer, void, void> {
    for (const chunk of this.table.takeWritten()) yield chunkKey(this.number, chunk)
    for (const seq of this.table.live()) {
      if (!this.table.isFact(seq)) continue
      yield qos2Key(this.number, this.table.partitionOf(seq), this.table.offsetOf(seq))
    }
  }

  loadChunk(chunk: number, bytes: Buffer): void {
    this.table.load(chunk, bytes)
  }

  loadQos2(stored: {
    partition: number
    offset: number
    seq: number
    packetId: number
    isRetained: boolean
    isReleased: boolean
    identifiers: readonly number[]
  }): void {
    const { table } = this
    const { partition, offset, seq, packetId } = stored
    this.#known ??= new Set()
    this.#known.add(`${partition}:${offset}`)
    if (!table.isLive(seq)) table.insert(seq, { ...stored, qos: 2 })
    table.setSent(seq, packetId)
    table.setFact(seq)
    if (stored.isReleased) table.setReleased(seq)
  }

  /** After all of it is loaded: packet ids are known. Of two deliveries under one id the later one is under way, the earlier was over. */
  loaded(): void {
    const { table } = this
    for (const seq of [...table.live()]) {
      const isInline = table.partitionOf(seq) === INLINE
      if (isInline && !this.#context.inline.hasHeld(table.offsetOf(seq))) {
        table.remove(seq)
        continue
      }
      const packetId = table.packetIdOf(seq)
      if (packetId === 0) continue
      table.setUnsent(seq)
      this.#seqOf ??= new Map()
      const earlier = this.#seqOf.get(packetId)
      if (earlier !== undefined) {
        this.#release(earlier)
        table.remove(earlier)
      }
      this.#seqOf.set(packetId, seq)
      this.#lastId = packetId
    }
    this.#next = table.head
  }

  /** The log was read to its end: nothing comes twice any more. */
  replayed(): void {
    this.#known = null
  }

  #isKnown({ place }: Message): boolean {
    if (this.#known === null || place === null) return false
    return this.#known.has(`${place.partition.id}:${place.offset}`)
  }
}
