/** Listeners that come, go and change while clients of mqtt.js are connected. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync, connect as connectMqtt, type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BrokerConfig } from '../../broker/config/schema.ts'
import { type Certificate, createAuthority, createCertificate } from '../support/certificates.ts'
import { freePort } from '../support/kafka/ports.ts'
import { until } from './log/support.ts'
import { recordsIn, startBroker } from './mqtt/support.ts'

type Listener = BrokerConfig['mqtt']['listeners'][number]

const plant = createAuthority('plant')
const devices = createAuthority('devices')
const own = (): Certificate => createCertificate({ name: 'broker', names: ['127.0.0.1'], issuer: plant })
const sensor = createCertificate({ name: 'sensor-7', issuer: devices })

let directory: string
let clients: MqttClient[]
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-listeners-'))
  clients = []
})
afterEach(() => {
  for (const client of clients) client.end(true)
  rmSync(directory, { recursive: true, force: true })
})

function files(name: string, { cert, key } = own()) {
  const certFile = join(directory, `${name}.crt`)
  const keyFile = join(directory, `${name}.key`)
  writeFileSync(certFile, cert)
  writeFileSync(keyFile, key)
  return { certFile, keyFile }
}

const at = (port: number, more: Omit<Listener, 'address'> = {}): Listener => ({
  address: `127.0.0.1:${port}`,
  ...more,
})

/** Anonymous clients may do everything: also those that a certificate gives a name. */
async function start(...listeners: Listener[]) {
  const permissions = [{ users: ['*'], publish: ['#'], subscribe: ['#'] }]
  const started = await startBroker({
    change: (config) => {
      config.mqtt = { ...config.mqtt, anonymous: true, permissions, listeners }
    },
  })
  const { broker, config } = started
  const reload = (next: readonly Listener[], change: (config: BrokerConfig) => void = () => {}) => {
    const changed = structuredClone(config)
    changed.mqtt.listeners = [...next]
    change(changed)
    return broker.applyConfig(changed)
  }
  return { ...started, reload }
}

interface Connected {
  readonly client: MqttClient
  /** Reason codes of DISCONNECTs that it got. */
  readonly told: number[]
  isClosed(): boolean
}

async function connect(url: string, options: IClientOptions = {}): Promise<Connected> {
  const more = { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000, ...options } as const
  const client = await connectAsync(url, more, false)
  clients.push(client)
  client.on('error', () => {})
  const told: number[] = []
  let isClosed = false
  client.on('disconnect', ({ reasonCode }) => told.push(reasonCode ?? -1))
  client.on('close', () => {
    isClosed = true
  })
  return { client, told, isClosed: () => isClosed }
}

async function isRefused(url: string, options: IClientOptions = {}): Promise<boolean> {
  return connect(url, { connectTimeout: 2000, ...options }).then(
    () => false,
    () => true,
  )
}

async function taken(): Promise<{ port: number; server: Server }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as { port: number }).port, server }
}

const mqtt = (port: number) => `mqtt://127.0.0.1:${port}`
const mqtts = (port: number) => `mqtts://127.0.0.1:${port}`
const SERVER_SHUTTING_DOWN = 0x8b

