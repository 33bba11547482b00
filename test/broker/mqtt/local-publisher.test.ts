/** What the broker publishes by itself, on a real broker with subscribers that answer when a test lets them. */
import { describe, expect, it } from 'vitest'
import type { Broker } from '../../../broker/broker.ts'
import { CommitFailedError, LogFullError } from '../../../broker/errors.ts'
import { readRecords } from '../../../broker/log/record-batch.ts'
import type { IngressMessage } from '../../../broker/mqtt/ingress.ts'
import { type LocalMessage, LocalPublisher } from '../../../broker/mqtt/local-publisher.ts'
import type { OwnMessage } from '../../../broker/mqtt/own-messages.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { streamConfig } from '../../support/stream-config.ts'
import { until } from '../log/support.ts'
import { dataDirectory, RawClient, recordsIn, startBroker } from './support.ts'

function message(
  place: number,
  more: Partial<LocalMessage> & { name?: string; epoch?: string } = {},
): LocalMessage {
  const { name = 's', epoch = 'e', ...rest } = more
  return {
    topic: 'commands/a',
    payload: Buffer.from(`v${place}`),
    isRetained: false,
    source: { name, epoch, place },
    headers: [],
    ...rest,
  }
}

async function subscriber(port: number, filter = 'commands/#', qos: 0 | 1 = 1): Promise<RawClient> {
  const client = await RawClient.connect(port, `sub-${filter.replaceAll(/\W/g, '')}-${qos}`, { clean: true })
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos }] })
  await client.next('suback')
  return client
}

async function received(client: RawClient) {
  const packet = (await client.next('publish')) as {
    topic?: string
    payload?: Buffer
    messageId?: number
    qos?: number
  }
  return {
    topic: packet.topic,
    payload: String(packet.payload),
    qos: packet.qos,
    messageId: packet.messageId!,
  }
}

const settledOf = (promise: Promise<unknown>) => {
  const state = { isSettled: false }
  promise.then(() => {
    state.isSettled = true
  })
  return state
}

const values = async (broker: Broker) => (await recordsIn(broker)).map(({ value }) => value)

