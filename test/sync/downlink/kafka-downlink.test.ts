/** A topic of a real Kafka, a broker, and an MQTT client that takes what comes down. */
import { afterEach, expect, it } from 'vitest'
import type { Broker } from '../../../broker/broker.ts'
import { readRecords } from '../../../broker/log/record-batch.ts'
import type { DownlinkConfig } from '../../../sync/config.ts'
import { createDownlink } from '../../../sync/downlink/create.ts'
import type { Downlink } from '../../../sync/downlink/downlink.ts'
import { until } from '../../broker/log/support.ts'
import { dataDirectory, recordsIn, startBroker } from '../../broker/mqtt/support.ts'
import { createTopic, deleteTopic, describeWithKafka, uniqueName } from '../../support/kafka/index.ts'
import { CommandTopic, downlinkConfig, Receiver } from './kafka-topic.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const LIMIT_MS = 30_000
const soon = (condition: () => boolean, what: string) => until(condition, what, LIMIT_MS)
const quick = { firstMs: 20, msMax: 100 }

describeWithKafka('a downlink from Kafka', ({ bootstrap }) => {
  async function commandTopic(partitions: number): Promise<CommandTopic> {
    const topic = await CommandTopic.open(bootstrap, uniqueName('commands'))
    closers.push(() => topic.close())
    await createTopic(bootstrap, topic.topic, partitions)
    return topic
  }

  async function start(
    broker: Broker,
    config: DownlinkConfig,
  ): Promise<{ downlink: Downlink; lines: string[] }> {
    const lines: string[] = []
    const tell = (message: string) => lines.push(message)
    const { publisher, facts } = broker
    const downlink = await createDownlink(config, {
      edge: broker.status().edge,
      upstreams: [],
      facts,
      publisher,
      sink: { info: tell, warn: tell, error: tell },
      trustedNow: () => Date.now(),
    })
    closers.push(() => downlink.close())
    downlink.start()
    return { downlink, lines }
  }

  async function receiver(port: number): Promise<Receiver> {
    const opened = await Receiver.connect(port, '#')
    closers.push(() => opened.close())
    return opened
  }

  it('delivers 1,000 commands to a subscriber, in order per key, and records each once with where it came from', async () => {
    const topic = await commandTopic(3)
    const { broker, port } = await startBroker()
    const client = await receiver(port)
    const commands = Array.from({ length: 1000 }, (_, i) => ({ key: `unit/${i % 20}`, value: String(i) }))
    await topic.send(commands.slice(0, 400))
    await topic.sendInVain([{ key: 'unit/0', value: 'never' }])
    const { downlink } = await start(broker, downlinkConfig(bootstrap, topic.topic, { start: 'earliest' }))
    await soon(() => client.received.length >= 400, 'the first ones have come')
    await topic.send(commands.slice(400))
    await soon(() => client.received.length >= 1000, 'all have come')
    await soon(() => downlink.status().delivered >= 1000, 'all are acknowledged')

    expect(client.received).toHaveLength(1000)
    for (let unit = 0; unit < 20; unit++) {
      const expected = commands.filter(({ key }) => key === `unit/${unit}`).map(({ value }) => value)
      expect(client.byTopic().get(`commands/unit/${unit}`)).toEqual(expected)
    }
    expect(downlink.status()).toMatchObject({ delivered: 1000, lagRecords: 0, unacknowledged: 0 })
    const recorded = await recordsIn(broker)
    expect(recorded.map(({ value }) => value).toSorted()).toEqual(
      commands.map(({ value }) => value).toSorted(),
    )
    const [batch] = await broker.log.read('events', 0, 0, 1e6)
    const [first] = readRecords(batch!.bytes)
    const headers = Object.fromEntries(first!.headers.map(({ key, value }) => [key, String(value)]))
    expect(headers['hw.hops']).toBe('1')
    expect(headers['hw.from']).toMatch(new RegExp(`^[^/]+/${topic.topic}/[0-2]/\\d+$`))
  })

  it('goes on where it was after a restart of the broker', async () => {
    const topic = await commandTopic(1)
    const data = dataDirectory()
    const config = downlinkConfig(bootstrap, topic.topic)
    const first = await startBroker({ data })
    const before = await start(first.broker, config)
    await soon(() => before.downlink.status().state === 'idle', 'it knows where `latest` is')
    await topic.send([{ key: 'a', value: '1' }])
    await soon(() => before.downlink.status().delivered === 1, 'it is delivered')
    await before.downlink.close()
    await first.broker.close()
    await topic.send([{ key: 'a', value: '2' }])
    const again = await startBroker({ data })
    const client = await receiver(again.port)
    const after = await start(again.broker, config)
    await soon(() => after.downlink.status().delivered === 1, 'the second one is delivered')
    expect(client.received).toEqual([{ topic: 'commands/a', payload: '2' }])
    expect((await recordsIn(again.broker)).map(({ value }) => value)).toEqual(['1', '2'])
  })

  it('takes what is for this edge, makes topics by the template, and passes over the rest with its reason', async () => {
    const topic = await commandTopic(1)
    const { broker, port } = await startBroker()
    const client = await receiver(port)
    const config = downlinkConfig(bootstrap, topic.topic, {
      start: 'earliest',
      filter: { keyPrefixes: ['{edge}/', 'all/'], headers: {} },
      mqttTopic: 'do/{header:kind}/{rest}',
      maxAgeSeconds: 3600,
      payloadBytesMax: 10,
    })
    const headers = { kind: 'open' }
    await topic.send([
      { key: 'edge-1/valve', value: '1', headers },
      { key: 'edge-2/valve', value: '2', headers },
      { key: 'all/valve', value: '3', headers },
      { key: 'edge-1/valve', value: '4', headers, timestamp: Date.now() - 3_700_000 },
      { key: 'edge-1/va+ve', value: '5', headers },
      { key: 'edge-1/valve', value: '6' },
      { key: 'edge-1/valve', value: '12345678901', headers },
      { key: 'edge-1/valve', value: '8', headers: { ...headers, 'hw.origin': 'edge-1/0a1b2c3d/events/0/7' } },
      { key: 'edge-1/valve', value: '9', headers: { ...headers, 'hw.hops': '1' } },
      { key: 'edge-1/last', value: '10', headers },
    ])
    const { downlink } = await start(broker, config)
    await soon(() => client.received.length === 3, 'those for this edge have come')
    await soon(() => downlink.status().state === 'idle', 'it is up to date')
    expect(client.received).toEqual([
      { topic: 'do/open/valve', payload: '1' },
      { topic: 'do/open/valve', payload: '3' },
      { topic: 'do/open/last', payload: '10' },
    ])
    const passedOver = { elsewhere: 1, own: 1, hops: 1, expired: 1, topic: 2, large: 1 }
    expect(downlink.status()).toMatchObject({ delivered: 3, passedOver, lagRecords: 0 })
  })

  it('goes on with the oldest there is when retention took what it was to read next', async () => {
    const topic = await commandTopic(1)
    const data = dataDirectory()
    const config = downlinkConfig(bootstrap, topic.topic, { start: 'earliest' })
    const commands = Array.from({ length: 10 }, (_, i) => ({ key: 'a', value: String(i) }))
    const first = await startBroker({ data })
    await topic.send(commands.slice(0, 2))
    const before = await start(first.broker, config)
    await soon(() => before.downlink.status().delivered === 2, 'the first two are delivered')
    await before.downlink.close()
    await first.broker.close()
    await topic.send(commands.slice(2))
    await topic.removeBelow(0, 6)
    const again = await startBroker({ data })
    const { downlink, lines } = await start(again.broker, config)
    await soon(() => downlink.status().delivered === 4, 'those that are left are delivered')
    expect((await recordsIn(again.broker)).map(({ value }) => value)).toEqual(['0', '1', '6', '7', '8', '9'])
    expect(downlink.status().lost).toBe(4)
    expect(lines).toContain(
      `downlink commands: ${topic.topic}/0: the records from offset 2 to 6 are gone before they were read; it goes on at offset 6`,
    )
  })

  it('stops there where it is told to, with a way out', async () => {
    const topic = await commandTopic(1)
    const { broker } = await startBroker()
    const config = downlinkConfig(bootstrap, topic.topic, { start: 'earliest', outOfRange: 'stop' })
    await topic.send([{ key: 'a', value: '0' }])
    const { downlink } = await start(broker, config)
    await soon(() => downlink.status().delivered === 1, 'the first one is delivered')
    downlink.pause()
    await soon(() => downlink.status().state === 'paused', 'it is paused')
    await topic.send(['1', '2', '3'].map((value) => ({ key: 'a', value })))
    await topic.removeBelow(0, 3)
    downlink.resume()
    await soon(() => downlink.status().state === 'stopped', 'it is stopped')
    expect(downlink.status().lastError).toMatchObject({
      code: 'HW_DOWNLINK_RANGE',
      message: `${topic.topic}/0 has offsets 3 to 4, and 1 was to be read next`,
    })
  })

  it('reads a topic that was made anew from its beginning, and tells', async () => {
    const topic = await commandTopic(1)
    const { broker } = await startBroker()
    const config = downlinkConfig(bootstrap, topic.topic, { backoff: quick })
    const { downlink, lines } = await start(broker, config)
    await soon(() => downlink.status().state === 'idle', 'it is up to date')
    const old = Array.from({ length: 3 }, (_, i) => ({ key: 'a', value: `old${i}` }))
    await topic.send(old)
    await soon(() => downlink.status().delivered === 3, 'the old ones are delivered')
    await deleteTopic(bootstrap, topic.topic)
    await soon(
      () => downlink.status().lastError?.code === 'HW_DOWNLINK_TOPIC',
      'it sees that the topic is gone',
    )
    await createTopic(bootstrap, topic.topic, 2)
    const fresh = await CommandTopic.open(bootstrap, topic.topic)
    closers.push(() => fresh.close())
    // as many as the old topic had: the positions of that one would skip them
    const commands = Array.from({ length: 3 }, (_, i) => ({ key: 'a', value: `new${i}`, partition: 0 }))
    await fresh.send(commands)
    await soon(() => downlink.status().delivered === 6, 'the new ones are delivered')
    expect((await recordsIn(broker)).map(({ value }) => value)).toEqual([
      'old0',
      'old1',
      'old2',
      'new0',
      'new1',
      'new2',
    ])
    expect(lines.filter((line) => line.includes('was made anew'))).toHaveLength(1)
  })

  it('waits for a topic that does not exist yet, and for a cluster that is away', async () => {
    const topic = uniqueName('later')
    const { broker } = await startBroker()
    const config = downlinkConfig(bootstrap, topic, { start: 'earliest', backoff: quick })
    const { downlink } = await start(broker, config)
    const away = await start(broker, downlinkConfig('127.0.0.1:1', topic, { name: 'away', backoff: quick }))
    await soon(() => downlink.status().lastError !== null, 'it tells')
    expect(downlink.status().lastError).toMatchObject({
      code: 'HW_DOWNLINK_TOPIC',
      message: `there is no topic ${topic} at ${bootstrap}`,
    })
    await createTopic(bootstrap, topic, 1)
    const commands = await CommandTopic.open(bootstrap, topic)
    closers.push(() => commands.close())
    await commands.send([{ key: 'a', value: '0' }])
    await soon(() => downlink.status().delivered === 1, 'it is delivered')
    await soon(() => downlink.status().lastError === null, 'its error is over')
    await soon(() => away.downlink.status().tries > 2, 'the other one tries again and again')
    expect(away.downlink.status().lastError).toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE' })
  })
})
