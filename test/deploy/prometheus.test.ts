/**
 * The whole way: a broker with a token and a bridge, scraped by Prometheus with the example of a configuration and the alert rules; each query of the
 * dashboard is asked as Grafana would ask it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { type Running, scratch, startBroker } from '../cli/headwater.ts'
import { ROOT } from '../structure/sources.ts'
import { BridgeProcess } from '../support/bridge-process.ts'
import { freePort } from '../support/kafka/ports.ts'
import { MqttSnClient } from '../support/mqtt-sn-client.ts'
import { hasPrometheus, PrometheusServer } from '../support/prometheus-server.ts'
import { allPanels, filledIn, readDashboard } from './dashboard.ts'

const FOLDER = `${ROOT}deploy/raspberry-pi/prometheus`
const TOKEN = 'a-token-of-a-test-long-enough'
const CONNECTIONS_MAX = 6

const CONFIG = (port: number) => `
edge: line-7
streams:
  - { name: state, topics: [state/#], cleanup: compact, table: true, partitions: 1 }
  - { name: events, topics: ["#"], partitions: 2 }
log: { disk: { enduranceBytes: 32000000000000, bytesMax: 100000000 } }
limits: { connectionsMax: ${CONNECTIONS_MAX} }
http: { address: "127.0.0.1:${port}", tokenFile: token }
`

/** What has no data here, and why. */
const EMPTY: Record<string, string> = {
  '404 A': 'the life of a card is told from ten minutes on',
  '409 D': 'no table has failed',
  '506 B': 'an archive has no link',
  '511 A': 'an archive has no certificate',
  '513 A': 'no downlink',
  '513 B': 'no downlink',
  '513 C': 'no downlink',
  '514 A': 'no downlink',
  '515 A': 'no downlink',
  '516 A': 'no downlink',
  '606 A': 'nothing was dropped',
  '610 A': 'no listener has TLS',
  '610 B': 'no listener has TLS',
  '705 A': 'over UDP there are no frames that noise could damage',
  '708 A': 'nothing was lost',
  '708 B': 'nothing was lost',
  '708 D': 'no lines, no registers',
  '709 A': 'nobody was refused',
  '709 B': 'all were packets',
  '710 C': 'no lines, no registers',
  '714 A': 'nothing went to a device',
}
/** The lag falls or is gone already, and the memory that a process may have is this machine's business. */
const MAY_BE_EMPTY = ['507 A', '512 A', '901 C']

const targets = allPanels(readDashboard()).flatMap(({ id, title, targets: asked }) =>
  (asked ?? []).map(({ refId, expr }) => ({ key: `${id} ${refId}`, title, expr })),
)

/** The example, a second for half a minute, with targets and the token of this test. */
function writeConfig(directory: string, edge: number, bridge: number): string {
  const config = parse(readFileSync(join(FOLDER, 'prometheus.yml'), 'utf8'))
  config.global = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' }
  config.rule_files = [join(FOLDER, 'alerts.yaml')]
  for (const [name, port] of [
    ['edges', edge],
    ['bridges', bridge],
  ] as const) {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'all.json'), JSON.stringify([{ targets: [`127.0.0.1:${port}`] }]))
  }
  writeFileSync(join(directory, 'headwater-token'), TOKEN, { mode: 0o600 })
  const file = join(directory, 'prometheus.yml')
  writeFileSync(file, stringify(config))
  return file
}

