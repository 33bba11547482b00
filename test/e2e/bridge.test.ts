/**
 * From a device over UDP to the log: devices publish through the bridge into the broker while both are killed at random moments. Each
 * acknowledged message is in the log once, in the order of its device, with the headers that the bridge gives it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBroker, type TestBroker } from '../firmware-bridge/uplink/support.ts'
import { BridgeProcess } from '../support/bridge-process.ts'
import { freePort } from '../support/kafka/ports.ts'
import { MqttSnClient } from '../support/mqtt-sn-client.ts'
import { seededRandom, testSeed } from '../support/random.ts'

const DEVICES = 3
const MESSAGES = 120
const KILLS = 5

describe.each(['device', 'aggregated'])('sessions: %s', (sessions) => {
  let directory: string
  let broker: TestBroker
  let bridge: BridgeProcess
  let udpPort: number

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-bridge-e2e-'))
    broker = await startBroker()
    udpPort = await freePort()
    const config = join(directory, 'bridge.yaml')
    await writeFile(
      config,
      `data: ./data
broker: { url: "mqtt://127.0.0.1:${broker.port}" }
sessions: ${sessions}
links: [{ kind: udp, address: "127.0.0.1:${udpPort}" }]
status: { address: "127.0.0.1:${await freePort()}" }
`,
    )
    bridge = new BridgeProcess(['--config', config])
    await bridge.start()
  })

  afterAll(async () => {
    await bridge.end('SIGTERM')
    await broker.stop()
    await rm(directory, { recursive: true, force: true })
  })

  it('every acknowledged message is in the log once and in order, over kills of both', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    console.log(`bridge ${sessions}: HEADWATER_TEST_SEED=${seed}`)
    let acknowledged = 0
    const devices = Array.from({ length: DEVICES }, async (_, index) => {
      const client = await MqttSnClient.open(udpPort, `device-${index}`)
      await client.connected(true)
      for (let message = 0; message < MESSAGES; message++) {
        await client.publishSurely(`plant/device-${index}/level`, Buffer.from(`${message}`))
        acknowledged++
      }
      client.close()
      return client.repetitions
    })
    const killing = (async () => {
      for (let kill = 1; kill <= KILLS; kill++) {
        const from = acknowledged
        while (acknowledged < Math.min(from + random.between(20, 40), DEVICES * MESSAGES)) await delay(2)
        const victim = random.next() < 0.3 ? broker.process : bridge
        await victim.end('SIGKILL')
        await victim.start()
      }
    })()
    const repetitions = await Promise.all(devices)
    await killing
    console.log(`bridge ${sessions}: ${repetitions.reduce((a, b) => a + b)} repetitions`)
    for (let index = 0; index < DEVICES; index++) {
      const records = await broker.records(`plant/device-${index}/level`)
      expect(records.map(({ payload }) => payload)).toEqual(
        Array.from({ length: MESSAGES }, (_, n) => `${n}`),
      )
      for (const { headers } of records) {
        expect(headers['bridge.device']).toBe(`device-${index}`)
        expect(headers['bridge.link']).toBe(`udp 127.0.0.1:${udpPort}`)
        expect(Number(headers['bridge.arrival-time'])).toBeGreaterThan(1_700_000_000_000)
      }
    }
  }, 180_000)

  it('status and metrics tell of them', async () => {
    const { stdout } = await bridge.run(['status', '--json'])
    const report = JSON.parse(stdout)
    expect(report.uplink.isUp).toBe(true)
    expect(report.links).toMatchObject([{ kind: 'udp', protocol: 'mqtt-sn', trouble: null }])
    const text = await bridge.run(['status'])
    expect(text).toMatchObject({ code: 0 })
    expect(text.stdout).toContain('is running')
  })
})
