/** What the configuration says of the MQTT side, in the words of its parts. */
import { type ListenAddress, parseListenAddress } from '../config/address.ts'
import type { BrokerConfig } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import type { ConnectionLimits } from './connection/limits.ts'
import type { GateSettings } from './door/gate.ts'
import type { ListenerOptions } from './door/listener.ts'
import type { RateLimits } from './door/rates.ts'
import type { SessionLimits } from './session/limits.ts'

/** An MQTT packet may be so much longer than a record: its topic and properties. */
const PACKET_ROOM_BYTES = 128 * 1024

/** After a power failure all devices come at once, perhaps from one address, and some of them twice. */
const FLEETS_AT_ONCE = 2

export function gateSettings({ mqtt, limits, streams }: BrokerConfig): GateSettings {
  const writers = streams.flatMap(({ name, writer }) =>
    writer === undefined ? [] : [[name, writer] as const],
  )
  return {
    anonymous: mqtt.anonymous,
    permissions: mqtt.permissions,
    writers: new Map(writers),
    rates: rateLimits(limits),
    takesCertificates: mqtt.listeners.some(({ tls }) => tls?.clientCaFile !== undefined),
  }
}

function rateLimits(limits: BrokerConfig['limits']): RateLimits {
  return {
    messagesPerSecond: limits.messagesPerSecondPerClient ?? null,
    bytesPerSecond: limits.bytesPerSecondPerClient ?? null,
    messagesPerSecondOfUser: limits.messagesPerSecondPerUser ?? null,
    bytesPerSecondOfUser: limits.bytesPerSecondPerUser ?? null,
    connectionsPerAddress: limits.connectionsPerAddressMax ?? null,
    connectsPerSecond: limits.connectsPerSecond ?? null,
    connectsPerSecondOfAddress: limits.connectsPerSecondPerAddress || null,
    connectsAtOnceOfAddress: FLEETS_AT_ONCE * limits.connectionsMax,
  }
}

export function connectionLimits({ limits }: BrokerConfig): Partial<ConnectionLimits> {
  return {
    // a larger message is refused by the ingress, by name: the packet has room for topic and properties besides
    packetBytesMax: limits.recordBytesMax + PACKET_ROOM_BYTES,
    topicBytesMax: limits.topicBytesMax,
    topicLevelsMax: limits.topicLevelsMax,
    clientIdBytesMax: limits.clientIdBytesMax,
    filtersMax: limits.filtersPerPacketMax,
    userPropertiesMax: limits.userPropertiesMax,
    connectSecondsMax: limits.connectSecondsMax,
    keepAliveSecondsMax: limits.keepAliveSecondsMax,
    receiveMaximum: limits.receiveMaximum,
    outboxBytesMax: limits.outboxBytesMax,
    outboxesBytesMax: limits.outboxesBytesMax,
    unfinishedBytesMax: limits.unfinishedBytesMax,
  }
}

export function sessionLimits({ limits, mqtt }: BrokerConfig): Partial<SessionLimits> {
  return {
    sessionsMax: limits.sessionsMax,
    sessionsPerUserMax: limits.sessionsPerUserMax ?? Math.ceil(limits.sessionsMax / 10),
    subscriptionsMax: limits.subscriptionsPerClientMax,
    replaysMax: limits.replaysPerClientMax,
    replaysTotalMax: limits.replaysMax,
    queuedMessagesMax: limits.queuedMessagesMax,
    holdsPublishersBack: mqtt.holdPublishersBack,
    subscriberRateMin: limits.subscriberRateMin,
    subscriberStallSecondsMax: limits.subscriberStallSecondsMax,
    inFlightMax: limits.inFlightMax,
    expirySecondsMax: limits.sessionExpirySecondsMax,
    willsBytesMax: limits.willsBytesMax,
    retainedMessagesMax: limits.retainedMessagesMax,
    retainedBytesMax: limits.retainedBytesMax,
  }
}

/** @throws ConfigError */
export function listenerOptions({ mqtt }: BrokerConfig): ListenerOptions[] {
  return mqtt.listeners.map(({ address, tls, webSocket }) => ({
    address: listenAddress(address),
    tls:
      tls === undefined
        ? null
        : {
            certFile: tls.certFile,
            keyFile: tls.keyFile,
            clientCaFile: tls.clientCaFile ?? null,
            requiresClientCertificate: tls.clientCertificate !== 'request',
          },
    webSocketPath: webSocket?.path ?? null,
  }))
}

function listenAddress(address: string): ListenAddress {
  const parsed = parseListenAddress(address)
  if (typeof parsed !== 'string') return parsed
  throw new ConfigError('mqtt.listeners', `"${address}": ${parsed}`, 'write host:port')
}
