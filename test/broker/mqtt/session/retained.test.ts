/** Retained messages: what a new subscription gets, limits, expiry, and what is left after stops and cuts. */
import { describe, expect, it } from 'vitest'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { playLives } from '../../../support/random.ts'
import { settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

async function retainedOf(broker: TestBroker, filter: string): Promise<string[]> {
  const found: string[] = []
  for await (const { topic, payload } of broker.sessions.retained(filter)) found.push(`${topic}=${payload}`)
  return found.toSorted()
}

describe('retained messages', () => {
  it('are the last of each topic, until one without a payload [MQTT-3.3.1-5] [MQTT-3.3.1-6]', async () => {
    const broker = await TestBroker.open()
    await broker.publish('a', '1', { isRetained: true })
    await broker.publish('a', '2', { isRetained: true })
    await broker.publish('a', '3')
    await broker.publish('b', '4', { isRetained: true })
    expect(await retainedOf(broker, '#')).toEqual(['a=2', 'b=4'])
    await broker.publish('a', '', { isRetained: true })
    expect(await retainedOf(broker, '#')).toEqual(['b=4'])
    expect(broker.sessions.status()).toMatchObject({ retained: 1 })
  })

  it('match as filters do; those that begin with $ no leading wildcard [MQTT-4.7.2-1]', async () => {
    const broker = await TestBroker.open()
    for (const topic of ['a', 'a/b', 'a/b/c', '/a', 'a/', '$SYS/x', '$SYS/x/y']) {
      await broker.publish(topic, 'x', { isRetained: true })
    }
    const topics = async (filter: string) =>
      (await retainedOf(broker, filter)).map((line) => line.slice(0, -2)).toSorted()
    expect(await topics('#')).toEqual(['/a', 'a', 'a/', 'a/b', 'a/b/c'])
    expect(await topics('a/#')).toEqual(['a', 'a/', 'a/b', 'a/b/c'])
    expect(await topics('+/+')).toEqual(['/a', 'a/', 'a/b'])
    expect(await topics('a/+')).toEqual(['a/', 'a/b'])
    expect(await topics('+')).toEqual(['a'])
    expect(await topics('+/x')).toEqual([])
    expect(await topics('$SYS/#')).toEqual(['$SYS/x', '$SYS/x/y'])
    expect(await topics('a/b')).toEqual(['a/b'])
    expect(await topics('a/b/c/d')).toEqual([])
  })

  it('go to a new subscription with RETAIN set, as its retain handling says [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]', async () => {
    const broker = await TestBroker.open()
    await broker.publish('a', '1', { isRetained: true, qos: 2 })
    const client = await new TestClient('a').connect(broker.sessions)
    const got = async (retainHandling: 0 | 1 | 2, filter = 'a') => {
      client.received.length = 0
      await client.subscribe(filter, { qos: 1, identifier: 3, retainHandling })
      expect(client.payloads).toEqual([])
      await settle()
      return client.received.map(({ payload, qos, isRetained, identifiers }) => [
        payload,
        qos,
        isRetained,
        identifiers,
      ])
    }
    const one = [['1', 1, true, [3]]]
    expect(await got(2)).toEqual([])
    expect(await got(1)).toEqual([])
    expect(await got(0)).toEqual(one)
    await client.session.unsubscribe(['a'])
    expect(await got(1)).toEqual(one)
    expect(await got(0, '$share/g/a')).toEqual([])
  })

  it('go at the pace of the client, before what waits, and do not count as queued', async () => {
    const broker = await TestBroker.open(undefined, { limits: { queuedMessagesMax: 5 } })
    for (let n = 0; n < 200; n++) await broker.publish(`a/${n}`, `${n}`, { isRetained: true })
    broker.sessions.tick()
    await settle()
    const client = await new TestClient('a').connect(broker.sessions, { receiveMaximum: 4 })
    await client.subscribe('a/#', { qos: 1 })
    await broker.publish('a/x', 'live')
    await settle()
    expect(client.received).toHaveLength(4)
    for (let n = 0; n < client.received.length; n++) {
      client.session.puback(client.received[n]!.packetId, 0)
      if (n === client.received.length - 1) await settle(8)
    }
    await settle()
    expect(client.payloads.filter((payload) => payload !== 'live')).toHaveLength(200)
    expect(new Set(client.payloads).size).toBe(201)
    expect(broker.sessions.status().dropped).toMatchObject({ queueFull: 0 })
  })

  it('are the last ones when they are sent, also to a client that takes its time', async () => {
    const broker = await TestBroker.open()
    for (const topic of ['a/1', 'a/2', 'a/3']) await broker.publish(topic, 'old', { isRetained: true })
    broker.sessions.tick()
    const client = await new TestClient('a').connect(broker.sessions, { receiveMaximum: 1 })
    await client.subscribe('a/#', { qos: 1 })
    await settle()
    const [first] = client.received
    const [second, third] = ['a/1', 'a/2', 'a/3'].filter((topic) => topic !== first!.topic)
    // of QoS 0: neither waits for the client's acknowledgement
    await broker.publish(second!, 'new', { isRetained: true, qos: 0 })
    await broker.publish(third!, '', { isRetained: true, qos: 0 })
    broker.sessions.tick()
    await settle()
    for (let n = 0; n < client.received.length; n++) {
      const { qos, packetId } = client.received[n]!
      if (qos > 0) client.session.puback(packetId, 0)
      await settle()
    }
    const last = new Map(client.received.map(({ topic, payload }) => [topic, payload]))
    expect([last.get(second!), last.get(third!)]).toEqual(['new', ''])
    expect(client.session.queued).toBe(0)
  })

  it('that a client did not get before its connection broke come on the next one, also after a cut', async () => {
    for (const end of ['none', 'cut'] as const) {
      let broker = await TestBroker.open()
      for (let n = 0; n < 50; n++) await broker.publish(`a/${n}`, `${n}`, { isRetained: true })
      const client = await new TestClient('a').connect(broker.sessions, { receiveMaximum: 5 })
      await client.subscribe('a/#', { qos: 1 })
      await settle()
      expect(client.received).toHaveLength(5)
      if (end === 'cut') broker = await broker.cut()
      else client.lost()
      await client.connect(broker.sessions)
      await settle()
      expect(new Set(client.payloads).size).toBe(50)
      for (const { packetId } of client.received) client.session.puback(packetId, 0)
      broker.sessions.tick()
      await settle()
      broker = await broker.restart()
      client.received.length = 0
      await client.connect(broker.sessions)
      await settle()
      expect(client.payloads).toEqual([])
    }
  })

  it.each([
    ['a lost connection', 1],
    ['a lost connection', 2],
    ['a cut', 1],
    ['a cut', 2],
  ] as const)(
    'outlive their records also on their way: after %s one of QoS %d comes again',
    async (end, qos) => {
      let broker = await TestBroker.open()
      await broker.publish('a/1', 'state', { isRetained: true, qos })
      // two subscriptions that have it: each delivery stands for itself
      const client = await new TestClient('a').connect(broker.sessions)
      await client.subscribe('a/1', { qos })
      await client.subscribe('a/#', { qos })
      await settle()
      const ids = client.received.map(({ packetId }) => packetId)
      expect(client.wire).toEqual(['publish state', 'publish state'])
      // a checkpoint
      await client.subscribe('other')
      if (end === 'a cut') broker = await broker.cut()
      else client.lost()
      // retention passes the record
      broker.log.read = async () => []
      client.wire.length = 0
      await client.connect(broker.sessions)
      await settle()
      expect(client.wire).toEqual(['dup state', 'dup state'])
      expect(client.received.slice(2).map(({ packetId }) => packetId)).toEqual(ids)
      expect(broker.sessions.status()).toMatchObject({ dropped: { gone: 0 }, inFlight: 2 })
      for (const id of ids) {
        if (qos === 2) client.session.pubrec(id, 0)
        await settle()
        if (qos === 2) client.session.pubcomp(id, 0)
        else client.session.puback(id, 0)
      }
      expect(broker.sessions.status()).toMatchObject({ inFlight: 0, inlineMessages: 0, inlineBytes: 0 })
    },
  )

  it('stand for themselves beside the delivery of the same record as it was published', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a', { qos: 2 })
    await broker.publish('a', 'state', { isRetained: true, qos: 2 })
    await settle()
    await client.subscribe('a', { qos: 2 })
    await settle()
    const [live, retained] = client.received.map(({ packetId }) => packetId)
    broker.sessions.tick()
    await settle()
    client.session.pubrec(live!, 0)
    await settle()
    client.session.pubcomp(live!, 0)
    client.session.pubrec(retained!, 0)
    await settle()
    broker = await broker.cut()
    client.wire.length = 0
    await client.connect(broker.sessions)
    await settle()
    expect(client.wire).toEqual([`pubrel ${retained}`])
  })

  it('go on by their records where no copy can be held, and one copy does for all who have it', async () => {
    const limits = { inlineBytesMax: 8 * (64 + 'a'.length + 'state'.length) }
    const broker = await TestBroker.open(undefined, { limits })
    await broker.publish('a', 'state', { isRetained: true })
    await broker.publish('b', 'state', { isRetained: true })
    const clients = ['1', '2'].map((clientId) => new TestClient(clientId))
    for (const client of clients) {
      await client.connect(broker.sessions)
      for (const filter of ['a', 'b']) await client.subscribe(filter)
    }
    await settle()
    expect(broker.sessions.status()).toMatchObject({ inlineMessages: 1, dropped: { inlineFull: 0 } })
    for (const client of clients) {
      client.lost()
      await client.connect(broker.sessions)
      await settle()
      expect(client.wire).toEqual(['publish state', 'publish state', 'dup state', 'dup state'])
    }
  })

  it.each([
    ['the first has ended', 10],
    ['the first ends while the second is on its way to the disk', 4],
  ] as const)(
    'of a subscription that is made again come again after a cut: %s',
    async (_, receiveMaximum) => {
      let broker = await TestBroker.open()
      for (let n = 0; n < 5; n++) await broker.publish(`r/${n}`, `${n}`, { isRetained: true })
      const client = await new TestClient('a').connect(broker.sessions, { receiveMaximum })
      await client.subscribe('r/#')
      await settle()
      expect(client.received).toHaveLength(Math.min(5, receiveMaximum))
      const again = client.subscribe('r/#')
      for (const { packetId } of [...client.received]) client.session.puback(packetId, 0)
      expect(client.received).toHaveLength(5)
      client.receiveMaximum = 1
      await again
      await settle()
      broker = await broker.cut()
      client.received.length = 0
      await client.connect(broker.sessions)
      await settle()
      expect(new Set(client.payloads).size).toBe(5)
      for (const { packetId } of [...client.received]) client.session.puback(packetId, 0)
      broker.sessions.tick()
      await settle()
      broker = await broker.restart()
      client.received.length = 0
      await client.connect(broker.sessions)
      await settle()
      expect(client.payloads).toEqual([])
    },
  )

  it('expire, tell what is left, and do so over a restart [MQTT-3.3.2-6]', async () => {
    let broker = await TestBroker.open()
    await broker.publish('a', '1', { isRetained: true, properties: { messageExpiry: 100 } })
    await broker.publish('b', '2', { isRetained: true, properties: { messageExpiry: 10 } })
    broker.clock.pass(4_000)
    broker = await broker.restart()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('#', { qos: 0 })
    await settle()
    expect(client.received.map(({ payload, messageExpiry }) => [payload, messageExpiry]).toSorted()).toEqual([
      ['1', 96],
      ['2', 6],
    ])
    broker.clock.pass(6_000)
    expect(await retainedOf(broker, '#')).toEqual(['a=1'])
    for (let n = 0; n < 60; n++) broker.sessions.tick()
    expect(broker.sessions.status()).toMatchObject({ retained: 1 })
    broker.clock.pass(90_000)
    expect(await retainedOf(broker, '#')).toEqual([])
  })

  it('are bounded in number and bytes; what is over is delivered, counted, and told once', async () => {
    const limits = { retainedMessagesMax: 2, retainedBytesMax: 1_000 }
    const broker = await TestBroker.open(undefined, { limits })
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('#', { qos: 0 })
    for (const topic of ['a', 'b', 'c', 'd']) await broker.publish(topic, '1', { isRetained: true })
    expect(client.received).toHaveLength(4)
    expect(await retainedOf(broker, '#')).toEqual(['a=1', 'b=1'])
    expect(broker.sessions.status().dropped.retainedFull).toBe(2)
    expect(broker.sink.matching('retained messages are at their limit')).toHaveLength(1)
    // one that is too large takes the place of none; what it would have replaced is not the last any more
    await broker.publish('a', 'x'.repeat(2_000), { isRetained: true })
    expect(await retainedOf(broker, '#')).toEqual(['b=1'])
    await broker.publish('c', '2', { isRetained: true })
    expect(await retainedOf(broker, '#')).toEqual(['b=1', 'c=2'])
  })

  it('have the message that no stream takes on disk before its publisher is told', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    let broker = await TestBroker.open(disk)
    const gate = disk.hold('sync', 'mqtt')
    let isDone = false
    const done = broker.publish('$x', '1', { isRetained: true, isInline: true }).then(() => {
      isDone = true
    })
    await gate.reached
    await settle()
    expect(isDone).toBe(false)
    gate.release()
    await done
    broker = await broker.cut()
    expect(await retainedOf(broker, '$x')).toEqual(['$x=1'])
  })
})

