/**
 * A connection's hold on its session. Once another connection has taken the session over, or it was closed, every call does nothing: a
 * connection that is on its way out cannot disturb the next one.
 */
import type { Backlog } from '../hub/backlog.ts'
import type { Subscribe } from '../packets/packet.ts'
import type { ClientSession } from './client-session.ts'

/** How a connection ended. clean: DISCONNECT; with-will: DISCONNECT with 0x04; lost: anything else, the broker's own closing included. */
export type DisconnectKind = 'clean' | 'with-will' | 'lost'

export interface SessionOwner {
  subscribe(session: ClientSession, request: Subscribe, grants: readonly number[]): Promise<number[]>
  unsubscribe(session: ClientSession, filters: readonly string[]): Promise<number[]>
  disconnect(session: ClientSession, kind: DisconnectKind, sessionExpirySeconds: number | null): void
  dropWill(session: ClientSession): void
}

export class Session {
  #session: ClientSession | null
  readonly #owner: SessionOwner
  readonly clientId: string
  /** As granted: it may be less than the client asked for. 0xFFFFFFFF is never. */
  readonly expirySeconds: number

  constructor(session: ClientSession, owner: SessionOwner) {
    this.#session = session
    this.#owner = owner
    this.clientId = session.clientId
    this.expirySeconds = session.expirySeconds
  }

  /** False once the session was taken over, or disconnected. */
  get isAttached(): boolean {
    return this.#session !== null
  }

  /** Sent on this connection and not acknowledged. */
  get inFlight(): number {
    return this.#session?.inFlight ?? 0
  }
  /** Not sent yet on this connection. */
  get queued(): number {
    return this.#session?.queued ?? 0
  }

  /** What waits for the client, as its publishers feel it. */
  get backlog(): Backlog | null {
    return this.#session?.backlog ?? null
  }

  /** What it is subscribed to, as the client wrote it. */
  get filters(): string[] {
    return this.#session === null ? [] : [...this.#session.subscriptions.keys()]
  }

  /** CONNACK was sent, or the connection has room again: sends what waits. Nothing is sent before the first call. */
  pump(): void {
    this.#session?.flow.start()
  }

  /**
   * @param grants for each subscription asked for: the granted QoS, or the reason code of its refusal
   * @returns reason codes for SUBACK. Resolves once the subscriptions are on disk, where the session stays. Retained messages follow.
   * @throws SessionStateError where the disk is at fault: nothing is to be acknowledged
   */
  async subscribe(request: Subscribe, grants: readonly number[]): Promise<number[]> {
    return this.#session === null ? [] : this.#owner.subscribe(this.#session, request, grants)
  }

  /** @returns reason codes for UNSUBACK; the rest as `subscribe` */
  async unsubscribe(filters: readonly string[]): Promise<number[]> {
    return this.#session === null ? [] : this.#owner.unsubscribe(this.#session, filters)
  }

  /** @returns false for a packet id that is not in flight */
  puback(packetId: number, reasonCode: number): boolean {
    return this.#session?.flow.puback(packetId, reasonCode) ?? true
  }

  /** PUBREL follows once it is on disk that it came. @returns false for a packet id that is not in flight: answer PUBREL with 0x92 */
  pubrec(packetId: number, reasonCode: number): boolean {
    return this.#session?.flow.pubrec(packetId, reasonCode) ?? true
  }

  /** @returns false for a packet id that is not in flight */
  pubcomp(packetId: number, reasonCode: number): boolean {
    return this.#session?.flow.pubcomp(packetId, reasonCode) ?? true
  }

  /** Its will may not be published any more. */
  dropWill(): void {
    if (this.#session !== null) this.#owner.dropWill(this.#session)
  }

  /** The connection has ended. @param sessionExpirySeconds from DISCONNECT, null where it has none */
  disconnect(kind: DisconnectKind, sessionExpirySeconds: number | null): void {
    const session = this.#session
    if (session === null) return
    this.#session = null
    this.#owner.disconnect(session, kind, sessionExpirySeconds)
  }

  /** Another connection has it now. */
  detach(): void {
    this.#session = null
  }
}
