/** PUBACK and PUBREC leave after the fsync of the commit that holds the record: over TCP, on a disk that waits and fails. */
import mqtt from 'mqtt'
import { generate } from 'mqtt-packet'
import { afterEach, describe, expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { until } from '../log/support.ts'
import { dataDirectory, RawClient, recordsIn, startBroker } from './support.ts'

const LOG = '/log/main/'
let disk: FaultyDisk
afterEach(() => disk?.heal())

async function start(data = dataDirectory()) {
  disk = new FaultyDisk(nodeDisk)
  return startBroker({ disk, data })
}

describe.each([
  { qos: 1, answer: 'puback' },
  { qos: 2, answer: 'pubrec' },
] as const)('a QoS $qos message', ({ qos, answer }) => {
  it(`has no ${answer} while its sync is under way, and one when it has ended`, async () => {
    const { broker, port } = await start()
    const client = await RawClient.connect(port, 'c1')
    const gate = disk.hold('sync', LOG)
    client.publish(qos, 1, 'held')
    await gate.reached
    // another connection's traffic is handled meanwhile: the answer had its chance
    for (let i = 0; i < 5; i++) await (await RawClient.connect(port, `other${i}`)).handled()
    expect(client.received).toEqual([])
    expect(await recordsIn(broker)).toEqual([])
    gate.release()
    expect((await client.next(answer)).messageId).toBe(1)
    expect(await recordsIn(broker)).toEqual([{ topic: 't/x', value: 'held' }])
  })

  it(`has no ${answer} when its commit fails: the connection ends, and what the client sends again is stored`, async () => {
    for (const isKept of [false, true]) {
      const { broker, port, sink } = await start()
      const client = await RawClient.connect(port, 'c1')
      disk.fail({ on: 'sync', path: LOG, code: 'ENOSPC', isKept })
      client.publish(qos, 1, 'again')
      await client.closed()
      expect(client.received).toEqual([])
      expect(broker.status()).toMatchObject({ ingress: { failed: 1 }, log: { failedCommits: 1 } })
      expect(sink.matching('dropped a connection')[0]!.fields.reason).toMatch(
        /HW_COMMIT_FAILED.*no space left/,
      )
      await until(() => broker.status().log.condition === 'open', 'the log is open')

      const second = await RawClient.connect(port, 'c1')
      second.publish(qos, 1, 'again', { dup: true })
      expect((await second.next(answer)).messageId).toBe(1)
      // QoS 1 is at least once: what the disk kept of the failed commit is there as well
      const copies = qos === 1 && isKept ? 2 : 1
      expect(await recordsIn(broker)).toHaveLength(copies)
    }
  })

  it('of mqtt.js that is sent again by itself after a failed commit is stored', async () => {
    const { broker, port } = await start()
    const client = await mqtt.connectAsync({
      port,
      host: '127.0.0.1',
      clean: false,
      clientId: 'c1',
      reconnectPeriod: 10,
    })
    disk.fail({ on: 'sync', path: LOG })
    await client.publishAsync('t/x', 'by itself', { qos })
    expect(await recordsIn(broker)).toEqual([{ topic: 't/x', value: 'by itself' }])
    expect(broker.status().log.failedCommits).toBe(1)
    await client.endAsync()
  })
})

it('messages of many connections share a commit, and each has its own answer, in the order of its connection', async () => {
  const { broker, port } = await start()
  const first = await RawClient.connect(port, 'first')
  const others = await Promise.all(Array.from({ length: 5 }, (_, i) => RawClient.connect(port, `c${i}`)))
  const gate = disk.hold('sync', LOG)
  first.publish(1, 1, 'first')
  await gate.reached
  for (const [i, client] of others.entries()) {
    const packets = Array.from({ length: 10 }, (_, id) =>
      generate({
        cmd: 'publish',
        topic: `t/${i}`,
        payload: `v${id}`,
        qos: 1,
        messageId: id + 1,
        dup: false,
        retain: false,
      }),
    )
    client.sendBytes(Buffer.concat(packets))
  }
  await until(() => broker.status().ingress.received === 51, 'all have come')
  const { commits } = broker.status().log
  gate.release()
  for (const client of others) {
    for (let id = 1; id <= 10; id++) expect((await client.next('puback')).messageId).toBe(id)
  }
  expect(broker.status().log.commits - commits).toBe(2)
  const records = await recordsIn(broker)
  for (let i = 0; i < 5; i++) {
    const own = records.filter(({ topic }) => topic === `t/${i}`).map(({ value }) => value)
    expect(own).toEqual(Array.from({ length: 10 }, (_, id) => `v${id}`))
  }
})

it('a broker that is closed while a message is under way has stored what it acknowledged', async () => {
  const data = dataDirectory()
  const { broker, port } = await start(data)
  const client = await RawClient.connect(port, 'c1')
  for (let id = 1; id <= 200; id++) client.publish(1, id, `v${id}`)
  await client.next('puback')
  await broker.close()
  await client.closed()
  const acknowledged = 1 + client.received.filter(({ cmd }) => cmd === 'puback').length
  const again = await start(data)
  const stored = (await recordsIn(again.broker)).map(({ value }) => value)
  expect(stored.slice(0, acknowledged)).toEqual(Array.from({ length: acknowledged }, (_, i) => `v${i + 1}`))
})

it('PUBCOMP leaves after the sync of the release, and not when that fails', async () => {
  const { broker, port } = await start()
  const client = await RawClient.connect(port, 'c1')
  client.publish(2, 5, 'v')
  await client.next('pubrec')
  const gate = disk.hold('sync', LOG)
  client.pubrel(5)
  await gate.reached
  await (await RawClient.connect(port, 'other')).handled()
  expect(client.received).toEqual([])
  disk.fail({ on: 'sync', path: LOG })
  gate.release()
  await client.closed()
  expect(client.received).toEqual([])
  await until(() => broker.status().log.condition === 'open', 'the log is open')
  const second = await RawClient.connect(port, 'c1')
  second.pubrel(5)
  expect((await second.next('pubcomp')).messageId).toBe(5)
})
