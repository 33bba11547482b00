/** What goes to a client and what it answers: QoS 0, 1 and 2, on one connection and over several. */
import { describe, expect, it } from 'vitest'
import { settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

describe('a session with a connection', () => {
  it('delivers each message once, with the lower of the two QoS [MQTT-3.8.4-8]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('low/#', { qos: 0 })
    await client.subscribe('high/#', { qos: 2 })
    await broker.publish('low/1', 'one', { qos: 2 })
    await broker.publish('high/1', 'two', { qos: 1 })
    await broker.publish('high/2', 'three', { qos: 0 })
    await broker.publish('high/3', 'four', { qos: 2 })
    await settle()
    expect(client.received.map(({ payload, qos, isDup }) => [payload, qos, isDup])).toEqual([
      ['one', 0, false],
      ['two', 1, false],
      ['three', 0, false],
      ['four', 2, false],
    ])
  })

  it('sends nothing before CONNACK was sent [MQTT-3.2.0-1]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a')
    client.lost()
    await client.connect(broker.sessions, { isSilent: true })
    await broker.publish('a', 'one')
    expect(client.payloads).toEqual([])
    client.session.pump()
    expect(client.payloads).toEqual(['one'])
  })

  it('has no more in flight than the client allows, and goes on as it acknowledges [MQTT-3.3.4-9]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { receiveMaximum: 2 })
    await client.subscribe('a')
    for (const payload of ['1', '2', '3', '4']) await broker.publish('a', payload)
    expect(client.payloads).toEqual(['1', '2'])
    client.session.puback(client.received[1]!.packetId, 0)
    expect(client.payloads).toEqual(['1', '2', '3'])
    client.session.puback(client.received[0]!.packetId, 0)
    client.session.puback(client.received[2]!.packetId, 0)
    expect(client.payloads).toEqual(['1', '2', '3', '4'])
  })

  it('sends QoS 0 although as much is in flight as the client allows [MQTT-3.3.4-7]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { receiveMaximum: 1 })
    await client.subscribe('#')
    await broker.publish('a', '1')
    await broker.publish('a', '2')
    await broker.publish('a', '3', { qos: 0 })
    expect(client.payloads).toEqual(['1', '3'])
  })

  it('uses no packet id again that is in flight [MQTT-2.2.1-3], over more than all of them', async () => {
    // what waits stays in memory: nothing is read back
    const broker = await TestBroker.open(undefined, { limits: { inFlightMax: 3, heldBytesMax: 1e6 } })
    const client = await new TestClient('a').connect(broker.sessions, { expirySeconds: 0 })
    await client.subscribe('a')
    await broker.publish('a', 'stays')
    const stays = client.last().packetId
    const waiting: Promise<void>[] = []
    const seen = new Set<number>()
    for (let n = 0; n < 66_000; n++) {
      waiting.push(broker.publish('a', `${n}`))
      if (waiting.length < 500) continue
      await Promise.all(waiting.splice(0))
      for (const { packetId, payload } of client.received) {
        if (payload === 'stays') continue
        expect(packetId).not.toBe(stays)
        seen.add(packetId)
        client.session.puback(packetId, 0)
      }
      client.received.length = 0
    }
    expect(seen.size).toBe(65_534)
    expect(client.session.puback(stays, 0)).toBe(true)
  })

  it('does not know a packet id that is not in flight; an answer to another QoS is an error of the client', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a', { qos: 2 })
    await broker.publish('a', 'one', { qos: 1 })
    const { packetId } = client.last()
    expect(() => client.session.pubrec(packetId, 0)).toThrow('MQTT-4.3.2-3')
    expect(() => client.session.pubcomp(packetId, 0)).toThrow('MQTT-4.3.2-3')
    expect(client.session.puback(packetId + 1, 0)).toBe(false)
    expect(client.session.puback(packetId, 0)).toBe(true)
    expect(client.session.puback(packetId, 0)).toBe(false)
  })

  it('goes through the four steps of QoS 2 [MQTT-4.3.3-8]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a', { qos: 2 })
    await broker.publish('a', 'one', { qos: 2 })
    await settle()
    const { packetId } = client.last()
    expect(() => client.session.pubcomp(packetId, 0)).toThrow('MQTT-4.3.3-3')
    expect(client.session.pubrec(packetId, 0)).toBe(true)
    await settle()
    expect(client.wire).toEqual(['publish one', `pubrel ${packetId}`])
    expect(client.session.pubcomp(packetId, 0)).toBe(true)
    expect(broker.sessions.status()).toMatchObject({ inFlight: 0, queued: 0 })
  })

  it('ends a delivery of QoS 2 whose PUBREC says an error [MQTT-4.3.3-4], and uses its id for another', async () => {
    const broker = await TestBroker.open(undefined, { limits: { inFlightMax: 1 } })
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a', { qos: 2 })
    await broker.publish('a', 'one', { qos: 2 })
    await broker.publish('a', 'two', { qos: 2 })
    await settle()
    client.session.pubrec(client.last().packetId, 0x97)
    await settle()
    expect(client.wire).toEqual(['publish one', 'publish two'])
  })

  it('drops QoS 0 while the buffer is full, and keeps QoS 1 until there is room', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a')
    client.room = 1
    await broker.publish('a', '1')
    await broker.publish('a', '2', { qos: 0 })
    await broker.publish('a', '3')
    await broker.publish('a', '4')
    expect(client.payloads).toEqual(['1'])
    client.room = 9
    client.session.pump()
    expect(client.wire).toEqual(['publish 1', 'publish 3', 'publish 4'])
    expect(broker.sessions.status().dropped).toMatchObject({ outboxFull: 1, queueFull: 0 })
  })

  it('drops what is larger than the client takes, and acts as if it had sent it [MQTT-3.1.2-24]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { maximumPacketBytes: 20 })
    await client.subscribe('a', { qos: 1 })
    // 1 + 1 of the header, 2 + 1 of the topic, 2 of the id, 1 of the properties' length
    await broker.publish('a', 'x'.repeat(12))
    await broker.publish('a', 'x'.repeat(13))
    await broker.publish('a', 'x'.repeat(15), { qos: 0 })
    await broker.publish('a', 'small')
    expect(client.payloads).toEqual(['x'.repeat(12), 'small'])
    expect(broker.sessions.status()).toMatchObject({ queued: 0, dropped: { tooLarge: 2 } })
  })

  it('hands on the subscription identifiers, and RETAIN where it was asked for [MQTT-3.3.1-13]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a/#', { identifier: 7 })
    await client.subscribe('a/b', { identifier: 9, isRetainAsPublished: true })
    await broker.publish('a/b', 'one', { isRetained: true })
    await broker.publish('a/c', 'two', { isRetained: true })
    expect(client.received.map(({ identifiers, isRetained }) => [identifiers, isRetained])).toEqual([
      [[7, 9], true],
      [[7], false],
    ])
  })

  it('closes a connection whose queue is full, where the session ends with it', async () => {
    const broker = await TestBroker.open(undefined, { limits: { queuedMessagesMax: 2 } })
    const client = await new TestClient('a').connect(broker.sessions, { expirySeconds: 0 })
    await client.subscribe('a')
    client.room = 0
    for (const payload of ['1', '2', '3', '4']) await broker.publish('a', payload)
    expect(client.closed).toContain('queue is full')
    expect(broker.sessions.status().dropped.queueFull).toBe(1)
    // the connection has nothing more to say
    await settle(2)
    expect(client.session.isAttached).toBe(false)
    expect(broker.sessions.status()).toMatchObject({ sessions: 0, heldBytes: 0 })
  })
})

