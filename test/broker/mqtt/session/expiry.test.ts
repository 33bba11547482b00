/** When sessions end: by the time that goes by, whatever the clocks do. */
import { describe, expect, it } from 'vitest'
import { SessionClock } from '../../../../broker/mqtt/session/session-clock.ts'
import { settle, TestBroker, TestClock } from './support.ts'
import { TestClient } from './test-client.ts'

const HOUR_MS = 3_600_000

async function away(broker: TestBroker, expirySeconds = 60): Promise<TestClient> {
  const client = await new TestClient('a').connect(broker.sessions, { expirySeconds })
  await client.subscribe('a')
  client.lost()
  return client
}

describe('a session', () => {
  it('ends its expiry after its connection [MQTT-3.1.2-23], not before', async () => {
    const broker = await TestBroker.open()
    const client = await away(broker)
    broker.clock.pass(59_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(1)
    broker.clock.pass(1_000)
    broker.sessions.tick()
    expect(broker.sessions.status()).toMatchObject({ sessions: 0, subscriptions: 0 })
    expect((await client.connect(broker.sessions)).isPresent).toBe(false)
  })

  it('that never expires does not, and one that is connected neither', async () => {
    const broker = await TestBroker.open()
    await away(broker, 0xffffffff)
    await new TestClient('b').connect(broker.sessions, { expirySeconds: 1 })
    broker.clock.pass(1000 * 365 * 24 * HOUR_MS)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(2)
  })

  it('has the expiry of its last CONNECT, or of DISCONNECT [MQTT 5, section 3.14.2.2.2], as far as the limit allows', async () => {
    const broker = await TestBroker.open(undefined, { limits: { expirySecondsMax: 100 } })
    const client = await away(broker, 1_000)
    expect(client.session.expirySeconds).toBe(100)
    await client.connect(broker.sessions, { expirySeconds: 10 })
    expect(client.isPresent).toBe(true)
    client.session.disconnect('clean', 50)
    broker.clock.pass(49_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(1)
    broker.clock.pass(1_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(0)
  })

  it.each(['restart', 'cut'] as const)('ends in time although the broker was off: %s', async (end) => {
    let broker = await TestBroker.open()
    await away(broker, 100)
    broker.clock.pass(30_000)
    broker.sessions.tick()
    await settle()
    // makes durable what the tick wrote
    await new TestClient('other').connect(broker.sessions)
    broker = await broker[end]()
    expect(broker.sessions.status().sessions).toBe(2)
    broker.clock.pass(69_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(2)
    broker.clock.pass(1_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(1)
  })

  it('counts the time for which the broker was off, by a trusted clock', async () => {
    const broker = await TestBroker.open()
    await away(broker, 60)
    await broker.close()
    broker.clock.wall += HOUR_MS
    broker.clock.boot()
    const next = await TestBroker.open(broker.disk, { clock: broker.clock })
    expect(next.sessions.status().sessions).toBe(0)
  })

  it('does not count it while the clock is not trusted, and does once it is', async () => {
    const broker = await TestBroker.open()
    await away(broker, 7200)
    await broker.close()
    const { clock } = broker
    clock.boot()
    clock.isTrusted = false
    const before = clock.wall
    clock.wall = 0
    const next = await TestBroker.open(broker.disk, { clock })
    clock.pass(60_000)
    next.sessions.tick()
    expect(next.sessions.status().sessions).toBe(1)
    // the time service has come: an hour and a minute have passed, then another hour
    clock.wall = before + HOUR_MS + 60_000
    clock.isTrusted = true
    next.sessions.tick()
    expect(next.sessions.status().sessions).toBe(1)
    clock.pass(HOUR_MS - 61_000)
    next.sessions.tick()
    expect(next.sessions.status().sessions).toBe(1)
    clock.pass(1_000)
    next.sessions.tick()
    expect(next.sessions.status().sessions).toBe(0)
  })

  it('is not ended by a step of the clock', async () => {
    const broker = await TestBroker.open()
    await away(broker, 60)
    broker.clock.wall += 50 * 365 * 24 * HOUR_MS
    broker.sessions.tick()
    broker.clock.wall -= 80 * 365 * 24 * HOUR_MS
    broker.sessions.tick()
    broker.clock.pass(59_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(1)
    broker.clock.pass(1_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(0)
  })

  it('that was connected when the broker died has all of its expiry left, also where an older absence was written', async () => {
    let broker = await TestBroker.open()
    const client = await away(broker, 60)
    broker.clock.pass(50_000)
    broker.sessions.tick()
    await settle()
    await client.connect(broker.sessions, { expirySeconds: 60 })
    broker.clock.pass(5_000)
    broker = await broker.cut()
    broker.clock.pass(59_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(1)
    broker.clock.pass(1_000)
    broker.sessions.tick()
    expect(broker.sessions.status().sessions).toBe(0)
  })
})

describe('session time', () => {
  it('never goes back, over any number of starts and steps', () => {
    const clock = new TestClock()
    let session = new SessionClock(clock, null)
    let last = session.now()
    for (const step of [0, HOUR_MS, -HOUR_MS, 10 * HOUR_MS, -100 * HOUR_MS, 5]) {
      clock.wall += step
      clock.pass(10)
      session.look()
      expect(session.now()).toBe(last + 10)
      const stored = session.stored()
      clock.boot()
      session = new SessionClock(clock, stored)
      expect(session.now()).toBe(last + 10)
      last = session.now()
    }
  })
})
