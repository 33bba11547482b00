/** The uplink on the real broker: what a device's message, subscription and will become. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentSink } from '../../../broker/log-sink.ts'
import type { SessionsMode } from '../../../firmware-bridge/uplink/config.ts'
import { MqttUplink } from '../../../firmware-bridge/uplink/mqtt-uplink.ts'
import {
  connectOf,
  MemoryWindowDb,
  message,
  startBroker,
  startUplink,
  type TestBroker,
  TestDevice,
  until,
  uplinkConfig,
} from './support.ts'

let broker: TestBroker
let next = 0

beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker.stop())

const payloads = async (topic: string) => (await broker.records(topic)).map(({ payload }) => payload)

describe.each(['device', 'aggregated'] as SessionsMode[])('sessions: %s', (sessions) => {
  let uplink: MqttUplink
  let clientId: string
  let topic: string

  beforeAll(async () => {
    uplink = await startUplink(broker.port, new MemoryWindowDb(), {
      sessions,
      bridgeClientId: `own-${sessions}`,
    })
  })
  afterAll(() => uplink.close())

  const open = (more = {}) => {
    clientId = `${sessions}-${++next}`
    topic = `t/${clientId}`
    return uplink.connect(connectOf(clientId, { isClean: true, ...more }))
  }

  it('an accepted message is in the log with its properties as headers', async () => {
    const session = await open()
    const properties = { 'bridge.device': 'x', 'bridge.clock': 'trusted' }
    expect(await session.publish(message(topic, 'm', { properties }))).toEqual({ kind: 'accepted' })
    expect(await broker.records(topic)).toMatchObject([{ payload: 'm', headers: properties }])
    await session.end('clean')
  })

  it('a repetition is one with DUP, the same id and the same bytes', async () => {
    const session = await open()
    const send = async (payload: string, isDup: boolean) =>
      (await session.publish(message(topic, payload, { messageId: 5, isDup }))).kind
    expect(await send('a', false)).toBe('accepted')
    expect(await send('a', true)).toBe('repeated')
    await until(() => uplink.status().inFlight === 0)
    expect(await send('a', false)).toBe('accepted')
    await until(() => uplink.status().inFlight === 0)
    expect(await send('b', true)).toBe('accepted')
    expect(await payloads(topic)).toEqual(['a', 'a', 'b'])
    await session.end('clean')
  })

  it('repetitions while the first is on its way get its answer', async () => {
    const session = await open()
    const sends = [false, true, true].map((isDup) => session.publish(message(topic, 'once', { isDup })))
    expect(await Promise.all(sends)).toEqual([
      { kind: 'accepted' },
      { kind: 'accepted' },
      { kind: 'accepted' },
    ])
    expect(await payloads(topic)).toEqual(['once'])
    await session.end('clean')
  })

  it('the window outlives the session, and not a clean one', async () => {
    const first = await open()
    await first.publish(message(topic, 'kept', { messageId: 9 }))
    await first.end('lost')
    const again = await uplink.connect(connectOf(clientId))
    expect((await again.publish(message(topic, 'kept', { messageId: 9, isDup: true }))).kind).toBe('repeated')
    await again.end('lost')
    const anew = await uplink.connect(connectOf(clientId, { isClean: true }))
    expect((await anew.publish(message(topic, 'kept', { messageId: 9, isDup: true }))).kind).toBe('accepted')
    expect(await payloads(topic)).toEqual(['kept', 'kept'])
    await anew.end('clean')
  })

  it('a released id of QoS 2 is the next message’s, though it looks like a repetition', async () => {
    const session = await open()
    const two = { qos: 2, messageId: 3 } as const
    expect((await session.publish(message(topic, 'x', two))).kind).toBe('accepted')
    expect((await session.publish(message(topic, 'x', { ...two, isDup: true }))).kind).toBe('repeated')
    await session.release(3)
    await until(() => uplink.status().inFlight === 0)
    expect((await session.publish(message(topic, 'x', { ...two, isDup: true }))).kind).toBe('accepted')
    expect(await payloads(topic)).toEqual(['x', 'x'])
    await session.end('clean')
  })

  it('more at once than the window holds is congestion, and nothing of it is lost', async () => {
    const session = await open()
    const all = Array.from({ length: 40 }, (_, index) => index + 1)
    const first = await Promise.all(
      all.map((messageId) => session.publish(message(topic, `${messageId}`, { messageId }))),
    )
    const congested = all.filter((_, index) => first[index]!.kind === 'congested')
    expect(congested.length).toBeGreaterThan(0)
    for (const messageId of congested) {
      const again = () => session.publish(message(topic, `${messageId}`, { messageId, isDup: true }))
      await until(async () => (await again()).kind !== 'congested')
    }
    expect((await payloads(topic)).map(Number).toSorted((a, b) => a - b)).toEqual(all)
    await session.end('clean')
  })

  it('QoS 0 and messages of devices that never connect are handed over', async () => {
    const session = await open()
    expect((await session.publish(message(topic, 'zero', { qos: 0, messageId: 0 }))).kind).toBe('accepted')
    expect(uplink.publishUnconnected(message(topic, 'minus one', { qos: 0, messageId: 0 }))).toBe(true)
    await until(async () => (await broker.records(topic)).length === 2)
    await session.end('clean')
  })

  it('a topic with a wildcard is refused before the broker sees it', async () => {
    const session = await open()
    expect((await session.publish(message('a/#', 'x'))).kind).toBe('refused')
    expect((await session.publish(message(topic, 'y'))).kind).toBe('accepted')
    await session.end('clean')
  })

  it('a message for a device comes again until the device has it', async () => {
    const listener = new TestDevice()
    listener.acknowledge = () => new Promise(() => {})
    const session = await open({ listener })
    expect(await session.subscribe(`down/${clientId}`, 1)).toBe(1)
    const sender = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`)
    await sender.publishAsync(`down/${clientId}`, 'open', { qos: 1 })
    await until(() => listener.messages.length === 1)
    // what the device sends is not held up by what it has not acknowledged
    expect((await session.publish(message(topic, 'meanwhile'))).kind).toBe('accepted')
    if (sessions === 'device') {
      await broker.process.end('SIGKILL')
      await broker.process.start()
      await until(() => uplink.isUp)
      const second = new TestDevice()
      await session.end('lost')
      const again = await uplink.connect(connectOf(clientId, { listener: second }))
      expect(again.isPresent).toBe(true)
      await until(() => second.messages.length === 1)
      expect(second.messages[0]!.payload.toString()).toBe('open')
      await again.end('clean')
    } else await session.end('clean')
    sender.end(true)
  })

  it('the will is published when the device is lost, and not when it says goodbye', async () => {
    const will = { topic: `will/${++next}`, payload: Buffer.from('gone'), qos: 1, isRetained: false } as const
    await (await open({ will })).end('clean')
    const session = await open({ will })
    await session.setWill({ ...will, payload: Buffer.from('gone for good') })
    await session.end('lost')
    await until(async () => (await payloads(will.topic)).length > 0)
    expect(await payloads(will.topic)).toEqual(['gone for good'])
  })

  it('a message of QoS 0 while the will is changed is published, or said not to be', async () => {
    const will = { topic: `will/${++next}`, payload: Buffer.from('gone'), qos: 1, isRetained: false } as const
    const session = await open({ will })
    const changed = session.setWill({ ...will, payload: Buffer.from('gone for good') })
    const { kind } = await session.publish(message(topic, 'meanwhile', { qos: 0 }))
    await changed
    expect((await session.publish(message(topic, 'after it', { messageId: 1 }))).kind).toBe('accepted')
    const wanted = kind === 'accepted' ? ['meanwhile', 'after it'] : ['after it']
    expect(await payloads(topic)).toEqual(wanted)
    await session.end('clean')
    expect(await payloads(will.topic)).toEqual([])
  })

  it('while the broker is away messages are congestion, and sessions go on by themselves', async () => {
    const session = await open()
    await session.publish(message(topic, 'before', { messageId: 1 }))
    await broker.process.end('SIGTERM')
    await until(() => !uplink.isUp)
    expect((await session.publish(message(topic, 'after', { messageId: 2 }))).kind).toBe('congested')
    expect(uplink.publishUnconnected(message(topic, 'lost', { qos: 0, messageId: 0 }))).toBe(false)
    await expect(uplink.connect(connectOf('newcomer'))).rejects.toMatchObject({
      code: 'HW_BRIDGE_BROKER_UNREACHABLE',
      retryable: true,
    })
    await broker.process.start()
    const again = () => session.publish(message(topic, 'after', { messageId: 2, isDup: true }))
    await until(async () => (await again()).kind !== 'congested')
    expect(await payloads(topic)).toEqual(['before', 'after'])
    await session.end('clean')
  })
})

it('a device whose client id another client takes is told', async () => {
  const uplink = await startUplink(broker.port, new MemoryWindowDb(), { bridgeClientId: 'own-takeover' })
  const listener = new TestDevice()
  await uplink.connect(connectOf('wanted', { listener, isClean: true }))
  const other = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
    clientId: 'wanted',
    protocolVersion: 5,
  })
  await until(() => listener.ends.length === 1)
  expect(listener.ends[0]).toContain('another client')
  expect(uplink.status().sessions).toBe(0)
  other.end(true)
  await uplink.close()
})

it('a second connect of a device takes the place of the first, which is not heard of again', async () => {
  const uplink = await startUplink(broker.port, new MemoryWindowDb(), { bridgeClientId: 'own-second' })
  const first = new TestDevice()
  const [, session] = await Promise.all([
    uplink.connect(connectOf('twice', { listener: first })),
    uplink.connect(connectOf('twice')),
  ])
  expect((await session.publish(message('t/twice', 'm'))).kind).toBe('accepted')
  expect(first.ends).toEqual([])
  expect(uplink.status().sessions).toBe(1)
  await uplink.close()
})

it('a window that does not reach the disk acknowledges nothing, and the message is in the log once when it does', async () => {
  const db = new MemoryWindowDb()
  const uplink = await startUplink(broker.port, db, { bridgeClientId: 'own-disk' })
  const session = await uplink.connect(connectOf('full-disk', { isClean: true }))
  db.fault = new Error('no space left')
  expect((await session.publish(message('t/full-disk', 'm', { messageId: 4 }))).kind).toBe('congested')
  expect(uplink.status().windowFailedCommits).toBeGreaterThan(0)
  db.fault = null
  const again = () => session.publish(message('t/full-disk', 'm', { messageId: 4, isDup: true }))
  await until(async () => (await again()).kind !== 'congested')
  expect(await payloads('t/full-disk')).toEqual(['m'])
  await uplink.close()
})

it('the bridge’s own session comes back after somebody else took it, and says so', async () => {
  const uplink = await startUplink(broker.port, new MemoryWindowDb(), { bridgeClientId: 'own-kept' })
  const other = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
    clientId: 'own-kept',
    protocolVersion: 5,
    reconnectPeriod: 0,
  })
  await until(() => !other.connected && uplink.isUp)
  expect(uplink.status().trouble).toBeNull()
  await uplink.close()
})

it('a password that cannot be read is named until it can', async () => {
  const config = uplinkConfig(broker.port)
  const directory = await mkdtemp(join(tmpdir(), 'headwater-uplink-secret-'))
  const passwordFile = join(directory, 'password')
  const lines: string[] = []
  const log = { ...silentSink, warn: (line: string) => void lines.push(line) }
  const secret = { ...config, broker: { ...config.broker, user: 'bridge', passwordFile } }
  const uplink = await MqttUplink.start({ config: secret, db: new MemoryWindowDb(), log, will: null })
  await until(() => uplink.status().trouble !== null)
  expect(uplink.status().trouble).toBe(`${passwordFile}: there is no such file`)
  expect(lines[0]).toMatch(/^HW_BRIDGE_SECRET: /)
  await writeFile(passwordFile, 'secret\n')
  // this broker has no such user: it is reached, and refuses or takes it
  await until(() => uplink.isUp || uplink.status().trouble !== `${passwordFile}: there is no such file`)
  await uplink.close()
  await rm(directory, { recursive: true })
})
