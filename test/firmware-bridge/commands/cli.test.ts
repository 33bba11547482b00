/** `headwater-bridge` as an operator calls it. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BridgeProcess, runBridge } from '../../support/bridge-process.ts'
import { freePort } from '../../support/kafka/ports.ts'
import { MqttSnClient } from '../../support/mqtt-sn-client.ts'
import { startBroker, type TestBroker, until } from '../uplink/support.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'headwater-bridge-cli-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

describe('without a running bridge', () => {
  it('init writes a configuration that check takes, and does not replace one', async () => {
    const file = join(directory, 'made.yaml')
    expect(await runBridge(['init', file])).toMatchObject({ code: 0 })
    expect(await readFile(file, 'utf8')).toContain('# The MQTT broker.')
    const again = await runBridge(['init', file])
    expect(again.code).toBe(2)
    expect(again.stderr).toMatch(/^headwater-bridge: HW_USAGE: .* exists already - /)
    const check = await runBridge(['config', 'check', file])
    expect(check).toMatchObject({ code: 0 })
    expect(check.stdout).toContain('ok  ')
  })

  it('check names every problem with its place, and start does the same', async () => {
    const file = join(directory, 'bad.yaml')
    await writeFile(file, 'brokr: {}\nsessions: one\n')
    for (const command of [
      ['config', 'check', file],
      ['start', '--config', file],
    ]) {
      const { code, stderr } = await runBridge(command)
      expect(code).toBe(2)
      expect(stderr).toContain(
        `HW_CONFIG: ${file}:1:1: unknown key "brokr" at the top level - did you mean "broker"?`,
      )
      expect(stderr).toContain(`HW_CONFIG: ${file}:2:11: sessions is "one" - it is device or aggregated`)
    }
    const json = await runBridge(['config', 'check', file, '--json'])
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, problems: [{ code: 'HW_CONFIG' }, {}] })
  })

  it('show prints what counts', async () => {
    const env = { ...process.env, HEADWATER_BRIDGE_BROKER_URL: 'mqtt://far' }
    const { stdout } = await runBridge(['config', 'show', '--effective', '--json'], env)
    expect(JSON.parse(stdout)).toMatchObject({
      config: { broker: { url: 'mqtt://far' }, gateway: { id: 1 } },
    })
  })

  it('status says so with a code of its own', async () => {
    const env = { ...process.env, HEADWATER_BRIDGE_STATUS_ADDRESS: `127.0.0.1:${await freePort()}` }
    const { code, stderr } = await runBridge(['status'], env)
    expect(code).toBe(3)
    expect(stderr).toMatch(/^headwater-bridge: HW_BRIDGE_NOT_RUNNING: /)
  })

  it('a mistake on the command line is one line and code 2; help is code 0', async () => {
    const mistake = await runBridge(['stats'])
    expect(mistake).toMatchObject({ code: 2 })
    expect(mistake.stderr).toMatch(/^headwater-bridge: .*\n$/)
    for (const args of [['--help'], ['start', '--help'], ['config', '--help']]) {
      expect(await runBridge(args)).toMatchObject({ code: 0 })
    }
  })

  it('ports lists what is there', async () => {
    const { code, stdout } = await runBridge(['ports', '--json'])
    expect(code).toBe(0)
    expect(Array.isArray(JSON.parse(stdout))).toBe(true)
  })
})

describe('a running bridge', () => {
  let broker: TestBroker
  let bridge: BridgeProcess
  let config: string
  let udpPort: number
  let statusPort: number

  beforeAll(async () => {
    broker = await startBroker()
    udpPort = await freePort()
    statusPort = await freePort()
    config = join(directory, 'bridge.yaml')
    await writeFile(
      config,
      `data: ./data
broker: { url: "mqtt://127.0.0.1:${broker.port}" }
links:
  - { kind: udp, address: "127.0.0.1:${udpPort}" }
  - { kind: serial, port: /dev/does-not-exist, protocol: line, format: json, topic: lines }
status: { address: "127.0.0.1:${statusPort}" }
`,
    )
    bridge = new BridgeProcess(['--config', config])
    await bridge.start()
  })
  afterAll(async () => {
    await bridge.end('SIGTERM')
    await broker.stop()
  })

  it('shows broker, links and devices, and that a port is missing', async () => {
    const client = await MqttSnClient.open(udpPort, 'pump-7')
    await client.connected(true)
    await client.publishSurely('plant/pump-7', Buffer.from('1'))
    client.close()
    const { code, stdout } = await bridge.run(['status'])
    expect(code).toBe(1)
    expect(stdout).toContain('is ailing')
    expect(stdout).toMatch(/^pump-7 +active .* 1 /m)
    expect(stdout).toMatch(/^serial \/dev\/does-not-exist +line .*\/dev\/does-not-exist/m)
    const one = await bridge.run(['status', '--device', 'pump-7', '--json'])
    expect(JSON.parse(one.stdout)).toMatchObject({ clientId: 'pump-7', published: 1 })
    const metrics = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text()
    expect(metrics).toContain('headwater_bridge_device_published_messages_total{device="pump-7"} 1')
  })

  it('another one on its data directory is told so', async () => {
    const env = { ...process.env, HEADWATER_BRIDGE_STATUS_ADDRESS: `127.0.0.1:${await freePort()}` }
    const { code, stderr } = await runBridge(['start', '--config', config], env)
    expect(code).toBe(4)
    expect(stderr).toContain('HW_BRIDGE_LOCKED')
  })

  it('and one on its status address', async () => {
    const { code, stderr } = await runBridge([
      'start',
      '--config',
      config,
      '--data',
      join(directory, 'other'),
    ])
    expect(code).toBe(6)
    expect(stderr).toContain('HW_BRIDGE_STATUS_ADDRESS')
  })

  it('its retained topics say online, and offline once it is killed or ends', async () => {
    const reader = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`)
    const states: string[] = []
    reader.on('message', (_, payload) => states.push(JSON.parse(String(payload)).state))
    await reader.subscribeAsync('headwater-bridge/1/state', { qos: 1 })
    await until(() => states.includes('online'))
    await bridge.end('SIGKILL')
    await until(() => states.at(-1) === 'offline')
    await bridge.start()
    await until(() => states.at(-1) === 'online')
    expect(await bridge.end('SIGTERM')).toBe(0)
    await until(() => states.at(-1) === 'offline')
    expect(bridge.output).toContain('stopped; all that was acknowledged is with the broker')
    reader.end(true)
  })
})
