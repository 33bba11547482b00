/** An open connection's client: what it has, and what is told of it. */
import type { Connect, ProtocolVersion } from '../packets/packet.ts'
import type { Session } from '../session/session.ts'
import type { Who } from '../who.ts'
import type { PeerInfo, Principal, Quota } from './access.ts'
import type { Acknowledgements } from './acknowledgements.ts'
import type { Incoming } from './incoming.ts'
import type { Outbox } from './outbox.ts'
import type { PublisherWaits } from './publisher-waits.ts'
import type { Subscribing } from './subscribing.ts'
import type { Holder } from './takeovers.ts'

/** What an open connection has. */
export interface OpenClient {
  readonly connect: Connect
  readonly principal: Principal
  readonly holder: Holder
  /** For log lines. */
  readonly who: Who
  readonly incoming: Incoming
  readonly acknowledgements: Acknowledgements
  readonly waits: PublisherWaits
  readonly subscribing: Subscribing
  readonly quota: Quota
  /** ms since 1970 */
  readonly since: number
}

export interface ClientStatus {
  readonly clientId: string
  readonly user: string | null
  readonly address: string
  readonly version: ProtocolVersion
  /** ms since 1970 */
  readonly since: number
  /** Messages of its own that were not acknowledged yet. */
  readonly unacknowledged: number
  /** Messages to it that it has not acknowledged, and that wait for it. */
  readonly inFlight: number
  readonly queued: number
  /** Bytes on their way to it. */
  readonly outboxBytes: number
}

export function clientStatus(
  peer: PeerInfo,
  { connect, principal, since, acknowledgements }: OpenClient,
  session: Session | null,
  outbox: Outbox,
): ClientStatus {
  return {
    clientId: connect.clientId,
    user: principal.name,
    address: `${peer.address}:${peer.port}`,
    version: connect.version,
    since,
    unacknowledged: acknowledgements.inFlight,
    inFlight: session?.inFlight ?? 0,
    queued: session?.queued ?? 0,
    outboxBytes: outbox.bytes,
  }
}
