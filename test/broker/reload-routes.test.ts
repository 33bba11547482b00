/** Routes, streams and policies that change while clients publish: each message is once in the stream of the old rule or of the new one. */
import { expect, test } from 'vitest'
import type { Broker } from '../../broker/broker.ts'
import type { BrokerConfig } from '../../broker/config/schema.ts'
import { StreamDefinitionError } from '../../broker/errors.ts'
import { readRecords } from '../../broker/log/record-batch.ts'
import { streamConfig } from '../support/stream-config.ts'
import { dataDirectory, RawClient, recordsIn, startBroker } from './mqtt/support.ts'

const events = streamConfig({ name: 'events', topics: ['#'] })
const alarms = streamConfig({ name: 'alarms', topics: ['t/alarm/#'], partitions: 1 })
const states = streamConfig({ name: 'states', topics: ['t/x'], partitions: 1, cleanup: 'compact' })

const changed = (config: BrokerConfig, streams: BrokerConfig['streams']): BrokerConfig => ({
  ...structuredClone(config),
  streams,
})

async function valuesIn(broker: Broker, stream: string): Promise<string[]> {
  return (await recordsIn(broker, stream)).map(({ value }) => value)
}

test('publishers at work meet a route that comes, changes and goes: nothing is lost, nothing is there twice', async () => {
  const { broker, config, port } = await startBroker()
  const clients = await Promise.all(['a', 'b', 'c', 'd'].map((name) => RawClient.connect(port, name)))
  const rules = [
    [events],
    [alarms, events],
    [streamConfig({ ...alarms, topics: ['t/other'] }), events],
    [events, streamConfig({ ...states, topics: ['never'] })],
    [streamConfig({ ...states, topics: ['t/alarm/#'] }), events],
  ]
  let isDone = false
  let sent = 0
  const publish = async (client: RawClient, name: string) => {
    for (let id = 1; !isDone; id++) {
      // several on their way at once, in their turns
      for (const part of [0, 1, 2]) {
        client.publish(1, id * 3 + part, `${name}-${id}-${part}`, { topic: `t/alarm/${name}` })
      }
      for (const _ of [0, 1, 2]) await client.next('puback')
      sent += 3
    }
  }
  const publishing = clients.map((client, index) => publish(client, String(index)))
  for (let turn = 1; turn <= 40; turn++) {
    const before = sent
    await broker.applyConfig(changed(config, rules[turn % rules.length]!))
    while (sent < before + 12) await new Promise((resolve) => setImmediate(resolve))
  }
  isDone = true
  await Promise.all(publishing)
  const found = [
    ...(await valuesIn(broker, 'events')),
    ...(await valuesIn(broker, 'alarms')),
    ...(await valuesIn(broker, 'states')),
  ]
  expect(found).toHaveLength(sent)
  expect(new Set(found).size).toBe(sent)
  for (const stream of ['events', 'alarms', 'states']) {
    expect((await valuesIn(broker, stream)).length, stream).toBeGreaterThan(0)
  }
}, 60_000)

test('a topic that was published before goes where the new routes say, on the same connection', async () => {
  const { broker, config, port } = await startBroker()
  const client = await RawClient.connect(port, 'c')
  const publish = async (id: number, value: string) => {
    client.publish(1, id, value, { topic: 't/alarm/1' })
    await client.next('puback')
  }
  await publish(1, 'before')
  const report = await broker.applyConfig(changed(config, [alarms, events]))
  expect(report).toEqual({ applied: ['streams.alarms: added, for t/alarm/#'], needsRestart: [] })
  await publish(2, 'between')
  await broker.applyConfig(changed(config, [events]))
  await publish(3, 'after')
  expect(await valuesIn(broker, 'alarms')).toEqual(['between'])
  expect(await valuesIn(broker, 'events')).toEqual(['before', 'after'])
})