describe('a message of the broker itself', () => {
  it('is on disk before it goes to a subscriber, and done once the subscriber has acknowledged it', async () => {
    const disk = new FaultyDisk(nodeDisk)
    const { broker, port } = await startBroker({ disk })
    const client = await subscriber(port)
    const gate = disk.hold('sync')
    const done = broker.publisher.publish([message(1)])
    const state = settledOf(done)
    await gate.reached
    await client.handled()
    expect(client.received).toEqual([])
    gate.release()
    const packet = await received(client)
    expect(packet).toMatchObject({ topic: 'commands/a', payload: 'v1', qos: 1 })
    expect(await values(broker)).toEqual(['v1'])
    await client.handled()
    expect(state.isSettled).toBe(false)
    client.send({ cmd: 'puback', messageId: packet.messageId })
    expect(await done).toEqual({ count: 1, tooLarge: [], unacknowledged: 0, error: null })
  })

  it('is done when a subscriber that has not acknowledged it is gone', async () => {
    const { broker, port } = await startBroker()
    const client = await subscriber(port)
    const done = broker.publisher.publish([message(1)])
    await received(client)
    client.end()
    expect(await done).toMatchObject({ count: 1, unacknowledged: 0, error: null })
  })

  it('waits for no subscriber of QoS 0, and is done where nobody subscribes', async () => {
    const { broker, port } = await startBroker()
    expect(await broker.publisher.publish([message(1)])).toMatchObject({ count: 1, error: null })
    const client = await subscriber(port, 'commands/#', 0)
    expect(await broker.publisher.publish([message(2)])).toMatchObject({ count: 1, error: null })
    expect(await received(client)).toMatchObject({ payload: 'v2', qos: 0 })
  })

  it('keeps its order among those with and without retain', async () => {
    const { broker, port } = await startBroker()
    const client = await subscriber(port)
    const messages = Array.from({ length: 200 }, (_, i) => message(i, { isRetained: i % 3 === 0 }))
    const done = broker.publisher.publish(messages)
    const payloads: string[] = []
    while (payloads.length < 200) {
      const { payload, messageId } = await received(client)
      payloads.push(payload)
      client.send({ cmd: 'puback', messageId })
    }
    expect(payloads).toEqual(messages.map(({ payload }) => String(payload)))
    expect(await done).toMatchObject({ count: 200, error: null })
    const late = await subscriber(port, 'commands/a')
    expect(await received(late)).toMatchObject({ payload: 'v198' })
  })

  it('is dropped for no client because others were numbered or sent before it', async () => {
    const { broker, port } = await startBroker()
    const client = await subscriber(port, '#')
    const other = await RawClient.connect(port, 'other')
    const done = ['s', 't', 'u'].map((name, at) =>
      broker.publisher.publish(
        Array.from({ length: 50 }, (_, i) =>
          message(i, { name, topic: `commands/${name}`, isRetained: at === 1 }),
        ),
      ),
    )
    for (let i = 0; i < 50; i++) other.publish(0, 0, `q${i}`, { topic: 'commands/q' })
    const payloads = new Map<string, string[]>()
    for (let i = 0; i < 150; ) {
      const { topic, payload, messageId, qos } = await received(client)
      if (topic === 'commands/q') continue
      payloads.set(topic!, [...(payloads.get(topic!) ?? []), payload])
      expect(qos).toBe(1)
      client.send({ cmd: 'puback', messageId })
      i++
    }
    for (const name of ['s', 't', 'u']) {
      expect(payloads.get(`commands/${name}`)).toEqual(Array.from({ length: 50 }, (_, i) => `v${i}`))
    }
    expect(await Promise.all(done)).toEqual(
      Array(3).fill(expect.objectContaining({ count: 50, error: null })),
    )
  })

  it('waits for the acknowledgement of a session that stays, too', async () => {
    const { broker, port } = await startBroker()
    const client = await RawClient.connect(port, 'stays', { clean: false })
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'commands/+', qos: 1 }] })
    await client.next('suback')
    const done = broker.publisher.publish([message(1)])
    const state = settledOf(done)
    const { messageId } = await received(client)
    await client.handled()
    expect(state.isSettled).toBe(false)
    client.send({ cmd: 'puback', messageId })
    expect(await done).toMatchObject({ count: 1, unacknowledged: 0 })
    client.end()
    await until(() => broker.status().mqtt.connections === 0, 'it is gone')
    const back = await RawClient.connect(port, 'stays', { clean: false })
    await back.handled()
    expect(back.received).toEqual([])
  })

  it('reaches a session that is away once it comes back, and counts it as a subscriber', async () => {
    const { broker, port } = await startBroker()
    expect(await broker.publisher.hasSubscriber('commands/a')).toBe(false)
    const away = await RawClient.connect(port, 'stays', { clean: false })
    away.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'commands/+', qos: 1 }] })
    await away.next('suback')
    expect(await broker.publisher.hasSubscriber('commands/a')).toBe(true)
    expect(await broker.publisher.hasSubscriber('other')).toBe(false)
    away.end()
    await until(() => broker.status().mqtt.connections === 0, 'it is gone')
    expect(await broker.publisher.hasSubscriber('commands/a')).toBe(true)
    expect(await broker.publisher.publish([message(1)])).toMatchObject({ count: 1 })
    const back = await RawClient.connect(port, 'stays', { clean: false })
    expect(await received(back)).toMatchObject({ payload: 'v1', qos: 1 })
  })

  it('that is larger than the log takes is passed over and named', async () => {
    const { broker } = await startBroker({
      change: ({ limits }) => Object.assign(limits, { recordBytesMax: 300 }),
    })
    const messages = [message(1), message(2, { payload: Buffer.alloc(400) }), message(3)]
    expect(await broker.publisher.publish(messages)).toMatchObject({ count: 3, tooLarge: [1], error: null })
    expect(await values(broker)).toEqual(['v1', 'v3'])
  })

  it('has the headers it was given in its record, behind the one of its topic', async () => {
    const { broker } = await startBroker({
      change: (config) => {
        config.streams = [
          streamConfig({ name: 'events', topics: ['#'], key: { levels: [1] }, partitions: 1 }),
        ]
      },
    })
    const headers = [
      { key: 'hw.hops', value: Buffer.from('1') },
      { key: 'empty', value: null },
    ]
    await broker.publisher.publish([message(1, { headers })])
    const [batch] = await broker.log.read('events', 0, 0, 1e6)
    expect([...readRecords(batch!.bytes)][0]).toMatchObject({
      key: Buffer.from('a'),
      headers: [{ key: 'topic', value: Buffer.from('commands/a') }, ...headers],
    })
  })
})

