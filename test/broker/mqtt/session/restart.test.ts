/** What a session has after a stop and after a power cut. */
import { describe, expect, it } from 'vitest'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { decodeQos2, encodeQos2, sealed, unsealed } from '../../../../broker/mqtt/session/state-format.ts'
import { STATE_STORE_OPTIONS } from '../../../../broker/mqtt/session/state-store.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { until } from '../../log/support.ts'
import { STATE_PATH, settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

/** A stop writes all; a cut leaves what was synced. */
const ENDS = ['restart', 'cut'] as const

describe.each(ENDS)('after a %s', (end) => {
  it('a session that stays is present with its subscriptions, and has what came since', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { expirySeconds: 3600 })
    await client.subscribe('a/+', { qos: 2, identifier: 5, isRetainAsPublished: true })
    await client.subscribe('$share/group/b', { qos: 1 })
    client.lost()
    await broker.publish('a/1', '1', { qos: 1 })
    await broker.publish('b', '2', { qos: 1 })
    await broker.publish('c', '3', { qos: 1 })
    broker = await broker[end]()
    expect(broker.sessions.status()).toMatchObject({ sessions: 1, stored: 1, subscriptions: 2, queued: 2 })
    await broker.publish('a/2', '4', { qos: 1, isRetained: true })
    await client.connect(broker.sessions)
    await settle()
    expect(client.isPresent).toBe(true)
    expect(
      client.received.map(({ payload, identifiers, isRetained }) => [payload, identifiers, isRetained]),
    ).toEqual([
      ['1', [5], false],
      ['2', [], false],
      ['4', [5], true],
    ])
  })

  it('a session is its user’s alone, whoever comes with its client id', async () => {
    let broker = await TestBroker.open()
    const mine = { user: 'ann', expirySeconds: 3600 }
    const client = await new TestClient('a').connect(broker.sessions, mine)
    await client.subscribe('t', { qos: 1 })
    const other = new TestClient('a')
    const refused = { reasonCode: Reason.notAuthorized }
    const comes = async () => {
      for (const user of ['eve', null]) {
        for (const cleanStart of [false, true]) {
          await expect(other.connect(broker.sessions, { user, cleanStart })).rejects.toMatchObject(refused)
        }
      }
    }
    await comes()
    expect(client.closed, 'nor is its connection ended').toBeNull()
    client.lost()
    await broker.publish('t', '1', { qos: 1 })
    await comes()
    broker = await broker[end]()
    await comes()
    await client.connect(broker.sessions, mine)
    await settle()
    expect([client.isPresent, client.received.map(({ payload }) => payload)]).toEqual([true, ['1']])
  })

  it('a session of nobody is the next one’s, and then its alone', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { expirySeconds: 3600 })
    await client.subscribe('t', { qos: 1 })
    client.lost()
    await client.connect(broker.sessions, { user: 'ann', expirySeconds: 3600 })
    expect(client.isPresent).toBe(true)
    client.lost()
    broker = await broker[end]()
    await expect(client.connect(broker.sessions)).rejects.toMatchObject({ reasonCode: Reason.notAuthorized })
  })

  it('a session that ends with its connection is not there', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { expirySeconds: 0 })
    await client.subscribe('a')
    broker = await broker[end]()
    expect(broker.sessions.status()).toMatchObject({ sessions: 0, subscriptions: 0 })
  })

  it('a session that was ended by a clean start, an expiry of 0 or DISCONNECT does not come back', async () => {
    let broker = await TestBroker.open()
    for (const clientId of ['a', 'b', 'c']) {
      const client = await new TestClient(clientId).connect(broker.sessions)
      await client.subscribe('t')
      await broker.publish('t', '1')
      client.lost()
    }
    await new TestClient('a').connect(broker.sessions, { cleanStart: true, expirySeconds: 0 })
    const zero = await new TestClient('b').connect(broker.sessions, { expirySeconds: 0 })
    expect(zero.isPresent).toBe(true)
    const ending = await new TestClient('c').connect(broker.sessions)
    ending.session.disconnect('clean', 0)
    await settle()
    broker = await broker[end]()
    expect(broker.sessions.status()).toMatchObject({ sessions: 0, subscriptions: 0, queued: 0 })
    expect(await (await new TestClient('a').connect(broker.sessions)).isPresent).toBe(false)
  })

  it('an unsubscribed filter stays so', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a')
    await client.subscribe('b')
    await client.session.unsubscribe(['a'])
    broker = await broker[end]()
    await broker.publish('a', '1')
    await broker.publish('b', '2')
    await client.connect(broker.sessions)
    await settle()
    expect(client.payloads).toEqual(['2'])
  })

  it('a subscription brings nothing that was published before it', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await broker.publish('a', 'before')
    await client.subscribe('a')
    await broker.publish('a', 'after')
    await settle()
    expect(client.payloads).toEqual(['after'])
    broker = await broker[end]()
    client.received.length = 0
    await client.connect(broker.sessions)
    await settle()
    expect(client.payloads).toEqual(['after'])
  })

  it('what was delivered and acknowledged before the last checkpoint does not come again', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    await client.subscribe('a', { qos: 2 })
    await broker.publish('a', '1', { qos: 1 })
    await broker.publish('a', '2', { qos: 2 })
    await settle()
    client.session.puback(client.received[0]!.packetId, 0)
    client.session.pubrec(client.received[1]!.packetId, 0)
    await settle()
    client.session.pubcomp(client.received[1]!.packetId, 0)
    broker.sessions.tick()
    await settle()
    // the next synced write makes the checkpoint durable
    await client.subscribe('b')
    broker = await broker[end]()
    await client.connect(broker.sessions)
    await settle()
    expect(client.payloads).toEqual(['1', '2'])
  })

  it('a message that no stream takes is still delivered, and is forgotten then', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions)
    const other = await new TestClient('b').connect(broker.sessions)
    await client.subscribe('$x/#', { qos: 1 })
    await other.subscribe('$x/#', { qos: 2 })
    client.lost()
    other.lost()
    await broker.publish('$x/1', 'one', { isInline: true, qos: 2 })
    broker = await broker[end]()
    expect(broker.sessions.status()).toMatchObject({ inlineMessages: 1, queued: 2 })
    await client.connect(broker.sessions)
    await other.connect(broker.sessions)
    await settle()
    expect([...client.wire, ...other.wire]).toEqual(['publish one', 'publish one'])
    client.session.puback(client.last().packetId, 0)
    other.session.pubrec(other.last().packetId, 0)
    await settle()
    other.session.pubcomp(other.last().packetId, 0)
    broker.sessions.tick()
    await settle()
    expect(broker.sessions.status()).toMatchObject({ inlineMessages: 0, inlineBytes: 0 })
    broker = await broker.restart()
    expect(broker.sessions.status()).toMatchObject({ inlineMessages: 0, queued: 0 })
  })
})

