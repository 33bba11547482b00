/** Subscribers that are slower than their publishers, over sockets: who lives is waited for, who stalls is not. */
import { connect as connectSocket } from 'node:net'
import type { IPublishPacket } from 'mqtt-packet'
import { afterEach, describe, expect, it } from 'vitest'
import type { BrokerConfig } from '../../../../broker/config/schema.ts'
import { until } from '../../log/support.ts'
import { startBroker } from '../support.ts'
import { type ConnectOptions, startFront, TestClient } from './support.ts'

const QUEUED_MAX = 400
const streams: { destroy(): void }[] = []
afterEach(() => {
  for (const stream of streams.splice(0)) stream.destroy()
})

async function start(limits: Partial<BrokerConfig['limits']> = {}) {
  const { broker, port, sink } = await startBroker({
    change(config) {
      Object.assign(config.limits, {
        queuedMessagesMax: QUEUED_MAX,
        inFlightMax: 20,
        subscriberRateMin: 1,
        subscriberStallSecondsMax: 300,
        ...limits,
      })
    },
  })
  const connect = async (options: ConnectOptions) => {
    const socket = connectSocket(port, '127.0.0.1')
    streams.push(socket)
    const client = new TestClient(socket, options.version ?? 5)
    await client.connect(options)
    return client
  }
  return { broker, connect, sink, sessions: () => broker.status().mqtt.sessions }
}

/** All at once, as fast as the socket takes it. */
function flood(client: TestClient, topic: string, count: number): void {
  for (let n = 0; n < count; n++) client.publish(1, n + 1, `${n}`, { topic })
}

const payloads = (client: TestClient, topic: string) =>
  client.received
    .filter((packet): packet is IPublishPacket => packet.cmd === 'publish' && packet.topic === topic)
    .map(({ payload }) => Number(payload))
const count = (client: TestClient, cmd: string) =>
  client.received.filter((packet) => packet.cmd === cmd).length
const upTo = (end: number) => [...Array(end).keys()]

/** Acknowledges some messages a millisecond. @returns the way to stop */
function takeSlowly(client: TestClient, perMs: number, each: () => void = () => {}): () => void {
  let next = 0
  const timer = setInterval(() => {
    each()
    for (let taken = 0; taken < perMs && next < client.received.length; next++) {
      const packet = client.received[next]!
      if (packet.cmd !== 'publish' || packet.qos === 0) continue
      client.send({ cmd: 'puback', messageId: packet.messageId! })
      taken++
    }
  }, 1)
  const taking = { destroy: () => clearInterval(timer) }
  streams.push(taking)
  return taking.destroy
}

describe('a subscriber that is slower than its publishers', () => {
  it.each([4, 5] as const)('gets all, in order, and nobody is disconnected (MQTT %i)', async (version) => {
    const { connect, sessions, sink } = await start()
    const slow = await connect({ version, clientId: 'slow' })
    await slow.subscribe('a/#', 1)
    const publishers = await Promise.all(
      [0, 1, 2].map((n) => connect({ version: 4, clientId: `publisher-${n}` })),
    )
    let queuedMost = 0
    const stop = takeSlowly(slow, 5, () => {
      queuedMost = Math.max(queuedMost, sessions().queued)
    })
    const each = 1_500
    for (const [n, publisher] of publishers.entries()) flood(publisher, `a/${n}`, each)
    await until(() => count(slow, 'publish') >= 3 * each || slow.isClosed, 'all messages', 60_000)
    stop()
    for (const n of [0, 1, 2]) expect(payloads(slow, `a/${n}`)).toEqual(upTo(each))
    await until(() => publishers.every((publisher) => count(publisher, 'puback') === each), 'PUBACKs')
    expect([slow, ...publishers].some(({ isClosed }) => isClosed)).toBe(false)
    expect(queuedMost).toBeGreaterThan(QUEUED_MAX / 4)
    expect(queuedMost).toBeLessThanOrEqual(QUEUED_MAX / 2)
    expect(sessions().dropped.queueFull).toBe(0)
    expect(sink.lines.some((line) => line.message.includes('publishers wait for a subscriber'))).toBe(true)
  })

  it('slows down nobody who publishes elsewhere, or with QoS 0', async () => {
    const { connect, sessions } = await start()
    const slow = await connect({ clientId: 'slow' })
    await slow.subscribe('a/#', 1)
    const [held, other, zero] = await Promise.all(
      ['held', 'other', 'zero'].map((clientId) => connect({ version: 4, clientId })),
    )
    flood(held!, 'a/0', 600)
    await until(() => sessions().waitedFor === 1, 'a publisher waits')
    flood(other!, 'b/0', 600)
    await until(() => count(other!, 'puback') === 600, 'PUBACKs of the other topic')
    for (let n = 0; n < 600; n++) zero!.publish(0, 0, `${n}`, { topic: 'a/zero' })
    await zero!.handled()
    await until(() => payloads(slow, 'a/zero').length === 600, 'messages of QoS 0')
    // half of the queue, and what is in flight
    expect(count(held!, 'puback')).toBeLessThanOrEqual(QUEUED_MAX / 2 + 20)
    const stop = takeSlowly(slow, 20)
    await until(() => payloads(slow, 'a/0').length === 600, 'all messages')
    stop()
    expect(payloads(slow, 'a/0')).toEqual(upTo(600))
  })

  it('that publishes to one which publishes to it: they do not wait for each other for ever', async () => {
    const { connect } = await start()
    const clients = await Promise.all(['a', 'b'].map((clientId) => connect({ version: 4, clientId })))
    const [a, b] = clients as [TestClient, TestClient]
    await a.subscribe('to/a', 1)
    await b.subscribe('to/b', 1)
    flood(a, 'to/b', 300)
    flood(b, 'to/a', 300)
    const stops = clients.map((client) => takeSlowly(client, 20))
    await until(
      () => payloads(a, 'to/a').length === 300 && payloads(b, 'to/b').length === 300,
      'all messages',
      30_000,
    )
    for (const stop of stops) stop()
    expect(clients.some(({ isClosed }) => isClosed)).toBe(false)
  })
})

