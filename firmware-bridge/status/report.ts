/** What the running bridge tells about itself: the one source of `headwater-bridge status`, of Prometheus and of the retained topics. */
import type { DeviceStatus, GatewayCounters } from '../gateway/index.ts'
import type { LinkCounters } from '../links/link.ts'
import type { UplinkStatus } from '../uplink/mqtt-uplink.ts'

export interface LinkReport {
  readonly name: string
  readonly kind: 'serial' | 'udp'
  readonly protocol: 'mqtt-sn' | 'line' | 'modbus'
  /** `null`: it carries. */
  readonly trouble: string | null
  readonly framesReceived: number
  readonly framesSent: number
  readonly bytesReceived: number
  readonly bytesSent: number
  /** By reason. */
  readonly dropped: Readonly<Record<string, number>>
  /** Of links that publish by themselves (line, modbus). */
  readonly published: PublishedReport | null
}

export interface PublishedReport {
  readonly accepted: number
  readonly refused: number
  readonly dropped: number
  readonly waiting: number
}

export interface GatewayReport extends Omit<GatewayCounters, 'malformed' | 'refused'> {
  readonly malformed: Readonly<Record<string, number>>
  readonly refused: Readonly<Record<string, number>>
}

export interface BridgeReport {
  readonly version: string
  readonly pid: number
  /** Unix ms. */
  readonly startedAt: number
  readonly gatewayId: number
  readonly residentBytes: number
  readonly uplink: UplinkStatus
  readonly gateway: GatewayReport
  readonly links: readonly LinkReport[]
  readonly devices: readonly DeviceStatus[]
}

/** What must be looked after by a person, or by the cable. */
export function isHealthy({ uplink, links }: BridgeReport): boolean {
  return uplink.isUp && uplink.windowFailedCommits === 0 && links.every(({ trouble }) => trouble === null)
}

export function linkReport(
  link: { readonly name: string; readonly counters: LinkCounters; readonly trouble: string | null },
  kind: LinkReport['kind'],
  protocol: LinkReport['protocol'],
  published: PublishedReport | null,
): LinkReport {
  const { counters, name, trouble } = link
  const { framesReceived, framesSent, bytesReceived, bytesSent, dropped } = counters
  const counts = {
    framesReceived,
    framesSent,
    bytesReceived,
    bytesSent,
    dropped: Object.fromEntries(dropped),
  }
  return { name, kind, protocol, trouble, ...counts, published }
}
