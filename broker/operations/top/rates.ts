/** What happened between two looks at a broker, a second. Pure. */
import type { ClientStatus } from '../../mqtt/connection/client-status.ts'
import type { BrokerStatus, StatusReport, UpstreamStatus } from '../operations.ts'

/** What the broker told, and when it was asked. */
export interface Snapshot {
  /** ms by a clock that nobody sets */
  readonly at: number
  readonly report: StatusReport
  readonly clients: readonly ClientStatus[]
}

export interface StreamRate {
  readonly stream: string
  readonly recordsPerSecond: number
  readonly records: number
  readonly bytes: number
  /** Of the upstream that is furthest behind; null without one. */
  readonly lagRecords: number | null
}

export interface ClientRate {
  readonly clientId: string
  readonly address: string
  readonly messagesInPerSecond: number
  readonly messagesOutPerSecond: number
  readonly bytesPerSecond: number
  readonly waiting: number
}

export interface Rates {
  /** 0 for the first look, whose rates are 0. */
  readonly seconds: number
  readonly broker: BrokerStatus
  /** Open ones; `headwater status` has them. */
  readonly alarms: number
  readonly messagesPerSecond: number
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
  readonly commitsPerSecond: number
  readonly streams: readonly StreamRate[]
  readonly clients: readonly ClientRate[]
  readonly upstreams: readonly UpstreamStatus[]
}

/** @returns null where no broker runs. @param before null for the first look */
export function ratesBetween(before: Snapshot | null, now: Snapshot): Rates | null {
  const { broker, streams, upstreams, alarms = [] } = now.report
  if (broker === null) return null
  const was = isSameBroker(before, broker) ? before : null
  const seconds = was === null ? 0 : Math.max((now.at - was.at) / 1000, 0.001)
  const perSecond = (value: number, former: number | undefined) =>
    seconds === 0 || former === undefined ? 0 : Math.max(0, value - former) / seconds
  const former = was?.report.broker
  const ends = new Map(was?.report.streams.map((stream) => [stream.stream, endsOf(stream.partitions)]))
  return {
    seconds,
    broker,
    alarms: alarms.length,
    messagesPerSecond: perSecond(broker.ingress.received, former?.ingress.received),
    recordsPerSecond: perSecond(broker.log.records, former?.log.records),
    bytesPerSecond: perSecond(broker.ingress.receivedBytes, former?.ingress.receivedBytes),
    commitsPerSecond: perSecond(broker.log.commits, former?.log.commits),
    streams: streams.map(({ stream, partitions, records, bytes }) => ({
      stream,
      records,
      bytes,
      recordsPerSecond: perSecond(endsOf(partitions), ends.get(stream)),
      lagRecords: lagOf(stream, upstreams),
    })),
    clients: clientRates(was, now, perSecond),
    upstreams,
  }
}

/** One that was started anew counts from 0. */
function isSameBroker(before: Snapshot | null, { pid, startedAt }: BrokerStatus): boolean {
  const former = before?.report.broker
  return former?.pid === pid && former.startedAt === startedAt
}

function endsOf(partitions: readonly { readonly durableOffset: number }[]): number {
  return partitions.reduce((sum, { durableOffset }) => sum + durableOffset, 0)
}

function lagOf(stream: string, upstreams: readonly UpstreamStatus[]): number | null {
  const lags = upstreams.map(({ partitions }) =>
    partitions.filter((each) => each.stream === stream).reduce((sum, { lagRecords }) => sum + lagRecords, 0),
  )
  return lags.length === 0 ? null : Math.max(...lags)
}

function clientRates(
  was: Snapshot | null,
  now: Snapshot,
  perSecond: (value: number, former: number | undefined) => number,
): ClientRate[] {
  // a connection, not a client id: one that comes back counts from 0
  const known = new Map(was?.clients.map((client) => [connectionOf(client), client]))
  return now.clients.map((client) => {
    const former = known.get(connectionOf(client))
    const { clientId, address, messagesIn, messagesOut, bytesIn, bytesOut } = client
    const formerBytes = former === undefined ? undefined : former.bytesIn + former.bytesOut
    return {
      clientId,
      address,
      messagesInPerSecond: perSecond(messagesIn, former?.messagesIn),
      messagesOutPerSecond: perSecond(messagesOut, former?.messagesOut),
      bytesPerSecond: perSecond(bytesIn + bytesOut, formerBytes),
      waiting: client.queued + client.inFlight + client.unacknowledged,
    }
  })
}

function connectionOf({ clientId, address, since }: ClientStatus): string {
  return JSON.stringify([clientId, address, since])
}
