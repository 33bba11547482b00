/** What `$SYS` tells, out of what front and ingress count. */
import type { FrontStatus } from '../front.ts'
import type { IngressStatus } from '../ingress.ts'
import type { SysStatus } from './sys-topics.ts'

/** @param startedAt by `performance.now()`, ms */
export function sysStatus(
  version: string,
  startedAt: number,
  front: FrontStatus,
  ingress: IngressStatus,
): SysStatus {
  const { sessions } = front
  const retained = sessions.retained + sessions.retainedOwn
  const dropped = Object.values(sessions.dropped)
  return {
    version,
    uptimeSeconds: (performance.now() - startedAt) / 1000,
    clientsConnected: front.clients,
    clientsTotal: sessions.sessions,
    connects: front.connected,
    messagesReceived: front.receivedPackets,
    messagesSent: front.sentPackets,
    publishReceived: ingress.received,
    publishSent: front.sentMessages,
    publishDropped: dropped.reduce((sum, count) => sum + count, 0),
    bytesReceived: front.receivedBytes,
    bytesSent: front.sentBytes,
    publishBytesReceived: ingress.receivedBytes,
    subscriptions: sessions.subscriptions,
    // mosquitto counts its own among them, and retained messages among those in store
    retainedMessages: retained,
    storedMessages: sessions.queued + sessions.inFlight + retained,
    storedBytes: sessions.heldBytes + sessions.inlineBytes + sessions.retainedBytes,
    heapBytes: process.memoryUsage().heapUsed,
  }
}