describe.skipIf(!hasPrometheus)('Prometheus with a broker and a bridge', () => {
  let broker: Running
  let bridge: BridgeProcess
  let prometheus: PrometheusServer
  let device: MqttSnClient
  const clients: MqttClient[] = []

  beforeAll(async () => {
    const home = scratch()
    const [http, status, udp] = [await freePort(), await freePort(), await freePort()]
    writeFileSync(join(home, 'headwater.yaml'), CONFIG(http))
    writeFileSync(join(home, 'token'), TOKEN, { mode: 0o600 })
    // the file says where it listens
    const started = await startBroker([], home, { HEADWATER_HTTP_ADDRESS: `127.0.0.1:${http}` })
    broker = started.broker
    writeFileSync(
      join(home, 'bridge.yaml'),
      `data: ./bridge-data
broker: { url: "mqtt://127.0.0.1:${started.port}" }
links: [{ kind: udp, address: "127.0.0.1:${udp}" }]
status: { address: "127.0.0.1:${status}", topicPrefix: "" }
`,
    )
    bridge = new BridgeProcess(['--config', join(home, 'bridge.yaml')])
    await bridge.start()
    prometheus = await PrometheusServer.start(home, writeConfig(home, http, status))
    await prometheus.until(
      'count_over_time(headwater_build_info[1m])',
      (found) => (found[0]?.value ?? 0) >= 2,
    )
    const client = await connectAsync(`mqtt://127.0.0.1:${started.port}`, {
      clientId: 'sensor',
      reconnectPeriod: 0,
    })
    clients.push(client)
    await client.subscribeAsync('#', { qos: 1 })
    device = await MqttSnClient.open(udp, 'pump')
    await device.connected(true)
    for (let i = 0; i < 20; i++) {
      await client.publishAsync(`state/${i}`, '{"on":true}', { qos: 1, retain: i === 0 })
      await client.publishAsync(`plant/${i}`, `${i}`, { qos: 1 })
      await device.publishSurely('plant/pump', Buffer.from(`${i}`))
    }
    // all connections that there may be: an alarm
    while (clients.length < CONNECTIONS_MAX) {
      // one that is refused must not try again: the promise would never end
      const options = { reconnectPeriod: 0, connectTimeout: 10_000 }
      const more = await connectAsync(`mqtt://127.0.0.1:${started.port}`, options, false).catch(() => null)
      if (more === null) break
      more.on('error', () => {})
      clients.push(more)
    }
    await prometheus.until('sum(headwater_stream_records)', (found) => found[0]?.value === 60)
    await prometheus.until(
      'sum(increase(headwater_bridge_publishes_total[1m]))',
      (found) => found[0]!.value > 0,
    )
    await prometheus.until('headwater_alarm_open', (found) => found.length > 0)
    await prometheus.until('up', (found) => found.length === 2 && found.every(({ value }) => value === 1))
  }, 240_000)

  afterAll(async () => {
    device?.close()
    for (const client of clients) client.end(true)
    await prometheus?.close()
    await bridge?.end('SIGTERM')
    await broker?.end('SIGTERM')
  })

  it('answers every query of the dashboard, and with data where there is some', async () => {
    const empty: string[] = []
    for (const { key, expr } of targets) {
      const found = await prometheus.query(filledIn(expr, '1m'))
      if (!found.some(({ value }) => !Number.isNaN(value))) empty.push(key)
    }
    expect(empty.filter((key) => !MAY_BE_EMPTY.includes(key))).toEqual(Object.keys(EMPTY))
    expect(targets.length).toBeGreaterThan(100)
  }, 120_000)

  it('shows the numbers that there are', async () => {
    const asked = async (id: string) => {
      const { expr } = targets.find(({ key }) => key === id)!
      return prometheus.query(filledIn(expr, '1m'))
    }
    expect(await asked('101 A')).toMatchObject([{ value: 1 }])
    expect(await asked('102 A')).toMatchObject([{ value: 0 }])
    expect(await asked('106 A')).toMatchObject([{ metric: { edge: 'line-7' }, value: 1 }])
    expect(await asked('402 A')).toEqual(
      expect.arrayContaining([
        { metric: { stream: 'events' }, value: 40 },
        { metric: { stream: 'state' }, value: 20 },
      ]),
    )
    expect(await asked('601 B')).toMatchObject([{ value: CONNECTIONS_MAX }])
    const states = await asked('702 A')
    expect(states.find(({ metric }) => metric.state === 'active')).toMatchObject({ value: 1 })
    // two clocks of one machine
    const [skew] = await asked('802 A')
    expect(Math.abs(skew!.value)).toBeLessThan(30)
  })

  it('evaluates all rules, and fires for the alarm that the broker has', async () => {
    await prometheus.until(
      'ALERTS{alertname="HeadwaterConnectionLimit",alertstate="firing"}',
      (found) => found.length === 1,
    )
    const rules = await prometheus.rules()
    expect(rules.length).toBeGreaterThan(40)
    expect(
      rules.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => [name, lastError]),
    ).toEqual([])
  })

  it('sees that an edge is gone', async () => {
    await broker.end('SIGKILL')
    await prometheus.until(
      'ALERTS{alertname="HeadwaterEdgeDown"}',
      (found) => found[0]?.metric.alertstate === 'pending',
    )
    // what the edge said last goes on
    const fired = await prometheus.query('ALERTS{alertname="HeadwaterConnectionLimit",alertstate="firing"}')
    expect(fired).toHaveLength(1)
  }, 60_000)
})