describe('a session over several connections', () => {
  it('sends what was not acknowledged again, marked DUP, with its id and in order [MQTT-4.4.0-1] [MQTT-4.6.0-1]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { receiveMaximum: 3 })
    await client.subscribe('a', { qos: 2 })
    for (const payload of ['1', '2', '3', '4', '5']) await broker.publish('a', payload)
    await settle()
    const ids = client.received.map(({ packetId }) => packetId)
    client.session.puback(ids[1]!, 0)
    client.lost()
    client.received.length = 0
    await client.connect(broker.sessions)
    await settle()
    expect(client.isPresent).toBe(true)
    expect(client.received.map(({ payload, isDup }) => [payload, isDup])).toEqual([
      ['1', true],
      ['3', true],
      ['4', true],
      ['5', false],
    ])
    expect(client.received.slice(0, 2).map(({ packetId }) => packetId)).toEqual([ids[0], ids[2]])
  })

  it('sends PUBREL again after PUBREC, and PUBLISH before it', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a', { qos: 2 })
    await broker.publish('a', '1', { qos: 2 })
    await broker.publish('a', '2', { qos: 2 })
    await settle()
    const [first] = client.received
    client.session.pubrec(first!.packetId, 0)
    await settle()
    client.lost()
    client.wire.length = 0
    await client.connect(broker.sessions)
    await settle()
    expect(client.wire).toEqual([`pubrel ${first!.packetId}`, 'dup 2'])
    expect(client.session.pubcomp(first!.packetId, 0)).toBe(true)
    expect(client.session.pubrec(client.last().packetId, 0)).toBe(true)
  })

  it('sends again no more than the new connection allows', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a')
    for (const payload of ['1', '2', '3']) await broker.publish('a', payload)
    client.lost()
    client.wire.length = 0
    await client.connect(broker.sessions, { receiveMaximum: 1 })
    await settle()
    expect(client.wire).toEqual(['dup 1'])
    client.session.puback(client.last().packetId, 0)
    await settle()
    expect(client.wire).toEqual(['dup 1', 'dup 2'])
  })

  it('keeps QoS 1 and 2 for a client that is away, in order, and not QoS 0', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a', { qos: 2 })
    client.lost()
    for (let n = 0; n < 300; n++) await broker.publish('a', `${n}`, { qos: (n % 3) as 0 | 1 | 2 })
    expect(broker.sessions.status()).toMatchObject({ queued: 200, heldBytes: 0 })
    await client.connect(broker.sessions)
    await settle()
    while (broker.sessions.status().inFlight > 0) {
      for (const { packetId, qos } of client.received.splice(0)) {
        if (qos === 1) client.session.puback(packetId, 0)
        else client.session.pubrec(packetId, 0x80)
      }
      await settle()
    }
    const numbers = client.wire.map((line) => Number(line.split(' ')[1]))
    const of = (qos: number) => numbers.filter((n) => n % 3 === qos)
    expect(of(1)).toEqual(Array.from({ length: 100 }, (_, n) => 3 * n + 1))
    expect(of(2)).toEqual(Array.from({ length: 100 }, (_, n) => 3 * n + 2))
    expect(of(0)).toEqual([])
    expect(broker.sessions.status()).toMatchObject({ queued: 0, heldBytes: 0 })
  })

  it('drops the newest of what comes beyond its limit while the client is away, counted and told', async () => {
    const broker = await TestBroker.open(undefined, { limits: { queuedMessagesMax: 3 } })
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a')
    client.lost()
    for (const payload of ['1', '2', '3', '4', '5']) await broker.publish('a', payload)
    await client.connect(broker.sessions)
    await settle()
    expect(client.payloads).toEqual(['1', '2', '3'])
    expect(broker.sessions.status().dropped.queueFull).toBe(2)
    expect(broker.sink.matching('queue of a session is full')).toHaveLength(1)
  })

  it('tells what is left of the expiry, and drops what has expired [MQTT-3.3.2-5] [MQTT-3.3.2-6]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a')
    client.lost()
    await broker.publish('a', 'short', { properties: { messageExpiry: 5 } })
    await broker.publish('a', 'long', { properties: { messageExpiry: 60 } })
    broker.clock.pass(10_400)
    await client.connect(broker.sessions)
    await settle()
    expect(client.received.map(({ payload, messageExpiry }) => [payload, messageExpiry])).toEqual([
      ['long', 50],
    ])
    expect(broker.sessions.status()).toMatchObject({ queued: 0, dropped: { expired: 1 } })
  })

  it('goes on where a read of the log fails, once it can be read again', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a')
    client.lost()
    await broker.publish('a', '1')
    const { read } = broker.log
    broker.log.read = () => Promise.reject(new Error('away'))
    await client.connect(broker.sessions)
    await settle()
    expect(client.payloads).toEqual([])
    broker.log.read = read
    broker.sessions.tick()
    await settle()
    expect(client.payloads).toEqual(['1'])
  })

  it('takes a session over from another connection, which is told so and does not disturb it [MQTT-3.1.4-3]', async () => {
    const broker = await TestBroker.open()
    const first = await new TestClient('a').connect(broker.sessions)
    await first.subscribe('a')
    await broker.publish('a', '1')
    const second = await new TestClient('a').connect(broker.sessions)
    expect(first.closed).toContain('taken')
    expect(second.isPresent).toBe(true)
    first.session.puback(first.last().packetId, 0)
    first.lost()
    await settle()
    expect(second.wire).toEqual(['dup 1'])
    await broker.publish('a', '2')
    expect(second.payloads).toEqual(['1', '2'])
  })

  it('has nothing of the old session after a clean start [MQTT-3.1.2-4], nor where it ended with its connection', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a')
    client.lost()
    await broker.publish('a', '1')
    await client.connect(broker.sessions, { cleanStart: true, expirySeconds: 0 })
    expect(client.isPresent).toBe(false)
    await client.subscribe('b')
    client.lost()
    await client.connect(broker.sessions)
    expect(client.isPresent).toBe(false)
    await broker.publish('b', '2')
    await settle()
    expect(client.payloads).toEqual([])
    expect(broker.sessions.status()).toMatchObject({ sessions: 1, subscriptions: 0, queued: 0 })
  })

  it('refuses one more session than may be, and one more subscription', async () => {
    const limits = { sessionsMax: 1, subscriptionsMax: 1 }
    const broker = await TestBroker.open(undefined, { limits })
    const client = await new TestClient('a').connect(broker.sessions)
    await expect(new TestClient('b').connect(broker.sessions)).rejects.toMatchObject({ reasonCode: 0x97 })
    expect(await client.subscribe('a')).toEqual([1])
    expect(await client.subscribe('b')).toEqual([0x97])
    expect(await client.subscribe('a', { qos: 2 })).toEqual([2])
    expect(await client.session.unsubscribe(['b', 'a', 'a'])).toEqual([0x11, 0, 0x11])
    await new TestClient('a').connect(broker.sessions)
  })
})
