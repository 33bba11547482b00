/** What sessions take in memory: idle ones little, a long queue little more. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import type { Outgoing } from '../../../../broker/mqtt/session/outgoing.ts'
import type { TopicHub } from '../../../../broker/mqtt/session/topic-hub.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { temporaryDirectory } from '../../log/support.ts'
import { settle, TestBroker } from './support.ts'
import { connectOf, TestClient } from './test-client.ts'

setFlagsFromString('--expose_gc')
const collect = runInNewContext('gc') as () => void

const SESSIONS = 1_000

async function bytesUsed(): Promise<number> {
  for (let n = 0; n < 3; n++) {
    collect()
    await settle(5)
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** A connection that takes everything and keeps nothing: one for all, so that only sessions are measured. */
const sink: Outgoing = {
  from: '192.0.2.1',
  version: 5,
  receiveMaximum: 65_535,
  maximumPacketBytes: null,
  publish: () => true,
  pubrel: () => true,
  close: () => {},
}

/** The hub's share is not a session's. */
const deafHub: TopicHub = { subscribe() {}, unsubscribe: () => true, removeAll() {}, publish: () => 0 }

it('an idle session that stays, with two subscriptions, takes less than 3 kB', async () => {
  const broker = await TestBroker.open(nodeDisk, { hub: deafHub, path: temporaryDirectory() })
  const before = await bytesUsed()
  for (let n = 0; n < SESSIONS; n++) {
    const { session } = await broker.sessions.connect(connectOf(`client-${n}`, {}), sink)
    session.pump()
    const subscriptions = [`a/${n}/#`, `b/${n}/+`].map((filter) => ({
      filter,
      qos: 1 as const,
      isNoLocal: false,
      isRetainAsPublished: false,
      retainHandling: 0 as const,
    }))
    const codes = await session.subscribe(
      { type: 'subscribe', packetId: 1, identifier: null, subscriptions },
      [1, 1],
    )
    expect(codes).toEqual([1, 1])
  }
  const bytes = ((await bytesUsed()) - before) / SESSIONS
  expect(bytes).toBeLessThan(3_000)
  expect(broker.sessions.status()).toMatchObject({ connected: SESSIONS, subscriptions: 2 * SESSIONS })
}, 60_000)

it('a queued message takes less than 32 bytes', async () => {
  const broker = await TestBroker.open(nodeDisk, { path: temporaryDirectory() })
  for (let n = 0; n < 50; n++) {
    const client = await new TestClient(`${n}`).connect(broker.sessions)
    await client.subscribe('#')
    client.lost()
  }
  // what the log takes once, whatever it holds, is there then
  await broker.publish('t', 'x')
  const before = await bytesUsed()
  for (let n = 0; n < 990; n += 10) {
    await Promise.all(Array.from({ length: 10 }, () => broker.publish('t', 'x'.repeat(100))))
  }
  const bytes = ((await bytesUsed()) - before) / (50 * 990)
  expect(broker.sessions.status()).toMatchObject({ queued: 50 * 991, heldBytes: 0 })
  expect(bytes).toBeLessThan(32)
}, 60_000)
