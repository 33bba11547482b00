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
  const before: number[] = []
  for (let cut = 0; cut < 6; cut++) {
    const sent = client.received.length
    for (const payload of ['1', '2', '3']) await broker.publish('t', `${cut} ${payload}`)
    await settle()
    const ids = client.received.slice(sent).map(({ packetId }) => packetId)
    expect(ids.filter((id) => before.includes(id))).toEqual([])
    before.push(...ids)
    broker = await broker.cut()
    await client.connect(broker.sessions)
    await settle()
    const queued = broker.sessions.status().queued + broker.sessions.status().inFlight
    // what the checkpoint at the last start did not know yet has new ids
    expect(queued).toBe(3 * (cut + 1))
    before.push(...client.received.map(({ packetId }) => packetId))
  }
})

it('what is read again after a cut is not dropped at the limit of the queue: the client may have had it in flight', async () => {
  let broker = await TestBroker.open(undefined, { limits: { queuedMessagesMax: 3 } })
  const client = await new TestClient('a').connect(broker.sessions)
  await client.subscribe('t', { qos: 1 })
  for (let n = 0; n < 10; n++) await broker.publish('t', String(n))
  expect(client.payloads).toHaveLength(10)
  client.received.length = 0
  broker = await broker.cut()
  expect(broker.sessions.status().dropped.queueFull).toBe(0)
  await client.connect(broker.sessions)
  await settle()
  expect(client.payloads).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
})