describe('a subscriber that acknowledges nothing', () => {
  const limits = { subscriberStallSecondsMax: 1, subscriberRateMin: 1_000 }

  it('is disconnected with 0x97, and its publishers go on', async () => {
    const { connect, sessions, sink } = await start(limits)
    const stalled = await connect({ clientId: 'stalled' })
    await stalled.subscribe('a/#', 1)
    const publisher = await connect({ version: 4, clientId: 'publisher' })
    flood(publisher, 'a/0', 2_000)
    expect(await stalled.disconnected()).toBe(0x97)
    await until(() => count(publisher, 'puback') === 2_000, 'PUBACKs')
    expect(sessions()).toMatchObject({ letGo: 1, waitedFor: 0 })
    expect(sink.lines.some((line) => line.message.includes('is too slow'))).toBe(true)
    // its next connection stops nobody: it is over sooner than its time to stall
    const again = await connect({ clientId: 'stalled' })
    await again.subscribe('a/#', 1)
    flood(publisher, 'a/0', 2_000)
    expect(await again.disconnected()).toBe(0x97)
    expect(sessions().letGo).toBe(1)
  })

  it('and whose session stays misses what is newest, counted, and stays connected', async () => {
    const { connect, sessions } = await start(limits)
    const properties = { sessionExpiryInterval: 3600 }
    const stalled = await connect({ clientId: 'stalled', properties })
    await stalled.subscribe('a/#', 1)
    const publisher = await connect({ version: 4, clientId: 'publisher' })
    flood(publisher, 'a/0', 2_000)
    await until(() => count(publisher, 'puback') === 2_000, 'PUBACKs')
    expect(stalled.isClosed).toBe(false)
    expect(sessions().dropped.queueFull).toBe(2_000 - QUEUED_MAX - 20)
    const stop = takeSlowly(stalled, 20)
    await until(() => payloads(stalled, 'a/0').length === QUEUED_MAX + 20, 'what was queued')
    stop()
    expect(payloads(stalled, 'a/0')).toEqual(upTo(QUEUED_MAX + 20))
  })

  it('holds nobody where publishers are not to be held', async () => {
    const { broker, port } = await startBroker({
      change({ mqtt, limits: own }) {
        mqtt.holdPublishersBack = false
        own.queuedMessagesMax = QUEUED_MAX
      },
    })
    const clients = ['stalled', 'publisher'].map(() => new TestClient(connectSocket(port, '127.0.0.1'), 5))
    const [stalled, publisher] = clients as [TestClient, TestClient]
    streams.push(stalled.stream, publisher.stream)
    await stalled.connect({ clientId: 'stalled' })
    await publisher.connect({ clientId: 'publisher' })
    await stalled.subscribe('a/#', 1)
    flood(publisher, 'a/0', 900)
    expect(await stalled.disconnected()).toBe(0x97)
    await until(() => count(publisher, 'puback') === 900, 'PUBACKs')
    expect(broker.status().mqtt.sessions.letGo).toBe(0)
  })
})

describe('a publisher that is held', () => {
  const sessionLimits = { queuedMessagesMax: 4 }

  it('is not ended by its keep alive: its packets may be there, unread', async () => {
    const { connect, seconds } = await startFront({ sessionLimits })
    const slow = await connect({ clientId: 'slow', properties: { receiveMaximum: 1 } })
    await slow.subscribe('a/#', 1)
    const publisher = await connect({ clientId: 'publisher', keepalive: 10 })
    for (let id = 1; id <= 4; id++) publisher.publish(1, id, `${id}`)
    await publisher.next('puback')
    seconds(60)
    expect(publisher.isClosed).toBe(false)
    for (let id = 1; id <= 4; id++) {
      const { messageId } = await slow.next<IPublishPacket>('publish')
      slow.send({ cmd: 'puback', messageId: messageId! })
    }
    for (let id = 2; id <= 4; id++) await publisher.next('puback')
  })

  it('goes on when the subscriber is gone', async () => {
    const { connect } = await startFront({ sessionLimits })
    const slow = await connect({ clientId: 'slow', properties: { receiveMaximum: 1 } })
    await slow.subscribe('a/#', 1)
    const publisher = await connect({ clientId: 'publisher' })
    for (let id = 1; id <= 4; id++) publisher.publish(1, id, `${id}`)
    await publisher.next('puback')
    slow.stream.destroy()
    for (let id = 2; id <= 4; id++) await publisher.next('puback')
  })
})
