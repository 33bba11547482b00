/** The front with real MQTT clients over TCP. */

import { createServer } from 'node:net'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, it } from 'vitest'
import { ListenError } from '../../../broker/errors.ts'
import { streamConfig } from '../../support/stream-config.ts'
import { until } from '../log/support.ts'
import { dataDirectory, RawClient, recordsIn, startBroker } from './support.ts'

const clients: MqttClient[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
})

async function connect(port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync({ host: '127.0.0.1', port, reconnectPeriod: 0, ...options })
  client.on('error', () => {})
  clients.push(client)
  return client
}

/** What arrives at a subscriber: `topic=payload`, with `!` where it was retained. */
async function subscribe(client: MqttClient, filter: string, qos: 0 | 1 | 2 = 0): Promise<string[]> {
  const arrived: string[] = []
  client.on('message', (topic, payload, packet) => {
    arrived.push(`${topic}=${payload.toString()}${packet.retain ? '!' : ''}`)
  })
  await client.subscribeAsync(filter, { qos })
  return arrived
}

const listening = (server: ReturnType<typeof createServer>) =>
  new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })

describe('a message', () => {
  it('of QoS 0, 1 and 2 lands once, and reaches a live subscriber once', async () => {
    const { broker, port } = await startBroker()
    const arrived = await subscribe(await connect(port), '#', 2)
    const client = await connect(port)
    for (const qos of [0, 1, 2] as const) await client.publishAsync(`q/${qos}`, `v${qos}`, { qos })
    await until(() => arrived.length === 3, 'the subscriber has all')
    expect(arrived.toSorted()).toEqual(['q/0=v0', 'q/1=v1', 'q/2=v2'])
    const stored = await recordsIn(broker)
    expect(stored.map(({ topic, value }) => `${topic}=${value}`).toSorted()).toEqual(arrived.toSorted())
    expect(broker.status().ingress).toMatchObject({ received: 3, appended: 3, failed: 0, repetitions: 0 })
    expect((await broker.log.verify()).isWhole).toBe(true)
  })

  it('of MQTT 3.1 is taken as one of 3.1.1 is', async () => {
    const { broker, port } = await startBroker()
    const client = await connect(port, { protocolId: 'MQIsdp', protocolVersion: 3, clientId: 'old' })
    await client.publishAsync('a', 'v', { qos: 1 })
    expect(await recordsIn(broker)).toEqual([{ topic: 'a', value: 'v' }])
  })

  it('with an empty payload, a topic of many levels or of any language is stored as it is', async () => {
    const { broker, port } = await startBroker()
    const client = await connect(port)
    const topics = ['a', '/', 'a//b', 'Küche/Temperatur/°C', 'x'.repeat(1000)]
    for (const topic of topics) await client.publishAsync(topic, '', { qos: 1 })
    const stored = (await recordsIn(broker)).map(({ topic, value }) => `${topic}=${value}`)
    expect(stored.toSorted()).toEqual(topics.map((topic) => `${topic}=`).toSorted())
  })

  it('that no stream takes still reaches live subscribers', async () => {
    const { broker, port } = await startBroker({
      change: (config) => {
        config.streams = [streamConfig({ name: 'events', topics: ['a/#'], partitions: 1 })]
      },
    })
    const arrived = await subscribe(await connect(port), '#')
    const client = await connect(port)
    await client.publishAsync('b', 'not recorded', { qos: 1 })
    await until(() => arrived.length === 1, 'the subscriber has it')
    expect(arrived).toEqual(['b=not recorded'])
    expect(await recordsIn(broker)).toEqual([])
  })

  it('below $SYS ends the connection, and is neither stored nor passed on', async () => {
    const { broker, port, sink } = await startBroker()
    const client = await RawClient.connect(port, 'c1')
    client.publish(1, 1, 'v', { topic: '$SYS/x' })
    await client.closed()
    expect(await recordsIn(broker)).toEqual([])
    expect(sink.matching('dropped a connection')).toHaveLength(1)
  })

  it('over the limit ends the connection with one log line, and nothing of it is stored', async () => {
    for (const qos of [0, 1, 2] as const) {
      const { broker, port, sink } = await startBroker({
        change: (config) => {
          config.limits.recordBytesMax = 1000
        },
      })
      const client = await RawClient.connect(port, 'c1')
      client.publish(qos, 1, 'x'.repeat(1000))
      await client.closed()
      expect(client.received).toEqual([])
      const lines = sink.lines.filter(({ level }) => level !== 'info')
      expect(lines).toHaveLength(1)
      expect(lines[0]!.fields).toMatchObject({
        client: 'c1',
        reason: expect.stringMatching(/HW_RECORD_TOO_LARGE.*limits\.recordBytesMax/),
      })
      expect(await recordsIn(broker)).toEqual([])
      expect(broker.status()).toMatchObject({ ingress: { tooLarge: 1 }, mqtt: { refused: 1 } })
      const next = await RawClient.connect(port, 'c2')
      next.publish(1, 1, 'x'.repeat(900))
      await next.next('puback')
    }
  })
})

