/** What all connections of a front share, and what each needs of the parts behind it. */
import type { LimitedLog } from '../../limited-log.ts'
import type { Hub } from '../hub/hub.ts'
import type { Message } from '../hub/message.ts'
import type { Ingress, Submission } from '../ingress.ts'
import type { AcknowledgementView } from '../packets/acknowledgement-view.ts'
import type { Connect } from '../packets/packet.ts'
import { PublishEncoder } from '../packets/publish-encoder.ts'
import type { PublishView } from '../packets/publish-view.ts'
import type { Outgoing } from '../session/outgoing.ts'
import type { Session } from '../session/session.ts'
import type { Access, Quotas } from './access.ts'
import type { ReaderCommons } from './frame-reader.ts'
import type { ConnectionLimits } from './limits.ts'
import type { OutboxPool } from './outbox.ts'
import type { PendingCommits } from './pending-commits.ts'
import type { Takeovers } from './takeovers.ts'
import type { TimerWheel } from './timer-wheel.ts'
import type { TopicCache } from './topic-cache.ts'

/** Sessions, as connections use them. */
export interface ConnectedSessions {
  /** @param user null: a client without a name */
  connect(
    connect: Connect,
    outgoing: Outgoing,
    user: string | null,
  ): Promise<{ session: Session; isPresent: boolean }>
  /** A message that no stream takes: to be delivered, and kept where it must be. Resolves once that is on disk. */
  storeInline(message: Message): Promise<void>
}

export interface ConnectionCounters {
  connected: number
  refused: number
  dropped: number
  /** PUBLISHes that were refused, by a rule or at a limit. */
  refusedMessages: number
  /** Those of them for which the disk had no room. */
  fullMessages: number
  /** Clients that were refused for who they are, or say they are. */
  refusedLogins: number
  /** Of every kind. */
  receivedPackets: number
  receivedBytes: number
}

export interface ConnectionContext {
  readonly limits: ConnectionLimits
  readonly access: Access
  readonly quotas: Quotas
  readonly ingress: Ingress
  readonly hub: Hub
  readonly sessions: ConnectedSessions
  readonly topics: TopicCache
  readonly commits: PendingCommits
  readonly pool: OutboxPool
  readonly readers: ReaderCommons
  readonly wheel: TimerWheel
  readonly takeovers: Takeovers
  readonly encoders: Encoders
  readonly limited: LimitedLog
  readonly counters: ConnectionCounters
  /** Filled again for each packet. */
  readonly publishView: PublishView
  readonly acknowledgementView: AcknowledgementView
  readonly submission: Submission
  /** ms since 1970 */
  now(): number
  newClientId(): string
}

/** A message goes to many one after the other: it is encoded once. */
export class Encoders {
  /** PUBLISHes that went to clients. */
  sentMessages = 0
  #message: Message | null = null
  #encoder: PublishEncoder | null = null

  of(message: Message): PublishEncoder {
    if (this.#encoder !== null && this.#message === message) return this.#encoder
    this.#message = message
    this.#encoder = new PublishEncoder(message)
    return this.#encoder
  }
}
