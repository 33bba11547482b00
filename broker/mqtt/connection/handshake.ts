/** From a CONNECT to its CONNACK: who it is, whether it may, its session. MQTT 5, sections 3.1.4 and 3.2. */
import type { ConnackProperties } from '../packets/connack.ts'
import type { Connect, Will } from '../packets/packet.ts'
import { MqttProtocolError, Reason, type ReasonCode } from '../packets/protocol-error.ts'
import { messageHeaders } from '../record-headers.ts'
import type { Outgoing } from '../session/outgoing.ts'
import type { Session } from '../session/session.ts'
import { isRefused, type PeerInfo, type Principal } from './access.ts'
import type { ConnectionContext } from './context.ts'
import type { ConnectionLimits } from './limits.ts'
import { isReservedTopic } from './topic-cache.ts'

export interface Admitted {
  readonly kind: 'admitted'
  /** With the client id it has now, and the keep alive that counts. */
  readonly connect: Connect
  readonly principal: Principal
  readonly session: Session
  readonly isPresent: boolean
  readonly properties: ConnackProperties
}

export interface Refused {
  readonly kind: 'refused'
  readonly reasonCode: ReasonCode
  readonly text: string
  /** What the client is not told. */
  readonly detail?: string
  /** What went wrong here, where it was not the client's doing. */
  readonly error?: Error
}

/**
 * @param outgoingOf the connection as its session will see it
 * @param isWanted false once the client has gone: it must not take over a session, nor cost a check of its password
 */
export async function admit(
  context: ConnectionContext,
  asked: Connect,
  peer: PeerInfo,
  outgoingOf: (connect: Connect) => Outgoing,
  isWanted: () => boolean,
): Promise<Admitted | Refused> {
  if (asked.authenticationMethod !== null) {
    const text = `the authentication method "${asked.authenticationMethod}" is not known here`
    return { kind: 'refused', reasonCode: Reason.badAuthenticationMethod, text }
  }
  const connect = granted(context, asked)
  const { clientId, username, password, will } = connect
  const principal = await context.access.canConnect({ clientId, username, password, peer, isWanted })
  if (isRefused(principal)) {
    const { reasonCode, text: detail } = principal
    return { kind: 'refused', reasonCode, text: 'not let in', detail }
  }
  if (will !== null && (isReservedTopic(will.topic) || !context.access.mayPublish(principal, will.topic))) {
    const text = `may not publish its will to ${will.topic}`
    return { kind: 'refused', reasonCode: Reason.notAuthorized, text }
  }
  if (will !== null && !fits(context, will)) {
    const text = 'its will is larger than a record may be'
    return { kind: 'refused', reasonCode: Reason.packetTooLarge, text }
  }
  const isNext = await context.takeovers.turn(clientId, { user: principal.name, address: peer.address })
  if (!isNext) {
    const text = 'another client with its client id came after it, while it waited to take over'
    return { kind: 'refused', reasonCode: Reason.connectionRateExceeded, text }
  }
  if (!isWanted()) return { kind: 'refused', reasonCode: Reason.unspecified, text: 'it has gone' }
  try {
    const outgoing = outgoingOf(connect)
    const { session, isPresent } = await context.sessions.connect(connect, outgoing, principal.name)
    if (!isPresent) context.ingress.sessionCleaned(clientId)
    const properties = connackProperties(asked, connect, session, context.limits)
    return { kind: 'admitted', connect, principal, session, isPresent, properties }
  } catch (thrown) {
    const error = thrown as Error
    if (error instanceof MqttProtocolError) {
      // who has which client id is for the log
      if (error.reasonCode === Reason.notAuthorized)
        return { kind: 'refused', reasonCode: error.reasonCode, text: 'not let in', detail: error.message }
      return { kind: 'refused', reasonCode: error.reasonCode, text: error.message }
    }
    const text = 'its session could not be opened'
    return { kind: 'refused', reasonCode: Reason.serverUnavailable, text, error }
  }
}

function fits({ ingress }: ConnectionContext, will: Will): boolean {
  const headers = messageHeaders(will.isRetained, will.qos, will.properties)
  return ingress.fits(will.topic, will.payload.length, headers.length)
}

/** What the client asked for, within what is granted here. */
function granted({ limits, newClientId }: ConnectionContext, asked: Connect): Connect {
  const clientId = asked.clientId === '' ? newClientId() : asked.clientId
  const most = limits.keepAliveSecondsMax
  // MQTT 3 has no way to tell a client another keep alive than its own
  const isCut =
    asked.version === 5 && most > 0 && (asked.keepAliveSeconds === 0 || asked.keepAliveSeconds > most)
  return { ...asked, clientId, keepAliveSeconds: isCut ? most : asked.keepAliveSeconds }
}

function connackProperties(
  asked: Connect,
  connect: Connect,
  session: Session,
  limits: ConnectionLimits,
): ConnackProperties {
  if (asked.version !== 5) return {}
  return {
    receiveMaximum: limits.receiveMaximum,
    maximumPacketBytes: limits.packetBytesMax,
    topicAliasMaximum: limits.topicAliasMaximum,
    isWildcardAvailable: true,
    isIdentifierAvailable: true,
    isSharedAvailable: true,
    ...(asked.clientId === '' ? { assignedClientId: connect.clientId } : {}),
    ...(asked.keepAliveSeconds === connect.keepAliveSeconds
      ? {}
      : { serverKeepAliveSeconds: connect.keepAliveSeconds }),
    ...(session.expirySeconds === asked.sessionExpirySeconds
      ? {}
      : { sessionExpirySeconds: session.expirySeconds }),
  }
}