it(
  'what was acknowledged as retained is retained, after stops and cuts at any change',
  () =>
    playLives(25, async (random) => {
      const memory = new MemoryDisk()
      let disk = new FaultyDisk(memory)
      let broker = await TestBroker.open(disk)
      /** By topic: values that may be the last one, the first of them being the last that was acknowledged. */
      const possible = new Map<string, string[]>()
      let count = 0
      for (let step = 0; step < 120; step++) {
        const roll = random.between(0, 99)
        if (roll < 70) {
          const topic = `t/${random.between(0, 5)}`
          const isInline = topic === 't/5'
          const payload = random.between(0, 4) === 0 ? '' : `${count++}`
          const values = possible.get(topic) ?? ['']
          possible.set(topic, values)
          values.push(payload)
          await broker.publish(topic, payload, { isRetained: true, isInline }).then(
            () => values.splice(0, values.length, payload),
            () => undefined,
          )
        } else if (roll < 85) {
          broker.clock.pass(1_000)
          broker.sessions.tick()
          await settle(random.between(0, 4))
        } else if (roll < 90) disk.cutPowerAt(random.between(1, 5))
        else if (roll < 95 && !disk.isOff) {
          await broker.close().catch(() => undefined)
          if (!disk.isOff) memory.crash((unsynced) => random.between(0, unsynced))
        } else memory.crash((unsynced) => random.between(0, unsynced))
        if (roll < 90 && !disk.isOff) continue
        disk.cutPower()
        await broker.sessions.close().catch(() => undefined)
        await broker.log.close().catch(() => undefined)
        disk = new FaultyDisk(memory)
        broker = await TestBroker.open(disk, { clock: broker.clock })
        const now = new Map(
          (await retainedOf(broker, 't/+')).map((line) => line.split('=') as [string, string]),
        )
        for (const [topic, values] of possible) {
          expect(values, topic).toContain(now.get(topic) ?? '')
          values.splice(0, values.length, now.get(topic) ?? '')
        }
      }
    }),
  60_000,
)
