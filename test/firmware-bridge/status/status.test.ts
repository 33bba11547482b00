import { afterEach, expect, it } from 'vitest'
import { VERSION } from '../../../broker/version.ts'
import type { DeviceStatus } from '../../../firmware-bridge/gateway/index.ts'
import { prometheusText } from '../../../firmware-bridge/status/prometheus.ts'
import { type BridgeReport, isHealthy } from '../../../firmware-bridge/status/report.ts'
import { StatusServer } from '../../../firmware-bridge/status/status-server.ts'
import { StatusTopics } from '../../../firmware-bridge/status/status-topics.ts'

function device(clientId: string, more: Partial<DeviceStatus> = {}): DeviceStatus {
  return {
    clientId,
    state: 'active',
    link: 'serial /dev/ttyUSB0',
    peer: '',
    lastSeenAt: 1_700_000_000_500,
    received: 10,
    perSecond: 1.5,
    sent: 9,
    published: 8,
    delivered: 1,
    retransmissionsSeen: 2,
    retransmissionsMade: 0,
    congested: 0,
    unanswered: 0,
    dropped: { oversize: 1 },
    undelivered: {},
    roundTripMs: 12.5,
    queue: 3,
    topics: 2,
    connects: 1,
    moves: 0,
    clockOffsetMs: null,
    ...more,
  }
}

function report(more: Partial<BridgeReport> = {}): BridgeReport {
  return {
    version: VERSION,
    pid: 1,
    startedAt: 1_700_000_000_000,
    gatewayId: 7,
    residentBytes: 70_000_000,
    uplink: {
      isUp: true,
      trouble: null,
      broker: 'mqtt://127.0.0.1:1883',
      protocol: '5',
      sessions: 1,
      inFlight: 0,
      counters: { accepted: 8, repeated: 2, congested: 1, refused: 0, givenUp: 0, handedOver: 4, dropped: 0 },
      windowCommits: 6,
      windowFailedCommits: 0,
      windowWaitingMs: 0,
      brokerLosses: 0,
    },
    gateway: {
      messagesReceived: 10,
      messagesSent: 9,
      malformed: { length: 1 },
      unexpected: 0,
      notConnected: 0,
      flooded: 0,
      collisions: 0,
      refused: {},
      unconnectedAccepted: 0,
      unconnectedDropped: 0,
    },
    links: [
      {
        name: 'serial /dev/ttyUSB0',
        kind: 'serial',
        protocol: 'mqtt-sn',
        trouble: null,
        framesReceived: 10,
        framesSent: 9,
        bytesReceived: 300,
        bytesSent: 200,
        dropped: { crc: 4 },
        published: null,
      },
    ],
    devices: [device('pump "7"\n')],
    ...more,
  }
}

it('metrics are in base units, with escaped labels, help and type once a name', () => {
  const text = prometheusText(report())
  expect(text).toContain('headwater_bridge_device_round_trip_seconds{device="pump \\"7\\"\\n"} 0.0125\n')
  expect(text).toContain('headwater_bridge_device_last_seen_seconds{device="pump \\"7\\"\\n"} 1700000000.5\n')
  expect(text).toContain(
    'headwater_bridge_link_dropped_frames_total{link="serial /dev/ttyUSB0",reason="crc"} 4\n',
  )
  expect(text).toContain('headwater_bridge_publishes_total{result="repeated"} 2\n')
  // what has not happened is 0, so that the first time is seen as growth
  expect(text).toContain(
    'headwater_bridge_link_dropped_frames_total{link="serial /dev/ttyUSB0",reason="cobs"} 0\n',
  )
  expect(text).toContain('headwater_bridge_devices{state="lost"} 0\n')
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
  expect(new Set(types.map(([, name]) => name)).size).toBe(types.length)
  for (const [, name, type] of types) expect(name!.endsWith('_total'), name).toBe(type === 'counter')
  for (const line of text.split('\n').filter((one) => one !== '' && !one.startsWith('#'))) {
    expect(line).toMatch(
      /^headwater_bridge_[a-z0-9_]+(\{[a-z_]+="(\\.|[^"\\])*"(,[a-z_]+="(\\.|[^"\\])*")*\})? -?[0-9.e+]+$/,
    )
  }
  // what is not known has no sample
  expect(text).not.toContain('clock_offset')
})

