/** One delivery of QoS 2, and the power cut at each change of the disk that it takes: the client takes the message once. */
import { expect, it } from 'vitest'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { ModelClient } from './model-client.ts'
import { settle, TestBroker } from './support.ts'

/** The steps of two deliveries, with a checkpoint in between; what fails is cut off. */
async function deliver(broker: TestBroker, client: ModelClient): Promise<string[]> {
  const acknowledged: string[] = []
  for (const payload of ['0', '1']) {
    await broker.publish('a', payload, { qos: 2 }).then(
      () => acknowledged.push(payload),
      () => undefined,
    )
    for (let step = 0; step < 3; step++) {
      await settle(4)
      client.answer()
    }
    broker.sessions.tick()
    await settle(4)
    // makes the checkpoint durable
    await client.subscribe()
  }
  return acknowledged
}

async function run(cutAt: number, kept: (unsynced: number) => number): Promise<{ changes: number }> {
  const memory = new MemoryDisk()
  const disk = new FaultyDisk(memory)
  let broker = await TestBroker.open(disk)
  const client = new ModelClient('a', 'a', 2)
  await client.connect(broker.sessions, 10)
  await client.subscribe()
  const before = disk.trace.length
  disk.cutPowerAt(cutAt)
  const acknowledged = await deliver(broker, client).catch(() => [])
  const changes = disk.trace.length - before
  client.orphaned()
  broker = await broker.cut({}, kept)
  expect(await client.connect(broker.sessions, 10)).toBe(true)
  for (let turn = 0; turn < 12; turn++) {
    await settle(4)
    while (client.hasAnswers) client.answer()
  }
  const payloads = client.taken.map(({ payload }) => payload)
  expect(new Set(payloads).size, `taken: ${payloads}`).toBe(payloads.length)
  for (const payload of acknowledged) expect(payloads).toContain(payload)
  expect(broker.sessions.status()).toMatchObject({ queued: 0, inFlight: 0 })
  // nothing is left of it: another start has nothing to send
  broker = await broker.restart()
  expect(broker.sessions.status()).toMatchObject({ queued: 0, inFlight: 0 })
  return { changes }
}

it('takes each message once, wherever the power is cut', async () => {
  const { changes } = await run(Number.POSITIVE_INFINITY, () => 0)
  expect(changes).toBeGreaterThan(8)
  for (let cutAt = 1; cutAt <= changes; cutAt++) {
    await run(cutAt, () => 0)
    await run(cutAt, (unsynced) => unsynced)
  }
})

/** The answers of the client, one by one, and a cut between any two. */
it('takes each message once, at whichever answer of the client the broker ends', async () => {
  for (let answers = 0; answers <= 3; answers++) {
    for (const hasCheckpoint of [false, true]) {
      let broker = await TestBroker.open()
      const client = new ModelClient('a', 'a', 2)
      await client.connect(broker.sessions, 10)
      await client.subscribe()
      await broker.publish('a', '0', { qos: 2 })
      for (let n = 0; n < answers; n++) {
        await settle(4)
        client.answer()
      }
      await settle(4)
      if (hasCheckpoint) {
        broker.sessions.tick()
        await settle(4)
        await client.subscribe()
      }
      client.orphaned()
      broker = await broker.cut()
      await client.connect(broker.sessions, 10)
      for (let turn = 0; turn < 6; turn++) {
        await settle(4)
        while (client.hasAnswers) client.answer()
      }
      expect(client.taken.map(({ payload }) => payload)).toEqual(['0'])
      expect(broker.sessions.status()).toMatchObject({ queued: 0, inFlight: 0 })
    }
  }
})