it('a stop keeps packet ids, so that what was in flight comes again under its own, marked DUP', async () => {
  let broker = await TestBroker.open()
  const client = await new TestClient('a').connect(broker.sessions)
  await client.subscribe('a')
  await broker.publish('a', '1')
  await broker.publish('a', '2')
  client.session.puback(client.received[0]!.packetId, 0)
  const { packetId } = client.last()
  broker = await broker.restart()
  await client.connect(broker.sessions)
  await settle()
  expect(client.wire.slice(2)).toEqual(['dup 2'])
  expect(client.last().packetId).toBe(packetId)
})

it('of two deliveries of QoS 2 under one id the earlier was over: it is neither released nor repeated', async () => {
  const disk = new MemoryDisk()
  let broker = await TestBroker.open(disk)
  const client = await new TestClient('a').connect(broker.sessions)
  await client.subscribe('a', { qos: 2 })
  await broker.publish('a', '1', { qos: 2 })
  await broker.publish('a', '2', { qos: 2 })
  await settle()
  await broker.close()
  // as it is when the id came round again before a checkpoint
  const store = await disk.openStore(STATE_PATH, STATE_STORE_OPTIONS)
  const facts = await store.range({ from: Buffer.of(4), to: Buffer.of(5), bytesMax: 1e6 })
  expect(facts).toHaveLength(2)
  const batch = store.batch()
  for (const { key, value } of facts) {
    const fact = decodeQos2(unsealed(key, value)!)
    batch.put(key, sealed(key, encodeQos2({ ...fact, packetId: 7, isReleased: fact.seq === 0 })))
  }
  await batch.write({ sync: true })
  await store.close()
  client.wire.length = 0
  broker = await TestBroker.open(disk)
  await client.connect(broker.sessions)
  await settle()
  expect(client.wire).toEqual(['dup 2'])
  expect(client.last().packetId).toBe(7)
})