describe('a reload', () => {
  it('opens a new listener beside those there are, whose clients notice nothing', async () => {
    const [first, second] = [await freePort(), await freePort()]
    const { broker, reload, sink } = await start(at(first))
    const before = await connect(mqtt(first))
    const tls = files('broker')
    expect(await reload([at(first), at(second, { tls })])).toEqual({
      applied: [`mqtt.listeners: 127.0.0.1:${second} added`],
      needsRestart: [],
    })
    expect(sink.lines.map(({ message }) => message)).toContain(
      `the configuration has changed: mqtt.listeners: 127.0.0.1:${second} added`,
    )
    const after = await connect(mqtts(second), { ca: plant.cert })
    await before.client.publishAsync('a', '1', { qos: 1 })
    await after.client.publishAsync('a', '2', { qos: 1 })
    expect((await recordsIn(broker)).map(({ value }) => value).sort()).toEqual(['1', '2'])
    expect(broker.status().mqtt).toMatchObject({
      listeners: [`127.0.0.1:${first}`, `mqtts://127.0.0.1:${second}`],
      tls: [{ listener: `mqtts://127.0.0.1:${second}`, fault: null }],
    })
    expect(before.isClosed()).toBe(false)
  })

  it('closes one that is gone, tells its clients why, and keeps their sessions', async () => {
    const [first, second] = [await freePort(), await freePort()]
    const { broker, reload } = await start(at(first), at(second))
    const session = { clean: false, clientId: 'hmi', properties: { sessionExpiryInterval: 600 } }
    const gone = await connect(mqtt(first), session)
    await gone.client.subscribeAsync('a/#', { qos: 1 })
    const old = await connect(mqtt(first), { protocolVersion: 4 })
    const stays = await connect(mqtt(second))
    expect((await reload([at(second)])).applied).toEqual([
      `mqtt.listeners: 127.0.0.1:${first} removed, and its connections end`,
    ])
    await until(() => gone.isClosed() && old.isClosed(), 'their connections have ended')
    expect(gone.told).toEqual([SERVER_SHUTTING_DOWN])
    expect(await isRefused(mqtt(first))).toBe(true)
    expect(broker.status().mqtt.listeners).toEqual([`127.0.0.1:${second}`])
    await stays.client.publishAsync('a/b', 'while it was away', { qos: 1 })
    expect(stays.isClosed()).toBe(false)
    const got: string[] = []
    const more = connectMqtt(mqtt(second), { ...session, protocolVersion: 5, reconnectPeriod: 0 })
    clients.push(more)
    more.on('message', (_topic, payload) => got.push(String(payload)))
    await until(() => got.length === 1, 'what waited for it has come')
    expect(got).toEqual(['while it was away'])
  })

  it('that cannot have an address changes nothing at all, and says in one line why', async () => {
    const [first, second] = [await freePort(), await freePort()]
    const { port, server } = await taken()
    try {
      const { broker, reload } = await start(at(first))
      const before = await connect(mqtt(first))
      const failed = reload([at(second), at(port)], (config) => {
        config.limits.connectionsMax = 7
      })
      await expect(failed).rejects.toMatchObject({
        code: 'HW_RELOAD_REFUSED',
        message: `the configuration stays as it is: cannot listen on 127.0.0.1:${port}: the port is in use (stop what uses it (\`ss -ltnp\`), or set another mqtt.listeners address)`,
      })
      expect(broker.status().mqtt).toMatchObject({
        listeners: [`127.0.0.1:${first}`],
        connectionsMax: 1000,
        connections: 1,
      })
      expect(await isRefused(mqtt(second))).toBe(true)
      expect(before.isClosed()).toBe(false)
      await connect(mqtt(first))
      // as its line says
      await new Promise((resolve) => server.close(resolve))
      await reload([at(second), at(port)])
      await connect(mqtt(port))
    } finally {
      server.close()
    }
  })

  it('that fails later closes what it had bound', async () => {
    const [first, second] = [await freePort(), await freePort()]
    const { broker, reload } = await start(at(first))
    broker.log.redefine = () => Promise.reject(new Error('EIO'))
    await expect(reload([at(first), at(second)])).rejects.toThrow('EIO')
    expect(broker.status().mqtt.listeners).toEqual([`127.0.0.1:${first}`])
    // somebody else can have it
    const other = createServer().listen(second, '127.0.0.1')
    await once(other, 'listening')
    await new Promise((resolve) => other.close(resolve))
  })

  it('turns TLS on at an address: who came without is ended, and the address is never free', async () => {
    const first = await freePort()
    const { reload } = await start(at(first))
    const plain = await connect(mqtt(first))
    const tls = files('broker')
    expect((await reload([at(first, { tls })])).applied).toEqual([
      `mqtt.listeners: 127.0.0.1:${first} changed`,
    ])
    await until(() => plain.isClosed(), 'its connection has ended')
    expect(plain.told).toEqual([SERVER_SHUTTING_DOWN])
    expect(await isRefused(mqtt(first))).toBe(true)
    const after = await connect(mqtts(first), { ca: plant.cert })
    await after.client.publishAsync('a', '1', { qos: 1 })
    await reload([at(first, { tls, webSocket: { path: '/mqtt' } })])
    await until(() => after.isClosed(), 'its connection has ended')
    await connect(`wss://127.0.0.1:${first}/mqtt`, { ca: plant.cert })
  })

  it('takes certificates from other files, and judges clients by the authorities that are there later', async () => {
    const first = await freePort()
    const clientCaFile = join(directory, 'devices.crt')
    writeFileSync(clientCaFile, devices.cert)
    const [old, next] = [files('old'), files('next')]
    const { broker, reload } = await start(at(first, { tls: { ...old, clientCaFile } }))
    const mine = { ca: plant.cert, cert: sensor.cert, key: sensor.key }
    const before = await connect(mqtts(first), mine)
    await reload([at(first, { tls: { ...next, clientCaFile } })])
    const after = await connect(mqtts(first), mine)
    expect(broker.status().mqtt.tls).toMatchObject([{ certFile: next.certFile }])
    expect([before.isClosed(), after.isClosed()]).toEqual([false, false])
    await before.client.publishAsync('a', '1', { qos: 1 })
    writeFileSync(clientCaFile, createAuthority('others').cert)
    await reload([at(first, { tls: { ...next, clientCaFile } })])
    await until(() => before.isClosed() && after.isClosed(), 'nobody vouches for them')
  })

  it('with a missing certificate is refused before anything is bound', async () => {
    const [first, second] = [await freePort(), await freePort()]
    const { reload } = await start(at(first))
    const tls = { certFile: join(directory, 'no.crt'), keyFile: join(directory, 'no.key') }
    await expect(reload([at(second), at(first, { tls })])).rejects.toMatchObject({
      code: 'HW_RELOAD_REFUSED',
      message: expect.stringMatching(/no\.crt is not there \(put it there, or correct mqtt\.listeners\)$/),
    })
    expect(await isRefused(mqtt(second))).toBe(true)
    await connect(mqtt(first))
  })
})
