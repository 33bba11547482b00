/** What goes to clients: within what they take, in one write a turn, and bounded where they do not read. */
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { startFront, type TestClient } from './support.ts'

const publishes = (client: TestClient) =>
  client.received.filter((packet): packet is IPublishPacket => packet.cmd === 'publish')

describe('a subscriber', () => {
  it('gets no packet larger than it takes: such a message is dropped, and counted [MQTT-3.1.2-24]', async () => {
    const { connect, front } = await startFront()
    const small = await connect({ clientId: 'small', properties: { maximumPacketSize: 60 } })
    await small.subscribe('a/#', 1)
    const client = await connect()
    client.publish(1, 1, 'x'.repeat(60))
    client.publish(1, 2, 'fits')
    expect(await small.next<IPublishPacket>('publish')).toMatchObject({ payload: Buffer.from('fits') })
    await small.handled()
    expect(small.received).toEqual([])
    expect(front.status().sessions.dropped.tooLarge).toBe(1)
  })

  it('has no more in flight than its receive maximum [MQTT-3.3.4-9]', async () => {
    const { connect } = await startFront()
    const subscriber = await connect({ clientId: 'sub', properties: { receiveMaximum: 2 } })
    await subscriber.subscribe('a/#', 1)
    const client = await connect()
    for (const id of [1, 2, 3, 4]) {
      client.publish(1, id, `v${id}`)
      await client.next('puback')
    }
    await subscriber.handled()
    expect(publishes(subscriber)).toHaveLength(2)
    const { messageId } = await subscriber.next<IPublishPacket>('publish')
    subscriber.send({ cmd: 'puback', messageId: messageId! })
    await subscriber.handled()
    expect(publishes(subscriber).map(({ payload }) => String(payload))).toEqual(['v2', 'v3'])
  })

  it('that takes topic aliases gets a topic once, and then its alias; others get topics [MQTT-3.3.2-12]', async () => {
    const { connect } = await startFront()
    const aliased = await connect({ clientId: 'aliased', properties: { topicAliasMaximum: 2 } })
    const plain = await connect({ clientId: 'plain' })
    for (const subscriber of [aliased, plain]) await subscriber.subscribe('a/#')
    const client = await connect()
    const topics = ['a/one', 'a/two', 'a/one', 'a/three', 'a/two', 'a/three']
    for (const [id, topic] of topics.entries()) client.publish(1, id + 1, 'v', { topic })
    for (const _ of topics) await client.next('puback')
    await Promise.all([aliased.handled(), plain.handled()])
    expect(publishes(plain).map(({ topic }) => topic)).toEqual(topics)
    expect(publishes(aliased).map(({ topic, properties }) => [topic, properties?.topicAlias])).toEqual([
      ['a/one', 1],
      ['a/two', 2],
      ['', 1],
      ['a/three', undefined],
      ['', 2],
      ['a/three', undefined],
    ])
  })

  it('gets small and large messages in their order', async () => {
    const { connect } = await startFront()
    const subscriber = await connect({ clientId: 'sub' })
    await subscriber.subscribe('a/#')
    const client = await connect()
    const sizes = [1, 5_000, 3, 100_000, 4_095, 4_096, 20_000, 2]
    for (const [id, size] of sizes.entries()) client.publish(1, id + 1, Buffer.alloc(size, id))
    for (const _ of sizes) await client.next('puback')
    await subscriber.handled()
    const got = publishes(subscriber).map(({ payload }) => payload as Buffer)
    expect(got.map(({ length }) => length)).toEqual(sizes)
    expect(got.every((payload, id) => payload.every((byte) => byte === id))).toBe(true)
  })

  it('that does not read holds a bounded outbox: QoS 0 is dropped and counted, QoS 1 comes once it reads', async () => {
    const { connect, front } = await startFront({ limits: { outboxBytesMax: 100_000 } })
    const slow = await connect({ clientId: 'slow' })
    slow.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [
        { topic: 'a/0', qos: 0 },
        { topic: 'a/1', qos: 1 },
      ],
    })
    await slow.next('suback')
    slow.stream.pause()
    const client = await connect()
    const payload = Buffer.alloc(5_000)
    for (let id = 1; id <= 100; id++) {
      client.publish(1, id, payload, { topic: `a/${id % 2}` })
      await client.next('puback')
    }
    const status = front.clients().find(({ clientId }) => clientId === 'slow')!
    expect(status.outboxBytes).toBeLessThan(110_000)
    expect(status.queued).toBeGreaterThan(10)
    const { outboxFull } = front.status().sessions.dropped
    expect(outboxFull).toBeGreaterThan(10)
    slow.stream.resume()
    let ones = 0
    let zeros = 0
    while (ones < 50) {
      const packet = await slow.next<IPublishPacket>('publish')
      if (packet.topic === 'a/0') zeros++
      else {
        ones++
        slow.send({ cmd: 'puback', messageId: packet.messageId! })
      }
    }
    expect(zeros).toBe(50 - outboxFull)
    expect(front.status().sessions).toMatchObject({ queued: 0 })
  })
})

it('clients are listed with what is known of them', async () => {
  const { connect, front, time, seconds } = await startFront()
  const client = await connect({ version: 4, clientId: 'four', keepalive: 60 })
  const since = time.now
  await client.subscribe('a/#', 1)
  await connect({ clientId: 'five' })
  seconds(10)
  time.now += 10_000
  client.publish(1, 1, 'v')
  await client.next('puback')
  await client.next('publish')
  seconds(3)
  time.now += 3000
  expect(front.clients()).toEqual([
    {
      clientId: 'four',
      user: null,
      address: '192.0.2.1:1000',
      listener: null,
      version: 4,
      since,
      keepAliveSeconds: 60,
      lastSeenAt: since + 10_000,
      messagesIn: 1,
      messagesOut: 1,
      // CONNECT, SUBSCRIBE, PUBLISH; CONNACK, SUBACK, PUBACK, PUBLISH
      bytesIn: 18 + 10 + 10,
      bytesOut: 4 + 5 + 4 + 10,
      unacknowledged: 0,
      inFlight: 1,
      queued: 0,
      outboxBytes: 0,
    },
    expect.objectContaining({ clientId: 'five', version: 5 }),
  ])
})

it('an operator ends one client’s connection: MQTT 5 is told so, and its will is published', async () => {
  const { connect, front, values } = await startFront()
  const five = await connect({
    clientId: 'five',
    will: { topic: 'a/will', payload: Buffer.from('gone'), qos: 1, retain: false },
  })
  const four = await connect({ version: 4, clientId: 'four' })
  const other = await connect({ clientId: 'other' })
  expect(front.disconnect('five')).toMatchObject({ clientId: 'five', address: '192.0.2.1:1000' })
  expect(await five.disconnected()).toBe(Reason.administrativeAction)
  expect(front.disconnect('four')).toMatchObject({ clientId: 'four' })
  await four.closed()
  expect(four.received).toEqual([])
  expect(front.clients().map(({ clientId }) => clientId)).toEqual(['other'])
  expect([front.disconnect('five'), front.disconnect('nobody')]).toEqual([null, null])
  other.publish(1, 1, 'still here')
  await other.next('puback')
  expect(await values()).toEqual(['gone', 'still here'])
})
