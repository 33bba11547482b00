/** A session's replays, beside its other deliveries: their packet ids are of the same kind, and the session is told of what changes. */
import type { Message } from '../hub/message.ts'
import type { QoS } from '../packets/packet.ts'
import type { Replay } from '../replay/replay.ts'
import { type ReplayFlow, SessionReplays } from '../replay/session-replays.ts'
import type { Pump } from './deliveries.ts'
import { deliverable } from './delivery-fit.ts'
import type { FlowOwner } from './flow-owner.ts'
import type { Outgoing } from './outgoing.ts'
import { OF_REPLAY, type PacketIds } from './packet-ids.ts'
import type { SessionContext } from './session-context.ts'

export class FlowReplays implements ReplayFlow {
  readonly #owner: FlowOwner
  readonly #ids: PacketIds
  readonly #context: SessionContext
  readonly #flow: Pump
  #replays: SessionReplays | null = null

  constructor(owner: FlowOwner, ids: PacketIds, context: SessionContext, flow: Pump) {
    this.#owner = owner
    this.#ids = ids
    this.#context = context
    this.#flow = flow
  }

  get all(): SessionReplays {
    this.#replays ??= new SessionReplays(this)
    return this.#replays
  }
  get count(): number {
    return this.#replays?.count ?? 0
  }
  get inFlight(): number {
    return this.#replays?.inFlight ?? 0
  }

  /** One of a stored session, once its deliveries are loaded: a packet id that one of them had was free again, and a message is new then. */
  restore(replay: Replay): void {
    for (const sent of replay.position.unacked) {
      if (this.#ids.seqOf(sent.packetId) === undefined) this.#ids.set(sent.packetId, OF_REPLAY)
      else replay.acknowledged(sent.packetId)
    }
    this.all.add(replay)
  }

  /** Sends one message. @returns false where nothing can be done now */
  step(outgoing: Outgoing, isFull: boolean): boolean {
    return this.#replays?.step(outgoing, isFull) === true
  }

  /** Whether this packet id is a replay's. */
  has(packetId: number): boolean {
    return this.#ids.seqOf(packetId) === OF_REPLAY
  }

  /** @returns whether it was sent on this connection */
  puback(packetId: number): boolean {
    const isSent = this.all.puback(packetId)
    if (isSent) this.pump()
    return isSent
  }

  rest(): void {
    this.#replays?.rest()
  }

  // -- of the replays -----------------------------------------------------------------------------------------------

  get clientId(): string {
    return this.#owner.clientId
  }

  takeId(): number {
    const packetId = this.#ids.next()
    this.#ids.set(packetId, OF_REPLAY)
    return packetId
  }

  freeId(packetId: number): void {
    if (this.has(packetId)) this.#ids.delete(packetId)
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

  pump(): void {
    this.#flow.pump()
  }
}
