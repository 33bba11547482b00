/** A replay to a client that takes none of it, as one with a tiny maximum packet size. */
import { expect, it } from 'vitest'
import { LimitedLog } from '../../../../broker/limited-log.ts'
import { NO_HEADERS } from '../../../../broker/log/record-batch.ts'
import type { Subscription } from '../../../../broker/mqtt/hub/subscription.ts'
import { Replay } from '../../../../broker/mqtt/replay/replay.ts'
import {
  READS_IN_VAIN_MAX,
  type ReplayFlow,
  SessionReplays,
} from '../../../../broker/mqtt/replay/session-replays.ts'
import type { Outgoing } from '../../../../broker/mqtt/session/outgoing.ts'
import { ReadTurns } from '../../../../broker/mqtt/session/read-turns.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { committed, openLog, RecordingSink, until } from '../../log/support.ts'

const SUBSCRIPTION: Subscription = {
  filter: '$replay/events/earliest',
  shareName: null,
  qos: 0,
  isNoLocal: false,
  isRetainAsPublished: false,
  identifier: null,
}

it('rests after a megabyte of which the client took nothing, whoever wakes it, and comes to the end', async () => {
  const log = await openLog(new MemoryDisk(), { streams: [{ name: 'events', partitions: 1 }] })
  const { chain, partitions } = log.stream('events')
  const large = Buffer.alloc(8 * 1024)
  for (let n = 0; n < 512; n++) {
    chain.append(partitions[0]!, 1000, Buffer.from('a/1'), large, NO_HEADERS)
    if (n % 8 === 7) await committed(log)
  }
  chain.append(partitions[0]!, 1000, Buffer.from('a/2'), Buffer.from('small'), NO_HEADERS)
  await committed(log)

  let now = 1000
  const taken: string[] = []
  let isStalled = false
  const outgoing = {
    version: 5,
    publish: ({ topic }) => {
      taken.push(topic)
      return true
    },
  } as Partial<Outgoing> as Outgoing
  const flow: ReplayFlow = {
    clientId: 'sub',
    takeId: () => 1,
    freeId() {},
    fitted: (_, message) => (message.payload.length > 1000 ? null : message),
    changed() {},
    stalled: () => {
      isStalled = true
    },
    pump: () => {
      while (replays.step(outgoing, false)) {}
    },
  }
  const replays = new SessionReplays(flow, () => now)
  const context = {
    log,
    limited: new LimitedLog(new RecordingSink()),
    reads: new ReadTurns(),
    waiting: new Set<Replay>(),
    begins: () => true,
    rests() {},
  }
  const replay = new Replay(SUBSCRIPTION, partitions, { kind: 'earliest' }, context)
  replays.add(replay)
  const next = () => replay.position.next!.get(0)!

  let rests = 0
  let before = 0
  flow.pump()
  while (taken.length === 0) {
    await until(() => isStalled || taken.length > 0, 'it rests or is at the end')
    if (!isStalled) break
    rests++
    // a record takes 8 KiB: what was read is bounded, and more than nothing
    expect(next() - before).toBeLessThanOrEqual(READS_IN_VAIN_MAX * 16)
    expect(next()).toBeGreaterThan(before)
    before = next()
    for (let n = 0; n < 10; n++) flow.pump()
    await new Promise((resolve) => setImmediate(resolve))
    expect(next()).toBe(before)
    isStalled = false
    now += 1000
    flow.pump()
  }
  expect(rests).toBeGreaterThan(1)
  expect(taken).toEqual(['a/2'])
})