describe('a message that is refused', () => {
  /** Takes what it is told to; the others are refused, and those behind them would be taken. */
  function setUp(refused: ReadonlySet<number>) {
    const accepted: number[] = []
    const sent: string[] = []
    const ingress = {
      accept({ origin }: IngressMessage, done: (error: Error | null) => void) {
        const { place } = origin!.source
        if (refused.has(place)) setImmediate(() => done(new LogFullError('main')))
        else {
          accepted.push(place)
          origin!.onAdmitted()
          setImmediate(() => done(null))
        }
      },
    }
    const front = {
      async publish({ payload }: OwnMessage) {
        sent.push(String(payload))
        return { subscribers: 0, acknowledged: Promise.resolve(true) }
      },
    }
    return { publisher: new LocalPublisher(ingress as never, front as never), accepted, sent }
  }

  it('keeps those behind it from being recorded: a place means that all before it are there', async () => {
    const { publisher, accepted, sent } = setUp(new Set([2]))
    const published = await publisher.publish([0, 1, 2, 3, 4].map((place) => message(place)))
    expect(published).toMatchObject({ count: 2, error: expect.any(LogFullError) })
    expect(accepted).toEqual([0, 1])
    expect(sent).toEqual(['v0', 'v1'])
  })
})

describe('a message that comes again from its source', () => {
  it('is not recorded again, also after a restart, and is delivered again', async () => {
    const data = dataDirectory()
    const first = await startBroker({ data })
    await first.broker.publisher.publish([message(1), message(2)])
    expect(await first.broker.publisher.publish([message(2), message(3)])).toMatchObject({ count: 2 })
    expect(await values(first.broker)).toEqual(['v1', 'v2', 'v3'])
    expect(first.broker.status().ingress.repetitions).toBe(1)
    await first.broker.close()

    const again = await startBroker({ data })
    const client = await subscriber(again.port)
    const done = again.broker.publisher.publish([message(3), message(4)])
    for (const payload of ['v3', 'v4']) {
      const packet = await received(client)
      expect(packet.payload).toBe(payload)
      client.send({ cmd: 'puback', messageId: packet.messageId })
    }
    await done
    expect(await values(again.broker)).toEqual(['v1', 'v2', 'v3', 'v4'])
  })

  it('is another one under another epoch or source', async () => {
    const { broker } = await startBroker()
    await broker.publisher.publish([message(5)])
    await broker.publisher.publish([message(5, { epoch: 'f' }), message(5, { name: 't' })])
    expect(await values(broker)).toEqual(['v5', 'v5', 'v5'])
  })

  it.each([false, true])(
    'is recorded once, and in order, when its commit failed (kept by the disk: %s)',
    async (isKept) => {
      const disk = new FaultyDisk(nodeDisk)
      const { broker } = await startBroker({ disk })
      await broker.publisher.publish([message(1)])
      disk.fail({ on: 'sync', path: '/log/', isKept })
      const messages = [message(2), message(3), message(4)]
      const failed = await broker.publisher.publish(messages)
      expect(failed.count).toBe(0)
      expect(failed.error).toBeInstanceOf(CommitFailedError)
      await until(() => broker.status().log.condition === 'open', 'the log is open')
      expect(await broker.publisher.publish(messages)).toMatchObject({ count: 3, error: null })
      expect(await values(broker)).toEqual(['v1', 'v2', 'v3', 'v4'])
      expect(broker.status().ingress.repetitions).toBe(isKept ? 3 : 0)
    },
  )
})
