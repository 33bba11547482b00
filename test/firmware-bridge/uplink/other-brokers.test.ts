/** The bridge is an ordinary MQTT client: brokers that know 3.1.1 alone, and Mosquitto where it is installed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Aedes } from 'aedes'
import mqtt, { type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../support/kafka/ports.ts'
import { MqttProxy } from './mqtt-proxy.ts'
import { connectOf, MemoryWindowDb, message, startUplink, TestDevice, until } from './support.ts'

describe('a broker without MQTT 5', () => {
  let server: Server
  let port: number
  const published: string[] = []

  beforeAll(async () => {
    const aedes = await Aedes.createBroker()
    aedes.on('publish', ({ topic, payload }) => {
      if (!topic.startsWith('$SYS')) published.push(`${topic} ${payload}`)
    })
    server = createServer(aedes.handle)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as { port: number }).port
  })
  afterAll(() => void server.close())

  it('is spoken to with 3.1.1: messages, subscriptions, a clean end', async () => {
    const uplink = await startUplink(port, new MemoryWindowDb())
    expect(uplink.status().protocol).toBe('3.1.1')
    const listener = new TestDevice()
    const session = await uplink.connect(connectOf('old', { isClean: true, listener }))
    const properties = { 'bridge.device': 'old' }
    expect((await session.publish(message('up', 'm', { properties }))).kind).toBe('accepted')
    expect((await session.publish(message('up', 'm', { isDup: true }))).kind).toBe('repeated')
    expect(published).toContain('up m')
    expect(await session.subscribe('down', 1)).toBe(1)
    uplink.publishUnconnected(message('down', 'for you', { qos: 0 }))
    await until(() => listener.messages.length === 1)
    await session.end('clean')
    await uplink.close()
  })
})

it('a broker that forgets its sessions gets all their subscriptions again', async () => {
  let aedes = await Aedes.createBroker()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    aedes.handle(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const uplink = await startUplink((server.address() as AddressInfo).port, new MemoryWindowDb())
  const session = await uplink.connect(connectOf('remembered', { isClean: true }))
  for (const filter of ['down/1', 'down/2', 'down/3']) expect(await session.subscribe(filter, 1)).toBe(1)

  const filters: string[] = []
  aedes = await Aedes.createBroker()
  aedes.on('subscribe', (made, client) => {
    if (client.id === 'remembered') filters.push(...made.map(({ topic }) => topic))
  })
  for (const socket of sockets) socket.destroy()
  await until(() => filters.includes('down/3'))
  expect(filters).toEqual(['down/1', 'down/2', 'down/3'])
  await session.end('clean')
  await uplink.close()
  server.close()
})

const hasMosquitto = spawnSync('mosquitto', ['-h']).error === undefined

describe.skipIf(!hasMosquitto)('Mosquitto', () => {
  let directory: string
  let child: ChildProcess
  let port: number
  let proxy: MqttProxy
  let reader: MqttClient
  const received: string[] = []

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-mosquitto-'))
    port = await freePort()
    const config = join(directory, 'mosquitto.conf')
    await writeFile(config, `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\n`)
    child = spawn('mosquitto', ['-c', config], { stdio: 'ignore' })
    await until(async () => {
      const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 })
      const isUp = await new Promise<boolean>((resolve) => {
        client.once('connect', () => resolve(true))
        client.once('close', () => resolve(false))
      })
      client.end(true)
      return isUp
    })
    proxy = await MqttProxy.start(port)
    reader = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 })
    reader.on('message', (topic, payload) => received.push(`${topic} ${payload}`))
    await reader.subscribeAsync('t/#', { qos: 2 })
  })

  afterAll(async () => {
    reader.end(true)
    await proxy.close()
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    await rm(directory, { recursive: true, force: true })
  })

  it.each([
    { name: 'PUBREC', cmd: 'pubrec', isUp: false, isTold: false },
    { name: 'PUBREL', cmd: 'pubrel', isUp: true, isTold: true },
    { name: 'PUBCOMP', cmd: 'pubcomp', isUp: false, isTold: true },
  ])(
    'a bridge that is killed before $name: subscribers get the repeated message once',
    async ({ name, cmd, isUp, isTold }) => {
      const topic = `t/${name}`
      const db = new MemoryWindowDb()
      const before = await startUplink(proxy.port, db, { bridgeClientId: `own-${name}` })
      const session = await before.connect(connectOf(`device-${name}`, { isClean: true }))
      let isLost = false
      proxy.watch = (packet, up) => {
        if (packet.cmd !== cmd || up !== isUp) return 'pass'
        isLost = true
        return 'drop'
      }
      const told = session.publish(message(topic, 'once', { messageId: 7 }))
      await until(() => isLost)
      if (isTold) expect((await told).kind).toBe('accepted')
      db.isFrozen = true
      proxy.watch = () => 'cut'
      proxy.cut()
      void before.close()

      proxy.watch = () => 'pass'
      const after = await startUplink(proxy.port, new MemoryWindowDb(db.kept), {
        bridgeClientId: `own-${name}`,
      })
      const again = await after.connect(connectOf(`device-${name}`))
      const answer = await again.publish(message(topic, 'once', { messageId: 7, isDup: true }))
      expect(answer.kind).toBe(isTold ? 'repeated' : 'accepted')
      // and what comes next comes after it
      await until(
        async () => (await again.publish(message(topic, 'next', { messageId: 8 }))).kind === 'accepted',
      )
      await until(() => received.includes(`${topic} next`))
      expect(received.filter((line) => line.startsWith(`${topic} `))).toEqual([
        `${topic} once`,
        `${topic} next`,
      ])
      await after.close()
    },
  )

  it('gives messages for a device again until it has them, and QoS 2 once', async () => {
    const uplink = await startUplink(port, new MemoryWindowDb(), { bridgeClientId: 'own-down' })
    const listener = new TestDevice()
    let acknowledge = () => {}
    listener.acknowledge = () =>
      new Promise((resolve) => {
        acknowledge = resolve
      })
    const session = await uplink.connect(connectOf('sleeper', { isClean: true, listener }))
    expect(await session.subscribe('command', 2)).toBe(2)
    await reader.publishAsync('command', 'go', { qos: 2 })
    await until(() => listener.messages.length === 1)
    expect(listener.messages[0]).toMatchObject({ topic: 'command', qos: 2 })
    await session.end('lost')
    const awake = new TestDevice()
    const again = await uplink.connect(connectOf('sleeper', { listener: awake }))
    await until(() => awake.messages.length === 1)
    acknowledge()
    await again.end('lost')
    const third = new TestDevice()
    const last = await uplink.connect(connectOf('sleeper', { listener: third }))
    await reader.publishAsync('command', 'again', { qos: 1 })
    await until(() => third.messages.length === 1)
    expect(String(third.messages[0]!.payload)).toBe('again')
    await last.end('clean')
    await uplink.close()
  })
})
