/**
 * A client's session: its subscriptions, and what goes to it (outgoing-flow.ts). It lives on over connections, and over restarts where its
 * expiry is more than nothing (`isStored`).
 */
import { assert } from '../../assert.ts'
import { Backlog, type BacklogOwner } from '../hub/backlog.ts'
import type { Grant, Message, Subscriber } from '../hub/message.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { QoS } from '../packets/packet.ts'
import { Reason, type ReasonCode } from '../packets/protocol-error.ts'
import { ANONYMOUS, type Who } from '../who.ts'
import { deliverable } from './delivery-fit.ts'
import { DeliveryTable, INLINE } from './delivery-table.ts'
import type { FlowOwner } from './flow-owner.ts'
import type { Outgoing } from './outgoing.ts'
import { OutgoingFlow } from './outgoing-flow.ts'
import type { Session } from './session.ts'
import type { SessionContext } from './session-context.ts'
import { chunkKey, encodeOffset, KIND, qos2Key, type StoredQos2, sessionKey } from './state-format.ts'

export class ClientSession implements Subscriber, FlowOwner, BacklogOwner {
  readonly clientId: string
  /** Whose it is: nobody else gets it. null: of a client without a name, and the next one's. */
  user: string | null = null
  /** Its name in the store; never used again. */
  readonly number: number
  readonly #context: SessionContext
  expirySeconds: number
  /** By `filterText`. */
  readonly subscriptions = new Map<string, Subscription>()
  readonly #table: DeliveryTable
  readonly flow: OutgoingFlow
  #backlog: Backlog | null = null
  /** Session time at which its last connection ended, as far as that is known. */
  awaySince = 0
  /** The connection's hold on it. */
  link: Session | null = null
  #isOverflown = false
  /** As it was put last. */
  #builtPacketId = 0
  /** Waits for the next checkpoint. */
  #isListed = false
  /** What the log is read for again may have been with the client already: it does not count against the queue's limit. */
  #isReplaying = false
  /** Places of QoS 2 deliveries found at start: a replay must not bring them again. */
  #known: Set<string> | null = null