test.each([
  ['to a stream in another chain', [events], [states, events], 'events', 1],
  ['from a stream in another chain', [states, events], [events], 'states', 1],
  ['to no stream', [events], [streamConfig({ name: 'events', topics: ['other'] })], 'events', 0],
])(
  'QoS 2 that comes again after its topic went %s is recorded once',
  async (_, before, after, first, taken) => {
    const data = dataDirectory()
    const { broker, config, port } = await startBroker({
      data,
      change: (config) => {
        config.streams = before
      },
    })
    const client = await RawClient.connect(port, 'c')
    client.publish(2, 7, 'once')
    await client.next('pubrec')
    await broker.applyConfig(changed(config, after))
    client.publish(2, 7, 'once', { dup: true })
    await client.next('pubrec')
    client.pubrel(7)
    await client.next('pubcomp')
    client.publish(2, 7, 'another')
    await client.next('pubrec')
    const all = [...new Set([...before, ...after].map(({ name }) => name))]
    const found = await Promise.all(
      all.map(async (name) => (await valuesIn(broker, name)).map((value) => `${name} ${value}`)),
    )
    expect(found.flat().filter((line) => line.endsWith('once'))).toEqual([`${first} once`])
    await broker.close()
    // the same holds for the next start
    const again = await startBroker({
      data,
      change: (config) => {
        config.streams = before
      },
    })
    const same = await RawClient.connect(again.port, 'c')
    same.publish(2, 7, 'another', { dup: true })
    await same.next('pubrec')
    const later = await Promise.all(all.map((name) => valuesIn(again.broker, name).catch(() => [])))
    // the first time it came no stream took it, in the last case: so it stays
    expect(later.flat().filter((value) => value === 'another')).toHaveLength(taken)
  },
)

test('a configuration that contradicts what is on disk changes nothing, not even the rest of it', async () => {
  const { broker, config, sink } = await startBroker()
  const next = changed(config, [alarms, { ...events, partitions: 9 }])
  next.mqtt.anonymous = true
  await expect(broker.applyConfig(next)).rejects.toThrow(StreamDefinitionError)
  expect(broker.log.streams().map(({ stream }) => stream)).toEqual(['events'])
  expect(sink.matching('the configuration has changed')).toEqual([])
  expect(await broker.applyConfig(config)).toEqual({ applied: [], needsRestart: [] })
})

test('the writer of a stream that comes is asked for at once', async () => {
  const { broker, config, port } = await startBroker()
  const client = await RawClient.connect(port, 'c')
  client.publish(1, 1, 'before', { topic: 't/alarm/1' })
  await client.next('puback')
  await broker.applyConfig(changed(config, [{ ...alarms, writer: 'plc-1' }, events]))
  client.publish(1, 2, 'after', { topic: 't/alarm/1' })
  await expect(client.next('puback')).rejects.toThrow()
  expect(await valuesIn(broker, 'alarms')).toEqual([])
})

test('a stream whose key moves into the payload has its dead letters at once', async () => {
  const { broker, config, port } = await startBroker()
  const client = await RawClient.connect(port, 'c')
  await broker.applyConfig(changed(config, [{ ...events, key: { pointer: '/id' } }]))
  client.publish(1, 1, 'no JSON')
  client.publish(1, 2, '{"id":"k"}')
  await client.next('puback')
  await client.next('puback')
  expect(await valuesIn(broker, 'dead-letters')).toEqual(['no JSON'])
  const [state] = broker.log
    .partitions()
    .filter(({ durableOffset, stream }) => stream === 'events' && durableOffset > 0)
  const [batch] = await broker.log.read('events', state!.partition, 0, 1e6)
  expect([...readRecords(batch!.bytes)].map(({ key }) => String(key))).toEqual(['k'])
})

test('an empty payload is a tombstone from the moment on from which its stream is compacted', async () => {
  const { broker, config, port } = await startBroker()
  const client = await RawClient.connect(port, 'c')
  const publish = async (id: number) => {
    client.publish(1, id, '')
    await client.next('puback')
  }
  await publish(1)
  await broker.applyConfig(changed(config, [{ ...events, cleanup: 'compact' }]))
  await publish(2)
  const [state] = broker.log.partitions().filter(({ durableOffset }) => durableOffset > 0)
  const batches = await broker.log.read('events', state!.partition, 0, 1e6)
  const values = batches.flatMap(({ bytes }) => [...readRecords(bytes)].map(({ value }) => value))
  expect(values.map((value) => value === null)).toEqual([false, true])
})
