/** A session's replays: they take turns, and share the client's receive maximum with its other subscriptions. */
import type { Message } from '../hub/message.ts'
import type { Outgoing } from '../session/outgoing.ts'
import type { Replay, Replayed } from './replay.ts'
import { encodePosition } from './replay-position.ts'

/** The session's flow, as its replays need it. */
export interface ReplayFlow {
  readonly clientId: string
  /** A packet id that is not in use. */
  takeId(): number
  freeId(packetId: number): void
  /** null, and counted, where the client does not take its size. */
  fitted(outgoing: Outgoing, message: Message, qos: 0 | 1, identifiers: readonly number[]): Message | null
  /** Positions have changed. */
  changed(): void
  /** The log cannot be read now, or is not to be: `pump` is called later. */
  stalled(): void
  pump(): void
}

/** So often replays of a session read 64 KiB of which the client takes nothing; then they rest. */
export const READS_IN_VAIN_MAX = 16
const REST_MS = 500

export class SessionReplays {
  readonly #flow: ReplayFlow
  /** The one whose turn it is comes first. */
  #replays: Replay[] = []
  /** Packet ids of those that were unsubscribed: they are in use until the client acknowledges them, or is gone. */
  #left = new Set<number>()
  /** Sent on this connection and not acknowledged. */
  #inFlight = new Set<number>()

  readonly #now: () => number
  #restsUntil = 0

  /** @param now monotonic, ms */
  constructor(flow: ReplayFlow, now: () => number = () => performance.now()) {
    this.#flow = flow
    this.#now = now
  }

  get count(): number {
    return this.#replays.length
  }
  get inFlight(): number {
    return this.#inFlight.size
  }

  get(filter: string): Replay | undefined {
    return this.#replays.find((replay) => replay.filter === filter)
  }

  add(replay: Replay): void {
    replay.onMore = () => this.#flow.pump()
    this.#replays.push(replay)
    this.#flow.changed()
  }

  remove(replay: Replay): void {
    this.#replays = this.#replays.filter((own) => own !== replay)
    for (const { packetId } of replay.position.unacked) {
      if (this.#inFlight.has(packetId)) this.#left.add(packetId)
      else this.#flow.freeId(packetId)
    }
  }

  all(): readonly Replay[] {
    return this.#replays
  }

  /** No connection any more. */
  rest(): void {
    for (const packetId of this.#left) this.#flow.freeId(packetId)
    this.#left.clear()
    this.#inFlight.clear()
    for (const replay of this.#replays) replay.rest()
  }

  /** Sends one message. @returns false where nothing can be done now */
  step(outgoing: Outgoing, isFull: boolean): boolean {
    for (const replay of this.#replays) {
      const { qos } = replay.subscription
      if (qos > 0 && isFull) continue
      const replayed = replay.peek(this.#flow.clientId, outgoing.version === 5)
      this.#free(replay)
      if (replayed === 'none') continue
      if (replayed === 'later') {
        void this.#load(replay)
        continue
      }
      if (!this.#send(outgoing, replay, replayed)) return false
      if (this.#replays.length > 1) this.#replays = [...this.#replays.filter((own) => own !== replay), replay]
      return true
    }
    return false
  }

  #send(outgoing: Outgoing, replay: Replay, replayed: Replayed): boolean {
    const { identifier, isRetainAsPublished } = replay.subscription
    const qos = replay.subscription.qos === 0 ? 0 : 1
    const identifiers = identifier === null ? [] : [identifier]
    const { message, again } = replayed
    const left = this.#flow.fitted(outgoing, message, qos, identifiers)
    if (left === null) {
      replay.tooLarge(replayed)
      this.#free(replay)
      this.#flow.changed()
      return true
    }
    const packetId = qos === 0 ? 0 : (again?.packetId ?? this.#flow.takeId())
    const isDup = qos > 0 && again !== null
    const isRetained = isRetainAsPublished && message.isRetained
    if (!outgoing.publish(left, { packetId, qos, isDup, isRetained, identifiers })) {
      if (packetId !== 0 && again === null) this.#flow.freeId(packetId)
      return false
    }
    if (packetId !== 0) this.#inFlight.add(packetId)
    else if (again !== null) this.#flow.freeId(again.packetId)
    replay.sent(replayed, packetId)
    this.#free(replay)
    this.#flow.changed()
    return true
  }

  #free(replay: Replay): void {
    for (const packetId of replay.takeFreed()) this.#flow.freeId(packetId)
  }

  async #load(replay: Replay): Promise<void> {
    if (replay.isLoading) return
    if (replay.readsInVain >= READS_IN_VAIN_MAX) {
      replay.readsInVain = 0
      this.#restsUntil = this.#now() + REST_MS
    }
    if (this.#now() < this.#restsUntil) {
      this.#flow.stalled()
      return
    }
    if (await replay.load()) this.#flow.pump()
    else this.#flow.stalled()
  }

  /** @returns whether it is of a replay, and was sent on this connection */
  puback(packetId: number): boolean {
    if (!this.#inFlight.delete(packetId)) return false
    this.#left.delete(packetId)
    for (const replay of this.#replays) if (replay.acknowledged(packetId)) break
    this.#flow.freeId(packetId)
    this.#flow.changed()
    return true
  }

  // -- to disk ------------------------------------------------------------------------------------------------------

  /** All are to be stored: the session stays from now on. */
  touch(): void {
    for (const replay of this.#replays) replay.isChanged = true
  }

  /** Positions that have changed since the last call. */
  takeChanged(): [filter: string, position: Buffer][] {
    const taken: [string, Buffer][] = []
    for (const replay of this.#replays) {
      if (!replay.isChanged) continue
      replay.isChanged = false
      taken.push([replay.filter, encodePosition(replay.position)])
    }
    return taken
  }
}
