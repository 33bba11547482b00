/** An open connection's client: what it has, and what is told of it. */
import { formatListenAddress } from '../../config/address.ts'
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

/** What a connection knows of its own traffic. */
export interface Heard {
  /** ms since 1970 of the last whole packet, to the half second */
  readonly at: number
  readonly bytes: number
}

export interface ClientStatus {
  readonly clientId: string
  /** null: it has no name. */
  readonly user: string | null
  /** host:port, or [IPv6]:port */
  readonly address: string
  /** The listener that it came to, as it is bound. */
  readonly listener: string | null
  /** 3: MQTT 3.1, 4: MQTT 3.1.1, 5: MQTT 5 */
  readonly version: ProtocolVersion
  /** ms since 1970 */
  readonly since: number
  /** 0: none. */
  readonly keepAliveSeconds: number
  /** When its last packet came, ms since 1970, to the half second. */
  readonly lastSeenAt: number
  /** On this connection: PUBLISHes taken from it and sent to it, and bytes of every packet. */
  readonly messagesIn: number
  readonly messagesOut: number
  readonly bytesIn: number
  readonly bytesOut: number
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
  { connect, principal, since, acknowledgements, incoming }: OpenClient,
  session: Session | null,
  outbox: Outbox,
  heard: Heard,
): ClientStatus {
  return {
    clientId: connect.clientId,
    user: principal.name,
    address: formatListenAddress({ host: peer.address, port: peer.port }),
    listener: peer.listener ?? null,
    version: connect.version,
    since,
    keepAliveSeconds: connect.keepAliveSeconds,
    lastSeenAt: Math.max(since, heard.at),
    messagesIn: incoming.messages,
    messagesOut: outbox.sentMessages,
    bytesIn: heard.bytes,
    bytesOut: outbox.sentBytes,
    unacknowledged: acknowledgements.inFlight,
    inFlight: session?.inFlight ?? 0,
    queued: session?.queued ?? 0,
    outboxBytes: outbox.bytes,
  }
}
