/**
 * Limits in bytes: what a message brings as properties counted for nothing, so that one pair of clients, one that sends messages of properties alone and
 * one that acknowledges none, took the broker's memory.
 */
import { describe, expect, it } from 'vitest'
import type { MessageProperties } from '../../../../broker/mqtt/packets/packet.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { SESSION_LIMITS } from '../../../../broker/mqtt/session/limits.ts'
import { messageBytes } from '../../../../broker/mqtt/session/message-bytes.ts'
import { settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

const KILOBYTES = 60
const large: MessageProperties = { userProperties: [['name', 'x'.repeat(KILOBYTES * 1024)]] }

it.each([
  ['content type', { contentType: 'x'.repeat(1000) }],
  ['response topic', { responseTopic: 'x'.repeat(1000) }],
  ['correlation data', { correlationData: Buffer.alloc(1000) }],
  ['user properties', { userProperties: [['n', 'x'.repeat(1000)]] }],
] as const)('%s count as bytes of a message', (_, properties) => {
  const of = (own: MessageProperties | null) =>
    messageBytes({ topic: 'a', payload: Buffer.alloc(10), properties: own })
  expect(of(properties) - of(null)).toBeGreaterThanOrEqual(1000)
})

it('small user properties count with what they take beside their bytes', () => {
  const userProperties = Array.from({ length: 100 }, () => ['a', 'b'] as const)
  expect(
    messageBytes({ topic: 'a', payload: Buffer.alloc(0), properties: { userProperties } }),
  ).toBeGreaterThan(10_000)
})

it('messages of properties alone wait in the log where their client takes none; what is read back for it is no more', async () => {
  const broker = await TestBroker.open()
  const client = await new TestClient('slow').connect(broker.sessions, { receiveMaximum: 1 })
  await client.subscribe('a')
  for (let n = 0; n < 40; n++) await broker.publish('a', '', { properties: large })
  const { heldBytesMax } = SESSION_LIMITS
  expect(broker.sessions.status()).toMatchObject({ queued: 39, inFlight: 1 })
  const read = broker.log.read.bind(broker.log)
  let reads = 0
  broker.log.read = (...where) => {
    reads++
    return read(...where)
  }
  for (let n = 0; n < 30; n++) {
    // what was asked for in one go, and the one that went beyond it
    expect(broker.sessions.status().heldBytes).toBeLessThanOrEqual(heldBytesMax + KILOBYTES * 1024)
    client.session.puback(client.last().packetId, 0)
    await settle()
  }
  expect(client.received).toHaveLength(31)
  expect(reads).toBeGreaterThan(10)
})

it('properties count where no stream holds the message', async () => {
  const inlineBytesMax = 8 * 150 * 1024
  const broker = await TestBroker.open(undefined, { limits: { inlineBytesMax } })
  const client = await new TestClient('away').connect(broker.sessions)
  await client.subscribe('a')
  client.lost()
  for (let n = 0; n < 3; n++) await broker.publish('a', '', { properties: large, isInline: true })
  expect(broker.sessions.status()).toMatchObject({ inlineMessages: 2, dropped: { inlineFull: 1 } })
  expect(broker.sessions.status().inlineBytes).toBeGreaterThan(2 * KILOBYTES * 1024)
})

describe('messages that no stream takes', () => {
  const SHARE = 10_000
  const limits = { inlineBytesMax: 8 * SHARE }
  const publish = (broker: TestBroker, topic: string, bytes = 1_000) =>
    broker.publish(topic, 'x'.repeat(bytes), { isInline: true })
  const away = async (broker: TestBroker, name: string) => {
    const client = await new TestClient(name).connect(broker.sessions)
    await client.subscribe(`${name}/#`)
    client.lost()
    return client
  }

  it('are held for a session that is away up to its share: the others keep theirs, and it is said', async () => {
    let broker = await TestBroker.open(undefined, { limits })
    const first = await away(broker, 'first')
    await away(broker, 'second')
    for (let n = 0; n < 100; n++) await publish(broker, 'first/a')
    expect(broker.sessions.status()).toMatchObject({ queued: 9, dropped: { inlineFull: 91 } })
    expect(broker.sink.matching('no stream takes its topic')).toHaveLength(1)
    expect(broker.sink.matching('no stream takes its topic')[0]!.fields).toMatchObject({
      client: 'first',
      topic: 'first/a',
    })
    for (let n = 0; n < 9; n++) await publish(broker, 'second/a')
    expect(broker.sessions.status()).toMatchObject({ queued: 18, dropped: { inlineFull: 91 } })
    broker = await broker.restart({ limits })
    await publish(broker, 'first/a')
    expect(broker.sessions.status()).toMatchObject({ queued: 18, dropped: { inlineFull: 1 } })
    await first.connect(broker.sessions)
    await settle()
    expect(first.received).toHaveLength(9)
    for (const { packetId } of first.received) first.session.puback(packetId, 0)
    first.lost()
    await publish(broker, 'first/a')
    expect(broker.sessions.status()).toMatchObject({ queued: 10, dropped: { inlineFull: 1 } })
  })

  it('larger than a share are held one at a time', async () => {
    const broker = await TestBroker.open(undefined, { limits })
    await away(broker, 'first')
    for (let n = 0; n < 2; n++) await publish(broker, 'first/a', 2 * SHARE)
    expect(broker.sessions.status()).toMatchObject({ queued: 1, dropped: { inlineFull: 1 } })
  })

  it('go to a connected client whose session does not stay, also where nothing more can be held', async () => {
    const broker = await TestBroker.open(undefined, { limits })
    const options = { expirySeconds: 0, receiveMaximum: 3 }
    const client = await new TestClient('here').connect(broker.sessions, options)
    await client.subscribe('#')
    for (let n = 0; n < 8; n++) {
      await away(broker, `away ${n}`)
      await publish(broker, `away ${n}/a`, SHARE + 100)
      for (const { packetId } of client.received.splice(0)) client.session.puback(packetId, 0)
    }
    const full = broker.sessions.status()
    expect(full.inlineBytes).toBeGreaterThan(6 * SHARE)
    for (let n = 0; n < 5; n++) await publish(broker, 'other', SHARE)
    // what could not go at once has no room
    expect(client.received).toHaveLength(3)
    expect(broker.sessions.status().dropped.inlineFull - full.dropped.inlineFull).toBe(2)
    for (const { packetId } of client.received.splice(0)) client.session.puback(packetId, 0)
    expect(broker.sessions.status()).toMatchObject({ inFlight: 0, inlineBytes: full.inlineBytes })
    await publish(broker, 'other', SHARE)
    expect(client.received).toHaveLength(1)
  })

  it('wait for it in order, where something is before them', async () => {
    const broker = await TestBroker.open(undefined, { limits })
    const client = await new TestClient('here').connect(broker.sessions, {
      expirySeconds: 0,
      receiveMaximum: 1,
    })
    await client.subscribe('#')
    for (const topic of ['1', '2', '3']) await publish(broker, topic, 10)
    for (let n = 0; n < 3; n++) {
      client.session.puback(client.last().packetId, 0)
      await settle()
    }
    expect(client.received.map(({ topic }) => topic)).toEqual(['1', '2', '3'])
    expect(broker.sessions.status()).toMatchObject({ queued: 0, inFlight: 0, inlineBytes: 0 })
  })
})

it('properties count as retained', async () => {
  const broker = await TestBroker.open(undefined, { limits: { retainedBytesMax: 150 * 1024 } })
  for (const topic of ['a', 'b', 'c'])
    await broker.publish(topic, 'x', { isRetained: true, properties: large })
  expect(broker.sessions.status()).toMatchObject({ retained: 2, dropped: { retainedFull: 1 } })
})

describe('wills', () => {
  const will = { topic: 'will', payload: Buffer.alloc(1000), delaySeconds: 3600 }
  const limits = { willsBytesMax: 5_500 }
  const refused = { reasonCode: Reason.quotaExceeded }

  it('are refused beyond their limit before anything is disturbed; what a will takes the place of does not count', async () => {
    let broker = await TestBroker.open(undefined, { limits })
    const clients: TestClient[] = []
    for (let n = 0; n < 5; n++) {
      clients.push(await new TestClient(`${n}`).connect(broker.sessions, { will }))
    }
    const { willsBytes } = broker.sessions.status()
    expect(willsBytes).toBeGreaterThan(5_000)
    expect(willsBytes).toBeLessThan(5_500)
    const other = await new TestClient('other').connect(broker.sessions)
    await expect(new TestClient('other').connect(broker.sessions, { will })).rejects.toMatchObject(refused)
    expect([other.closed, other.session.isAttached]).toEqual([null, true])
    await clients[0]!.connect(broker.sessions, { will })
    clients[0]!.lost()
    await clients[0]!.connect(broker.sessions, { will })
    expect(broker.sessions.status()).toMatchObject({ wills: 5, willsBytes })
    broker = await broker.cut({ limits })
    expect(broker.sessions.status()).toMatchObject({ wills: 5, willsBytes })
    await expect(new TestClient('other').connect(broker.sessions, { will })).rejects.toMatchObject(refused)
    await clients[0]!.connect(broker.sessions)
    await other.connect(broker.sessions, { will })
    expect(broker.sessions.status()).toMatchObject({ wills: 5, willsBytes })
  })

  it('of one user are a tenth of all at most, and so are those of clients without a name, where there are users', async () => {
    const share = { willsBytesMax: 25_000 }
    const broker = await TestBroker.open(undefined, { limits: share, rules: { hasUsers: true } })
    for (const user of ['ann', 'bob', null]) {
      const connect = (n: number) => new TestClient(`${user} ${n}`).connect(broker.sessions, { will, user })
      await connect(0)
      await connect(1)
      await expect(connect(2), `${user}`).rejects.toMatchObject(refused)
    }
    const open = await TestBroker.open(undefined, { limits: share })
    for (let n = 0; n < 20; n++) await new TestClient(`${n}`).connect(open.sessions, { will })
  })
})

it('all counts the same after a restart', async () => {
  let broker = await TestBroker.open()
  const client = await new TestClient('away').connect(broker.sessions)
  await client.subscribe('a')
  client.lost()
  await broker.publish('a', 'payload', { properties: large, isInline: true, isRetained: true })
  await broker.publish('b', 'payload', {
    properties: { correlationData: Buffer.alloc(100) },
    isRetained: true,
  })
  const { retainedBytes, inlineBytes } = broker.sessions.status()
  expect(retainedBytes).toBeGreaterThan(KILOBYTES * 1024)
  broker = await broker.restart()
  expect(broker.sessions.status()).toMatchObject({ retainedBytes, inlineBytes })
})
