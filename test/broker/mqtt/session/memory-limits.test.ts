/**
 * Limits in bytes: what a message brings as properties counted for nothing, so that one pair of clients, one that sends messages of properties alone and
 * one that acknowledges none, took the broker's memory.
 */
import { expect, it } from 'vitest'
import type { MessageProperties } from '../../../../broker/mqtt/packets/packet.ts'
import { SESSION_LIMITS } from '../../../../broker/mqtt/session/limits.ts'
import { messageBytes } from '../../../../broker/mqtt/session/message-bytes.ts'
import { settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

const KILOBYTES = 60
const large: MessageProperties = { userProperties: [['name', 'x'.repeat(KILOBYTES * 1024)]] }

it.each([
  ['content type', { contentType: 'x'.repeat(1000) }],
  ['response topic', { responseTopic: 'x'.repeat(1000) }],
  ['correlation data', { correlationData: Buffer.alloc(1000) }],
  ['user properties', { userProperties: [['n', 'x'.repeat(1000)]] }],
] as const)('%s count as bytes of a message', (_, properties) => {
  const of = (own: MessageProperties | null) =>
    messageBytes({ topic: 'a', payload: Buffer.alloc(10), properties: own })
  expect(of(properties) - of(null)).toBeGreaterThanOrEqual(1000)
})

it('small user properties count with what they take beside their bytes', () => {
  const userProperties = Array.from({ length: 100 }, () => ['a', 'b'] as const)
  expect(
    messageBytes({ topic: 'a', payload: Buffer.alloc(0), properties: { userProperties } }),
  ).toBeGreaterThan(10_000)
})

it('messages of properties alone wait in the log where their client takes none; what is read back for it is no more', async () => {
  const broker = await TestBroker.open()
  const client = await new TestClient('slow').connect(broker.sessions, { receiveMaximum: 1 })
  await client.subscribe('a')
  for (let n = 0; n < 40; n++) await broker.publish('a', '', { properties: large })
  const { heldBytesMax } = SESSION_LIMITS
  expect(broker.sessions.status()).toMatchObject({ queued: 39, inFlight: 1 })
  const read = broker.log.read.bind(broker.log)
  let reads = 0
  broker.log.read = (...where) => {
    reads++
    return read(...where)
  }
  for (let n = 0; n < 30; n++) {
    // what was asked for in one go, and the one that went beyond it
    expect(broker.sessions.status().heldBytes).toBeLessThanOrEqual(heldBytesMax + KILOBYTES * 1024)
    client.session.puback(client.last().packetId, 0)
    await settle()
  }
  expect(client.received).toHaveLength(31)
  expect(reads).toBeGreaterThan(10)
})

it('properties count where no stream holds the message', async () => {
  const inlineBytesMax = 150 * 1024
  const broker = await TestBroker.open(undefined, { limits: { inlineBytesMax } })
  const client = await new TestClient('away').connect(broker.sessions)
  await client.subscribe('a')
  client.lost()
  for (let n = 0; n < 3; n++) await broker.publish('a', '', { properties: large, isInline: true })
  expect(broker.sessions.status()).toMatchObject({ inlineMessages: 2, dropped: { inlineFull: 1 } })
  expect(broker.sessions.status().inlineBytes).toBeGreaterThan(2 * KILOBYTES * 1024)
})

it('properties count as retained', async () => {
  const broker = await TestBroker.open(undefined, { limits: { retainedBytesMax: 150 * 1024 } })
  for (const topic of ['a', 'b', 'c'])
    await broker.publish(topic, 'x', { isRetained: true, properties: large })
  expect(broker.sessions.status()).toMatchObject({ retained: 2, dropped: { retainedFull: 1 } })
})

it('all counts the same after a restart', async () => {
  let broker = await TestBroker.open()
  const client = await new TestClient('away').connect(broker.sessions)
  await client.subscribe('a')
  client.lost()
  await broker.publish('a', 'payload', { properties: large, isInline: true, isRetained: true })
  await broker.publish('b', 'payload', {
    properties: { correlationData: Buffer.alloc(100) },
    isRetained: true,
  })
  const { retainedBytes, inlineBytes } = broker.sessions.status()
  expect(retainedBytes).toBeGreaterThan(KILOBYTES * 1024)
  broker = await broker.restart()
  expect(broker.sessions.status()).toMatchObject({ retainedBytes, inlineBytes })
})
