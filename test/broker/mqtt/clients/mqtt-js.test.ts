/** mqtt.js, with both versions: what its users rely on, over restarts of the broker too. */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../../log/support.ts'
import { dataDirectory, recordsIn, startBroker } from '../support.ts'

const clients: MqttClient[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
})

/** What comes is gathered from the first packet on: what waits for a session comes right behind CONNACK. */
async function connect(port: number, options: IClientOptions) {
  const client = mqtt.connect({ host: '127.0.0.1', port, reconnectPeriod: 0, ...options })
  clients.push(client)
  client.on('error', () => {})
  const got: string[] = []
  const sizes: number[] = []
  let isClosed = false
  client.on('close', () => {
    isClosed = true
  })
  client.on('message', (topic, payload, { qos, retain }) => {
    sizes.push(payload.length)
    got.push(`${topic}=${payload.subarray(0, 20)} ${qos}${retain ? ' retained' : ''}`)
  })
  const isPresent = await new Promise<boolean>((resolve, reject) => {
    client.once('connect', ({ sessionPresent }) => resolve(sessionPresent))
    client.once('error', reject)
  })
  return { client, got, sizes, isPresent, isClosed: () => isClosed }
}

for (const protocolVersion of [4, 5] as const) {
  const version: IClientOptions = { protocolVersion }
  const stays: IClientOptions = {
    protocolVersion,
    clientId: 'stays',
    clean: false,
    ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
  }

  describe(`mqtt.js with MQTT ${protocolVersion === 4 ? '3.1.1' : '5'}`, () => {
    it('a session that stays keeps subscription and queue over a restart: in order, each message once', async () => {
      const data = dataDirectory()
      const first = await startBroker({ data })
      const away = await connect(first.port, stays)
      await away.client.subscribeAsync('a/#', { qos: 2 })
      await away.client.endAsync()
      const { client: publisher } = await connect(first.port, version)
      const sent: string[] = []
      for (let i = 0; i < 60; i++) {
        const qos = (1 + (i % 2)) as 1 | 2
        await publisher.publishAsync('a/b', `v${i}`, { qos })
        sent.push(`a/b=v${i} ${qos}`)
      }
      await first.broker.close()
      const second = await startBroker({ data })
      const back = await connect(second.port, stays)
      expect(back.isPresent).toBe(true)
      await until(() => back.got.length >= sent.length, 'all have come')
      // QoS 2 is delivered at PUBREL, later than a QoS 1 that was sent behind it
      const ofQos = (lines: string[], qos: number) => lines.filter((line) => line.endsWith(` ${qos}`))
      for (const qos of [1, 2]) expect(ofQos(back.got, qos)).toEqual(ofQos(sent, qos))
      expect(back.got).toHaveLength(sent.length)
    })

    it('retained messages outlive a restart and go to new subscribers', async () => {
      const data = dataDirectory()
      const first = await startBroker({ data })
      const { client } = await connect(first.port, version)
      await client.publishAsync('state/1', 'old', { qos: 1, retain: true })
      await client.publishAsync('state/1', 'on', { qos: 1, retain: true })
      await client.publishAsync('state/2', 'x', { qos: 1, retain: true })
      await client.publishAsync('state/2', '', { qos: 1, retain: true })
      await first.broker.close()
      const second = await startBroker({ data })
      const { client: later, got } = await connect(second.port, version)
      await later.subscribeAsync('state/#', { qos: 1 })
      await later.publishAsync('state/end', 'end', { qos: 1 })
      await until(() => got.length >= 2, 'all have come')
      expect(got.toSorted()).toEqual(['state/1=on 1 retained', 'state/end=end 1'])
    })

    it('a payload just below recordBytesMax passes both ways with every QoS', async () => {
      const { broker, port, config } = await startBroker()
      const { client: subscriber, sizes } = await connect(port, version)
      await subscriber.subscribeAsync('large', { qos: 2 })
      const { client } = await connect(port, version)
      const size = config.limits.recordBytesMax - 1_000
      for (const qos of [0, 1, 2] as const) {
        await client.publishAsync('large', Buffer.alloc(size, 65 + qos), { qos })
      }
      await until(() => sizes.length >= 3, 'all have come')
      expect(sizes).toEqual([size, size, size])
      expect(await recordsIn(broker)).toHaveLength(3)
    })

    it('a second connection with the same client id takes the session over, and its queue', async () => {
      const { port } = await startBroker()
      const older = await connect(port, stays)
      await older.client.subscribeAsync('a', { qos: 1 })
      const newer = await connect(port, stays)
      await until(older.isClosed, 'the older one is closed')
      expect(newer.isPresent).toBe(true)
      const { client } = await connect(port, version)
      await client.publishAsync('a', 'v', { qos: 1 })
      await until(() => newer.got.length >= 1, 'it has come')
      expect([older.got, newer.got]).toEqual([[], ['a=v 1']])
    })

    it('a will is published, retained, when the connection breaks, and not after a DISCONNECT', async () => {
      const { port } = await startBroker()
      const { client: watcher, got } = await connect(port, version)
      await watcher.subscribeAsync('wills/#', { qos: 1 })
      const will = (name: string) => ({
        ...version,
        will: { topic: `wills/${name}`, payload: Buffer.from('gone'), qos: 1 as const, retain: true },
      })
      const polite = await connect(port, will('polite'))
      await polite.client.endAsync()
      const broken = await connect(port, will('broken'))
      broken.client.stream.destroy()
      await until(() => got.length >= 1, 'the will has come')
      expect(got).toEqual(['wills/broken=gone 1'])
      const { client: later, got: kept } = await connect(port, version)
      await later.subscribeAsync('wills/#', { qos: 1 })
      await until(() => kept.length >= 1, 'it is retained')
      expect(kept).toEqual(['wills/broken=gone 1 retained'])
    })
  })
}

describe('mqtt.js with MQTT 5', () => {
  it('members of a shared subscription get each message once, together', async () => {
    const { port } = await startBroker()
    const members = await Promise.all([1, 2, 3].map(() => connect(port, { protocolVersion: 5 })))
    for (const { client } of members) await client.subscribeAsync('$share/g/a/#', { qos: 1 })
    const { client } = await connect(port, { protocolVersion: 5 })
    for (let i = 0; i < 30; i++) await client.publishAsync(`a/${i}`, 'v', { qos: 1 })
    const all = () => members.flatMap(({ got }) => got)
    await until(() => all().length >= 30, 'all have come')
    expect(new Set(all()).size).toBe(30)
    expect(all()).toHaveLength(30)
    expect(members.map(({ got }) => got.length)).toEqual([10, 10, 10])
  })

  it('properties reach the subscriber as they were sent', async () => {
    const { port } = await startBroker()
    const { client } = await connect(port, { protocolVersion: 5 })
    const came = new Promise<unknown>((resolve) => {
      client.once('message', (_topic, _payload, { properties }) => resolve(properties))
    })
    const options = { qos: 1 as const, properties: { subscriptionIdentifier: 7 } }
    await client.subscribeAsync('a', options)
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'answers',
      correlationData: Buffer.from([0, 1, 2]),
      userProperties: { unit: ['C', 'F'], place: 'roof' },
    }
    await client.publishAsync('a', 'v', { qos: 1, properties })
    expect(await came).toMatchObject({ ...properties, subscriptionIdentifier: 7 })
  })
})
