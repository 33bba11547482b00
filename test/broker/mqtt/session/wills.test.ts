/** Wills: when they are published, when not, and what a restart makes of them. */
import { describe, expect, it } from 'vitest'
import { RecordTooLargeError } from '../../../../broker/errors.ts'
import { settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

const WILL = { topic: 'will' }
const DELAYED = { topic: 'will', delaySeconds: 10 }

describe('a will', () => {
  it('is published when the connection is lost or DISCONNECT asks for it, not after a clean one [MQTT-3.1.2-8] [MQTT-3.1.2-10]', async () => {
    const broker = await TestBroker.open()
    const watcher = await new TestClient('watcher').connect(broker.sessions)
    await watcher.subscribe('will')
    for (const kind of ['clean', 'lost', 'with-will'] as const) {
      const client = await new TestClient(kind).connect(broker.sessions, { will: WILL, expirySeconds: 0 })
      client.session.disconnect(kind, null)
      await settle()
    }
    expect(broker.wills).toEqual(['lost will', 'with-will will'])
    expect(watcher.payloads).toEqual(['gone', 'gone'])
    expect(broker.sessions.status()).toMatchObject({ wills: 0, willsPublished: 2 })
  })

  it('waits for its delay, and is none where the client is back before [MQTT-3.1.3-9]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { will: DELAYED })
    client.lost()
    broker.clock.pass(9_000)
    broker.sessions.tick()
    await client.connect(broker.sessions)
    broker.clock.pass(9_000)
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual([])
    client.lost()
    await client.connect(broker.sessions, { will: DELAYED })
    client.lost()
    broker.clock.pass(10_000)
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual(['a will'])
  })

  it('comes at the end of the session, where that is before its delay [MQTT-3.1.3-9]', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { will: DELAYED, expirySeconds: 3 })
    client.lost()
    broker.clock.pass(3_000)
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual(['a will'])
    // a clean start ends it, too
    const other = await new TestClient('b').connect(broker.sessions, { will: DELAYED })
    other.lost()
    await other.connect(broker.sessions, { cleanStart: true })
    await settle()
    expect(broker.wills).toEqual(['a will', 'b will'])
  })

  it('of a session that is taken over is published without a delay, and not with one', async () => {
    const broker = await TestBroker.open()
    await new TestClient('a').connect(broker.sessions, { will: WILL })
    await new TestClient('a').connect(broker.sessions)
    await new TestClient('b').connect(broker.sessions, { will: DELAYED })
    await new TestClient('b').connect(broker.sessions)
    broker.clock.pass(60_000)
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual(['a will'])
  })

  it('that is retained stays as retained message', async () => {
    const broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { will: { ...WILL, isRetained: true } })
    client.lost()
    await settle()
    const found: string[] = []
    for await (const { payload } of broker.sessions.retained('will')) found.push(payload.toString())
    expect(found).toEqual(['gone'])
  })

  it('is published after a cut by which its client was cut off: at once, or after its delay', async () => {
    let broker = await TestBroker.open()
    await new TestClient('a').connect(broker.sessions, { will: WILL, expirySeconds: 0 })
    await new TestClient('b').connect(broker.sessions, { will: DELAYED, expirySeconds: 60 })
    await new TestClient('c').connect(broker.sessions, { will: WILL, expirySeconds: 60 })
    const clean = await new TestClient('d').connect(broker.sessions, { will: WILL, expirySeconds: 60 })
    clean.session.disconnect('clean', null)
    await settle()
    broker = await broker.cut()
    await settle()
    expect(broker.wills.toSorted()).toEqual(['a will', 'c will'])
    broker.clock.pass(10_000)
    broker.sessions.tick()
    await settle()
    expect(broker.wills.toSorted()).toEqual(['a will', 'b will', 'c will'])
    broker = await broker.cut()
    await settle()
    expect(broker.sessions.status().wills).toBe(0)
  })

  it('that waits for its delay goes on waiting over a restart', async () => {
    let broker = await TestBroker.open()
    const client = await new TestClient('a').connect(broker.sessions, { will: DELAYED })
    client.lost()
    broker.clock.pass(4_000)
    broker = await broker.restart()
    broker.clock.pass(5_000)
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual([])
    broker.clock.pass(1_000)
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual(['a will'])
  })

  it('that cannot be published is one of a client, the newest: a client that comes and goes leaves no more', async () => {
    let isFull = true
    const publishWill = async () => {
      if (isFull) throw new Error('the log is full')
    }
    const broker = await TestBroker.open(undefined, { publishWill })
    for (let n = 0; n < 100; n++) {
      const client = new TestClient(`client ${n % 2}`)
      await client.connect(broker.sessions, { expirySeconds: 0, will: { topic: `will ${n}` } })
      client.lost()
      await settle(2)
    }
    broker.sessions.tick()
    await settle()
    expect(broker.sessions.status()).toMatchObject({ wills: 2, willsDropped: 98 })
    expect(broker.sink.matching('a will was dropped')).toHaveLength(1)
    isFull = false
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual(['client 0 will 98', 'client 1 will 99'])
    expect(broker.sessions.status()).toMatchObject({ wills: 0 })
  })

  it.each(['restart', 'cut'] as const)(
    'that could not be published is there after a %s, also where its client is back with another one',
    async (end) => {
      const publishWill = async () => {
        throw new Error('the log is full')
      }
      let broker = await TestBroker.open(undefined, { publishWill })
      const client = await new TestClient('a').connect(broker.sessions, { will: { topic: 'first' } })
      client.lost()
      await settle()
      await client.connect(broker.sessions, { will: { topic: 'second', delaySeconds: 10 } })
      expect(broker.sessions.status()).toMatchObject({ wills: 2 })
      broker = await broker[end]()
      broker.sessions.tick()
      await settle()
      expect(broker.wills).toEqual(['a first'])
      broker.clock.pass(10_000)
      broker.sessions.tick()
      await settle()
      expect(broker.wills).toEqual(['a first', 'a second'])
      broker = await broker.restart()
      expect(broker.sessions.status()).toMatchObject({ wills: 0 })
    },
  )

  it('is none once its client may not publish it any more: at its end, after its delay, and after a restart', async () => {
    const rules = {
      mayPublish: ({ name }: { name: string | null }, topic: string) => name === 'ann' && topic === 'will',
      isGone: (name: string) => gone === name,
    }
    let gone = ''
    let broker = await TestBroker.open(undefined, { rules })
    const connects = async (clientId: string, user: string, expirySeconds: number, delaySeconds: number) =>
      new TestClient(clientId).connect(broker.sessions, {
        user,
        expirySeconds,
        will: { topic: 'will', delaySeconds },
      })
    const allowed = await connects('a', 'ann', 0, 0)
    const forbidden = await connects('b', 'bob', 0, 0)
    const later = await connects('c', 'ann', 3600, 10)
    for (const client of [allowed, forbidden, later]) client.lost()
    // cut off by the broker's own end
    await connects('d', 'ann', 0, 0)
    await settle()
    expect(broker.wills).toEqual(['a will'])
    expect(broker.sink.matching('a will was dropped')[0]?.fields).toMatchObject({
      client: 'b',
      user: 'bob',
      topic: 'will',
      reason: 'it may not be published any more',
    })
    gone = 'ann'
    broker = await broker.cut({ rules })
    broker.clock.pass(10_000)
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual([])
    expect(broker.sessions.status()).toMatchObject({ wills: 0 })
    broker = await broker.cut()
    await settle()
    expect(broker.sessions.status()).toMatchObject({ wills: 0 })
  })

  it('that cannot be published is tried again, also when its client is back; one that is too large is given up', async () => {
    let failures = 2
    const publishWill = async (will: { topic: string }) => {
      if (will.topic === 'large') throw new RecordTooLargeError('a will', 2, 1)
      if (failures-- > 0) throw new Error('the log is away')
    }
    const broker = await TestBroker.open(undefined, { publishWill })
    const client = await new TestClient('a').connect(broker.sessions, { will: WILL })
    client.lost()
    await settle()
    await client.connect(broker.sessions, { will: { topic: 'second' } })
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual([])
    broker.sessions.tick()
    await settle()
    expect(broker.wills).toEqual(['a will'])
    client.lost()
    await settle()
    expect(broker.wills).toEqual(['a will', 'a second'])
    const large = await new TestClient('b').connect(broker.sessions, { will: { topic: 'large' } })
    large.lost()
    await settle()
    expect(broker.sessions.status()).toMatchObject({ wills: 0 })
    expect(broker.sink.matching('a will was dropped')).toHaveLength(1)
  })
})