  constructor(clientId: string, number: number, expirySeconds: number, context: SessionContext) {
    this.clientId = clientId
    this.number = number
    this.expirySeconds = expirySeconds
    this.#context = context
    this.#table = new DeliveryTable(expirySeconds > 0)
    this.flow = new OutgoingFlow(this, this.#table, context)
  }

  get isOnline(): boolean {
    return this.flow.outgoing !== null
  }
  get isStored(): boolean {
    return this.#table.isStored
  }
  get outgoing(): Outgoing | null {
    return this.flow.outgoing
  }
  /** Not sent yet, or not on this connection. */
  get queued(): number {
    return this.#table.count - this.flow.inFlight
  }
  /** For log lines. */
  get who(): Who {
    const from = this.outgoing?.from
    return { client: this.clientId, ...(from === undefined ? {} : { from }), user: this.user ?? ANONYMOUS }
  }
  get hasReplays(): boolean {
    return this.flow.hasReplays
  }
  get inFlight(): number {
    return this.flow.inFlight + this.flow.inFlightOfReplays
  }

  // -- connections --------------------------------------------------------------------------------------------------

  /** A connection has it from now on; nothing is sent before `flow.start`. */
  attach(link: Session, outgoing: Outgoing): void {
    assert(this.outgoing === null, 'a session has one connection at a time')
    this.link = link
    this.#isOverflown = false
    this.flow.attach(outgoing)
  }

  detach(): void {
    this.link?.detach()
    this.link = null
    this.flow.detach()
    this.#backlog?.release()
  }

  /** It is stored from now on, or not any more. */
  setExpiry(seconds: number): void {
    this.expirySeconds = seconds
    const isStored = seconds > 0
    if (isStored === this.isStored) return
    const table = this.#table
    table.setStored(isStored)
    if (!isStored) return
    if (this.hasReplays) {
      this.flow.replays.touch()
      this.changed()
    }
    for (const seq of table.live()) {
      if (table.partitionOf(seq) === INLINE) this.#context.inline.want(table.offsetOf(seq))
    }
  }

  /** It is over: nothing of it is to be delivered. */
  end(): void {
    if (this.link !== null) this.detach()
    this.flow.end()
  }

  close(reason: ReasonCode, text: string): void {
    const { link, outgoing } = this
    outgoing?.close(reason, text)
    if (link !== null) this.#context.closed(link)
  }

  stalled(): void {
    this.#context.stalled(this)
  }

  // -- its publishers -----------------------------------------------------------------------------------------------

  /** Made when a message is on its way to it: most sessions have none. */
  get backlog(): Backlog {
    this.#backlog ??= new Backlog(this, this.#context.limits.queuedMessagesMax)
    return this.#backlog
  }

  get isWaitedFor(): boolean {
    const { limits, isLetGo } = this.#context
    return this.flow.isStarted && limits.holdsPublishersBack && !isLetGo(this)
  }

  awaited(isAwaited: boolean): void {
    this.#context.awaited(this, isAwaited)
  }

  progressed(): void {
    this.#backlog?.progressed()
  }

  // -- messages -----------------------------------------------------------------------------------------------------

  deliver(message: Message, grant: Grant): void {
    const qos = Math.min(message.qos, grant.qos) as QoS
    const isRetained = grant.isRetainAsPublished && message.isRetained
    const { flow } = this
    if (qos === 0) {
      if (flow.isStarted) this.#deliverAtOnce(flow.outgoing!, message, isRetained, grant.identifiers)
      return
    }
    if (this.#isOverflown || (!this.isOnline && !this.isStored) || this.#isKnown(message)) return
    const isFull = !this.#isReplaying && this.queued >= this.#context.limits.queuedMessagesMax
    if (isFull) this.#overflow()
    else flow.add(message, qos, isRetained, grant)
  }

  #deliverAtOnce(
    outgoing: Outgoing,
    message: Message,
    isRetained: boolean,
    identifiers: readonly number[],
  ): void {
    const left = deliverable(this.#context, outgoing, message, 0, identifiers)
    if (left === null) return
    if (outgoing.publish(left, { packetId: 0, qos: 0, isDup: false, isRetained, identifiers })) return
    this.#context.drops.count('outboxFull')
  }

  #overflow(): void {
    this.#context.drops.count('queueFull')
    this.#context.queueFull(this)
    if (this.isStored || !this.isOnline) return
    this.#isOverflown = true
    this.close(Reason.quotaExceeded, 'its queue is full: it takes messages slower than they come')
  }

  // -- to disk, and from it -----------------------------------------------------------------------------------------

  changed(): void {
    if (this.#isListed || !this.isStored) return
    this.#isListed = true
    this.#context.changed(this)
  }

  fed(filter: string): void {
    if (this.isStored) this.#context.finished(sessionKey(KIND.feed, this.number, filter))
  }

  /** Puts what has changed in its queue. */
  build(): void {
    this.#isListed = false
    const { store } = this.#context
    const { lastPacketId } = this.flow
    if (lastPacketId !== this.#builtPacketId) {
      this.#builtPacketId = lastPacketId
      store.put(sessionKey(KIND.packetId, this.number), encodeOffset(lastPacketId))
    }
    for (const [chunk, bytes] of this.#table.takeDirty()) {
      if (bytes === null) store.remove(chunkKey(this.number, chunk))
      else store.put(chunkKey(this.number, chunk), bytes)
    }
    if (!this.hasReplays) return
    for (const [filter, position] of this.flow.replays.takeChanged()) {
      store.put(sessionKey(KIND.replay, this.number, filter), position)
    }
  }

  /** Keys of all that is on disk of what is to be delivered. */
  *storedKeys(): Generator<Buffer, void, void> {
    yield sessionKey(KIND.packetId, this.number)
    for (const chunk of this.#table.takeWritten()) yield chunkKey(this.number, chunk)
    if (this.hasReplays) {
      for (const { filter } of this.flow.replays.all()) yield sessionKey(KIND.replay, this.number, filter)
    }
    for (const seq of this.#table.live()) {
      if (!this.#table.isFact(seq)) continue
      yield qos2Key(this.number, this.#table.partitionOf(seq), this.#table.offsetOf(seq))
    }
  }

  loadChunk(chunk: number, bytes: Buffer): void {
    this.#table.load(chunk, bytes)
  }

  loadQos2(stored: StoredQos2 & { readonly partition: number; readonly offset: number }): void {
    const table = this.#table
    const { partition, offset, seq, packetId } = stored
    this.#known ??= new Set()
    this.#known.add(`${partition}:${offset}`)
    if (!table.isLive(seq)) table.insert(seq, { ...stored, qos: 2 })
    table.setSent(seq, packetId)
    table.setFact(seq)
    if (stored.isReleased) table.setReleased(seq)
  }

  /** All of it is loaded; the log is read next. One whose queue was full at the checkpoint is not filled further by each start. */
  loaded(lastPacketId: number): void {
    this.flow.loaded(lastPacketId)
    this.#isReplaying = this.queued < this.#context.limits.queuedMessagesMax
    // its packet ids are to be on disk before one is given out: another restart must not begin at the same ones
    this.changed()
  }

  /** The log was read to its end: nothing comes twice any more. */
  replayed(): void {
    this.#known = null
    this.#isReplaying = false
  }

  #isKnown({ place }: Message): boolean {
    if (this.#known === null || place === null) return false
    return this.#known.has(`${place.partition.id}:${place.offset}`)
  }
}