describe('a retained message', () => {
  it('reaches who subscribes later, is a record like any other, and is cleared by an empty one', async () => {
    const { broker, port } = await startBroker()
    const client = await connect(port)
    await client.publishAsync('state', 'on', { qos: 1, retain: true })
    await client.publishAsync('state', 'off', { qos: 1, retain: true })
    const arrived = await subscribe(await connect(port), 'state')
    await until(() => arrived.length > 0, 'the retained message has come')
    expect(arrived).toEqual(['state=off!'])
    await client.publishAsync('state', '', { qos: 1, retain: true })
    const late = await subscribe(await connect(port), '#')
    await client.publishAsync('other', 'v', { qos: 1 })
    await until(() => late.length > 0, 'something has come')
    expect(late).toEqual(['other=v'])
    expect(
      (await recordsIn(broker)).filter(({ topic }) => topic === 'state').map(({ value }) => value),
    ).toEqual(['on', 'off', ''])
  })
})

describe('a will', () => {
  const will = { topic: 'status/c1', payload: Buffer.from('gone'), qos: 1, retain: false } as const

  it('is recorded and passed on when the connection ends without a DISCONNECT', async () => {
    const { broker, port } = await startBroker()
    const arrived = await subscribe(await connect(port), 'status/#')
    const client = await connect(port, { clientId: 'c1', will })
    client.stream.destroy()
    await until(() => arrived.length === 1, 'the will has come')
    expect(arrived).toEqual(['status/c1=gone'])
    expect(await recordsIn(broker)).toEqual([{ topic: 'status/c1', value: 'gone' }])
  })

  it('is neither recorded nor passed on after a DISCONNECT', async () => {
    const { broker, port } = await startBroker()
    const arrived = await subscribe(await connect(port), '#')
    const client = await connect(port, { clientId: 'c1', will })
    await client.endAsync()
    await (await connect(port)).publishAsync('after', 'v', { qos: 1 })
    await until(() => arrived.length > 0, 'something has come')
    expect(arrived).toEqual(['after=v'])
    expect(await recordsIn(broker)).toEqual([{ topic: 'after', value: 'v' }])
  })

  it('is recorded when the broker itself stops', async () => {
    const data = dataDirectory()
    const { broker, port } = await startBroker({ data })
    await connect(port, { clientId: 'c1', will })
    await broker.close()
    const again = await startBroker({ data })
    expect(await recordsIn(again.broker)).toEqual([{ topic: 'status/c1', value: 'gone' }])
  })
})

describe('a connection', () => {
  it('more than connectionsMax is refused and counted, and there is room again when one ends', async () => {
    const { broker, port, sink } = await startBroker({
      change: (config) => {
        config.limits.connectionsMax = 2
      },
    })
    const first = await RawClient.connect(port, 'c1')
    await RawClient.connect(port, 'c2')
    const third = RawClient.open(port)
    await third.closed()
    expect(broker.status().mqtt).toMatchObject({ connections: 2, connectionsMax: 2, refused: 1 })
    const lines = sink.matching('refused a connection')
    expect(lines.map(({ fields }) => fields)).toEqual([
      { from: '127.0.0.1', reason: 'limits.connectionsMax of 2 is reached' },
    ])
    first.end()
    await until(() => broker.status().mqtt.connections === 1, 'the first has gone')
    await RawClient.connect(port, 'c4')
  })

  it('that speaks no MQTT is ended, and the broker goes on', async () => {
    const { broker, port } = await startBroker()
    for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(100, 0xff), Buffer.alloc(64)]) {
      const client = RawClient.open(port)
      client.sendBytes(bytes)
      await client.closed()
    }
    const client = await RawClient.connect(port, 'c1')
    client.publish(1, 1, 'v')
    await client.next('puback')
    expect(await recordsIn(broker)).toHaveLength(1)
  })

  it('that sends a PUBLISH before its CONNECT stores nothing', async () => {
    const { broker, port } = await startBroker()
    const client = RawClient.open(port)
    client.publish(1, 1, 'v')
    await client.closed()
    expect(await recordsIn(broker)).toEqual([])
  })

  it('of a client id that is taken ends the older one', async () => {
    const { port } = await startBroker()
    const older = await RawClient.connect(port, 'same')
    const newer = await RawClient.connect(port, 'same')
    await older.closed()
    newer.publish(1, 1, 'v')
    await newer.next('puback')
  })
})

describe('a listener', () => {
  it('whose port is in use is a ListenError with the address and the way out, and nothing is left open', async () => {
    const server = createServer()
    const port = await listening(server)
    const data = dataDirectory()
    const free = createServer()
    const other = await listening(free)
    await new Promise((resolve) => free.close(resolve))
    const change = (config: { mqtt: { listeners: { address: string }[] } }) => {
      config.mqtt.listeners = [{ address: `127.0.0.1:${other}` }, { address: `127.0.0.1:${port}` }]
    }
    const refused = startBroker({ data, change })
    await expect(refused).rejects.toBeInstanceOf(ListenError)
    await expect(refused).rejects.toMatchObject({
      code: 'HW_LISTEN',
      message: `cannot listen on 127.0.0.1:${port}: the port is in use`,
      hint: expect.stringMatching(/mqtt\.listeners/),
    })
    await new Promise((resolve) => server.close(resolve))
    // the first listener's port, the data directory and the log are free
    const { broker } = await startBroker({ data, change })
    expect(broker.status().mqtt.listeners).toEqual([`127.0.0.1:${other}`, `127.0.0.1:${port}`])
  })

  it('on an address that this machine does not have is a ListenError', async () => {
    const change = (config: { mqtt: { listeners: { address: string }[] } }) => {
      config.mqtt.listeners = [{ address: '192.0.2.1:1883' }]
    }
    await expect(startBroker({ change })).rejects.toMatchObject({ code: 'HW_LISTEN' })
  })
})
