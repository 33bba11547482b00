/** Answers that a client kept for its next connection, and packet ids over restarts. */
import { expect, it } from 'vitest'
import { settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

it('a PUBREC that comes before its message has gone out again counts: PUBREL follows, and no PUBLISH', async () => {
  let broker = await TestBroker.open()
  const client = await new TestClient('a').connect(broker.sessions)
  await client.subscribe('t', { qos: 2 })
  await broker.publish('t', '1', { qos: 2 })
  await settle()
  const { packetId } = client.last()
  broker = await broker.cut()
  await client.connect(broker.sessions, { isSilent: true })
  expect(client.session.pubrec(packetId, 0)).toBe(true)
  client.session.pump()
  await settle()
  expect(client.wire).toEqual(['publish 1', `pubrel ${packetId}`])
  expect(client.session.pubcomp(packetId, 0)).toBe(true)
  expect(broker.sessions.status()).toMatchObject({ queued: 0, inFlight: 0 })
})

it('a PUBACK that comes before its message has gone out again counts', async () => {
  const broker = await TestBroker.open()
  const client = await new TestClient('a').connect(broker.sessions)
  await client.subscribe('t', { qos: 1 })
  await broker.publish('t', '1')
  const { packetId } = client.last()
  client.lost()
  await client.connect(broker.sessions, { isSilent: true })
  expect(client.session.puback(packetId, 0)).toBe(true)
  client.session.pump()
  await settle()
  expect(client.payloads).toEqual(['1'])
})

it('an answer to what went out before a cut, or before one more, acknowledges no other message', async () => {
  let broker = await TestBroker.open()
  const client = await new TestClient('a').connect(broker.sessions)
  await client.subscribe('t', { qos: 1 })
  broker.sessions.tick()
  await settle()
  // a start that finds nothing to read again
  broker = await broker.cut()
  await client.connect(broker.sessions)
  const before = new Set<number>()
  let looked = 0
  const look = () => {
    const sent = client.received.slice(looked)
    looked = client.received.length
    // one that is sent again under an id that the broker still knows is the same message
    expect(sent.filter(({ isDup, packetId }) => !isDup && before.has(packetId))).toEqual([])
    for (const { packetId } of sent) before.add(packetId)
  }
  for (let cut = 0; cut < 6; cut++) {
    for (const payload of ['1', '2', '3']) await broker.publish('t', `${cut} ${payload}`)
    await settle()
    look()
    broker = await broker.cut()
    await client.connect(broker.sessions)
    await settle()
    look()
    expect(new Set(client.payloads).size).toBe(3 * (cut + 1))
  }
})

it('what is read again after a cut is not dropped at the limit of the queue: the client may have had it in flight', async () => {
  const limits = { queuedMessagesMax: 3 }
  let broker = await TestBroker.open(undefined, { limits })
  const client = await new TestClient('a').connect(broker.sessions)
  await client.subscribe('t', { qos: 1 })
  for (let n = 0; n < 10; n++) await broker.publish('t', String(n))
  expect(client.payloads).toHaveLength(10)
  client.received.length = 0
  broker = await broker.cut({ limits })
  expect(broker.sessions.status().dropped.queueFull).toBe(0)
  await client.connect(broker.sessions)
  await settle()
  expect(client.payloads).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
})