it('a disk that fails refuses what must be on it, says so once, and has it all when it is mended', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  let broker = await TestBroker.open(disk)
  const client = await new TestClient('a').connect(broker.sessions)
  disk.fail({ on: 'sync', path: 'mqtt', times: Number.POSITIVE_INFINITY, code: 'ENOSPC' })
  await expect(client.subscribe('a')).rejects.toMatchObject({ code: 'HW_SESSION_STATE' })
  await expect(new TestClient('b').connect(broker.sessions)).rejects.toMatchObject({
    code: 'HW_SESSION_STATE',
  })
  expect(broker.sessions.status()).toMatchObject({ sessions: 1 })
  expect(broker.sessions.status().failure).toContain('no space')
  // who needs nothing on disk is served
  // and who comes again and again leaves nothing that waits for the disk; nor is a connection disturbed
  const { unwritten } = broker.sessions.status()
  for (let n = 0; n < 20; n++) {
    const asked = n % 2 === 0 ? {} : { expirySeconds: 0, will: { topic: 'will' } }
    await expect(new TestClient('b').connect(broker.sessions, asked)).rejects.toMatchObject({
      code: 'HW_SESSION_STATE',
    })
  }
  await expect(new TestClient('a').connect(broker.sessions, { cleanStart: true })).rejects.toMatchObject({
    code: 'HW_SESSION_STATE',
  })
  expect(client.closed).toBeNull()
  expect(broker.sessions.status().unwritten).toBe(unwritten)
  const passing = await new TestClient('c').connect(broker.sessions, { expirySeconds: 0 })
  expect(await passing.subscribe('a')).toEqual([1])
  disk.heal()
  await until(() => broker.sessions.status().failure === null, 'the state is written again')
  expect(broker.sink.lines.filter(({ level }) => level === 'error')).toHaveLength(1)
  expect(await client.subscribe('b')).toEqual([1])
  expect(disk.violations).toBe(0)
  broker = await broker.cut()
  // what was refused is there as well: the client may have given it up, and comes again
  await broker.publish('a', '0')
  await broker.publish('b', '1')
  await client.connect(broker.sessions)
  await settle()
  expect(client.payloads).toEqual(['0', '1'])
  expect(broker.sessions.status()).toMatchObject({ sessions: 1 })
})

describe('what a session that stays had before a checkpoint does not come once more after a cut', () => {
  /** A second passes, and what it writes is with the kernel. */
  const second = async (broker: TestBroker) => {
    broker.sessions.tick()
    await settle()
  }
  const kept = (unsynced: number) => unsynced

  it('as with QoS 0, which leaves no trace in its queue', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { expirySeconds: 3600 })
    await client.subscribe('t', { qos: 1 })
    await second(broker)
    for (const payload of ['0', '1', '2']) await broker.publish('t', payload, { qos: 0 })
    await second(broker)
    expect(client.received.map(({ payload, qos }) => [payload, qos])).toEqual([
      ['0', 0],
      ['1', 0],
      ['2', 0],
    ])
    // since the checkpoint: its QoS is not known any more
    await broker.publish('t', '3', { qos: 0 })
    broker = await broker.cut({}, kept)
    expect(broker.sessions.status()).toMatchObject({ replayed: 1 })
    await client.connect(broker.sessions)
    await settle()
    expect(client.received.slice(4).map(({ payload, qos }) => [payload, qos])).toEqual([['3', 1]])
  })

  it('and where no session stays, nothing is written for it', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { expirySeconds: 0 })
    await client.subscribe('t', { qos: 1 })
    await second(broker)
    const { writes } = broker.sessions.status()
    for (const payload of ['0', '1', '2']) await broker.publish('t', payload, { qos: 0 })
    await second(broker)
    expect(client.received).toHaveLength(3)
    expect(broker.sessions.status().writes).toBe(writes)
  })
})
