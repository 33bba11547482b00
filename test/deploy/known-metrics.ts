/** Every metric that there is to ask for, with its labels: the broker's catalogue, what a bridge writes, what Prometheus adds. */
import { METRICS } from '../../broker/operations/metrics/catalogue.ts'
import { prometheusText } from '../../firmware-bridge/status/prometheus.ts'
import type { BridgeReport } from '../../firmware-bridge/status/report.ts'

/** Each thing that can have samples has one. */
const BRIDGE: BridgeReport = {
  version: '1.0.0',
  pid: 1,
  startedAt: 1.7e12,
  gatewayId: 1,
  residentBytes: 5e7,
  uplink: {
    isUp: true,
    trouble: null,
    broker: 'mqtt://127.0.0.1:1883',
    protocol: '5',
    brokerLosses: 0,
    sessions: 1,
    inFlight: 0,
    windowCommits: 1,
    windowFailedCommits: 0,
    windowWaitingMs: 0,
    counters: { accepted: 1, repeated: 0, congested: 0, refused: 0, handedOver: 0, dropped: 0, givenUp: 0 },
  },
  gateway: {
    messagesReceived: 1,
    messagesSent: 1,
    malformed: { short: 1 },
    unexpected: 0,
    notConnected: 0,
    flooded: 0,
    collisions: 0,
    refused: { full: 1 },
    unconnectedAccepted: 0,
    unconnectedDropped: 0,
  },
  links: [
    {
      name: 'serial /dev/ttyUSB0',
      kind: 'serial',
      protocol: 'mqtt-sn',
      trouble: null,
      framesReceived: 1,
      framesSent: 1,
      bytesReceived: 1,
      bytesSent: 1,
      dropped: { crc: 1 },
      published: { accepted: 1, refused: 0, dropped: 0, waiting: 0 },
    },
  ],
  devices: [
    {
      clientId: 'pump',
      state: 'active',
      link: 'serial /dev/ttyUSB0',
      peer: '',
      lastSeenAt: 1.7e12,
      received: 1,
      perSecond: 1,
      sent: 1,
      published: 1,
      delivered: 1,
      retransmissionsSeen: 0,
      retransmissionsMade: 0,
      congested: 0,
      unanswered: 0,
      dropped: { refused: 1 },
      undelivered: { expired: 1 },
      roundTripMs: 5,
      queue: 0,
      topics: 1,
      connects: 1,
      moves: 0,
      clockOffsetMs: 1,
    },
  ],
}

/** A target's own labels. */
const TARGET = ['job', 'instance']

export interface KnownMetric {
  readonly type: string
  readonly labels: readonly string[]
}

function bridgeMetrics(): [string, KnownMetric][] {
  const text = prometheusText(BRIDGE)
  return [...text.matchAll(/^# TYPE (\S+) (\S+)\n\S+?(?:\{(.*)\})? \S+$/gm)].map(([, name, type, labels]) => [
    name!,
    {
      type: type!,
      labels: [...(labels ?? '').matchAll(/([a-z_]+)="/g)].map(([, label]) => label!).concat(TARGET),
    },
  ])
}

function brokerMetrics(): [string, KnownMetric][] {
  return Object.entries(METRICS).flatMap(([name, { type, labels }]): [string, KnownMetric][] => {
    const own = [...labels, ...TARGET]
    if (type !== 'histogram') return [[name, { type, labels: own }]]
    const series = (end: string, ...more: string[]): [string, KnownMetric] => [
      `${name}${end}`,
      { type: 'counter', labels: [...own, ...more] },
    ]
    return [series('_bucket', 'le'), series('_sum'), series('_count')]
  })
}

/** By name; recorded ones have what their rule leaves. */
export const KNOWN: ReadonlyMap<string, KnownMetric> = new Map([
  ...brokerMetrics(),
  ...bridgeMetrics(),
  ['up', { type: 'gauge', labels: TARGET }],
  ['scrape_duration_seconds', { type: 'gauge', labels: TARGET }],
  ['job:up:avg', { type: 'gauge', labels: ['job'] }],
  ['job:up:count', { type: 'gauge', labels: ['job'] }],
])