it('a bridge is well when the broker is there, all links carry and the window reaches the disk', () => {
  expect(isHealthy(report())).toBe(true)
  const [link] = report().links
  expect(isHealthy(report({ links: [{ ...link!, trouble: 'unplugged' }] }))).toBe(false)
  expect(isHealthy(report({ uplink: { ...report().uplink, isUp: false } }))).toBe(false)
  expect(isHealthy(report({ uplink: { ...report().uplink, windowFailedCommits: 1 } }))).toBe(false)
})

let server: StatusServer | undefined
afterEach(() => server?.close())

it('the server answers two paths, and says which', async () => {
  server = await StatusServer.start({ host: '127.0.0.1', port: 0 }, report)
  const at = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${server!.port}${path}`, { method })
  const metrics = await at('/metrics')
  expect(metrics.headers.get('content-type')).toContain('version=0.0.4')
  expect(await metrics.text()).toBe(prometheusText(report()))
  expect(await (await at('/status?x=1')).json()).toEqual(report())
  for (const path of ['/', '//', '//[', '/%']) expect((await at(path)).status).toBe(404)
  expect((await at('/status', 'POST')).status).toBe(405)
  await expect(StatusServer.start({ host: '127.0.0.1', port: server.port }, report)).rejects.toMatchObject({
    code: 'HW_BRIDGE_STATUS_ADDRESS',
  })
})

function topics() {
  const said: [string, unknown][] = []
  const state = { report: report({ devices: [device('a/b'), device('c')] }), isUp: true }
  const one = new StatusTopics({
    prefix: 'p',
    gatewayId: 7,
    everyMs: 60_000,
    report: () => ({ ...state.report, uplink: { ...state.report.uplink, isUp: state.isUp } }),
    publish: (topic, payload) => {
      said.push([topic, payload === '' ? '' : JSON.parse(payload)])
      return true
    },
  })
  return { one, said, state }
}

it('topics tell of the bridge and each device, whose id is one level', () => {
  const { one, said } = topics()
  one.look(0)
  expect(said).toMatchObject([
    ['p/7/state', { state: 'online', devices: 2, troubles: [] }],
    ['p/7/devices/a%2Fb', { state: 'active', lastSeen: '2023-11-14T22:13:20.500Z' }],
    ['p/7/devices/c', { state: 'active' }],
  ])
})

it('a change of state is told at the next look, another change with the next round, none not at all', () => {
  const { one, said, state } = topics()
  one.look(0)
  said.length = 0
  state.report = report({ devices: [device('a/b', { published: 9 }), device('c', { state: 'asleep' })] })
  one.look(1000)
  expect(said).toMatchObject([['p/7/devices/c', { state: 'asleep' }]])
  said.length = 0
  one.look(61_000)
  expect(said).toMatchObject([
    ['p/7/state', {}],
    ['p/7/devices/a%2Fb', { published: 9 }],
  ])
})

it('a device that the gateway has forgotten is removed; a broker that was away is told all again', () => {
  const { one, said, state } = topics()
  one.look(0)
  said.length = 0
  state.report = report({ devices: [device('c')] })
  one.look(1000)
  expect(said).toEqual([['p/7/devices/a%2Fb', '']])
  said.length = 0
  state.isUp = false
  one.look(2000)
  expect(said).toEqual([])
  state.isUp = true
  one.onUp()
  one.look(3000)
  expect(said.map(([topic]) => topic)).toEqual(['p/7/state', 'p/7/devices/c'])
})

it('the will says offline, where there are topics at all', () => {
  expect(StatusTopics.will('', 7)).toBeNull()
  expect(StatusTopics.will('p', 7)).toMatchObject({ topic: 'p/7/state', isRetained: true })
})
