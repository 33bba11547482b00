/** Reads for clients: some at a time, in order, so that commits find a thread. */
import { expect, it } from 'vitest'
import { READS_AT_ONCE, ReadTurns } from '../../../../broker/mqtt/session/read-turns.ts'
import type { Disk, Store } from '../../../../broker/storage/store.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { STATE_PATH, settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

function reads(turns: ReadTurns, count: number) {
  const begun: number[] = []
  const ends: ((error?: Error) => void)[] = []
  const results = Array.from({ length: count }, (_, n) =>
    turns.take(
      () =>
        new Promise<number>((resolve, reject) => {
          begun.push(n)
          ends[n] = (error) => (error === undefined ? resolve(n) : reject(error))
        }),
    ),
  )
  return { begun, ends, results }
}

it('so many run at once; the next ones begin in their order', async () => {
  const { begun, ends, results } = reads(new ReadTurns(2), 4)
  expect(begun).toEqual([0, 1])
  ends[1]!()
  expect(await results[1]).toBe(1)
  await settle()
  expect(begun).toEqual([0, 1, 2])
  ends[0]!()
  await results[0]
  await settle()
  expect(begun).toEqual([0, 1, 2, 3])
})

it('one that fails gives its place to the next, and tells its own reader alone', async () => {
  const turns = new ReadTurns(1)
  const { begun, ends, results } = reads(turns, 2)
  ends[0]!(new Error('no disk'))
  await expect(results[0]).rejects.toThrow('no disk')
  await settle()
  expect(begun).toEqual([0, 1])
  ends[1]!()
  await results[1]
  // nothing is left behind: the only place is free
  expect(reads(turns, 1).begun).toEqual([0])
})

/** Counts what the sessions' store is asked for at one time. @param gate what each read waits for */
function counting(disk: Disk, gate: () => Promise<void> = async () => {}) {
  const calls = { get: 0, getMany: 0, atOnce: 0, most: 0 }
  const openStore = disk.openStore.bind(disk)
  disk.openStore = async (directory, options) => {
    const store = await openStore(directory, options)
    if (directory !== STATE_PATH) return store
    const counted: Partial<Store> = {
      get: (key) => {
        calls.get++
        return store.get(key)
      },
      getMany: async (keys) => {
        calls.getMany++
        calls.most = Math.max(calls.most, ++calls.atOnce)
        try {
          const values = await store.getMany(keys)
          await gate()
          return values
        } finally {
          calls.atOnce--
        }
      },
    }
    return Object.assign(Object.create(store) as Store, counted, {
      batch: () => store.batch(),
      range: store.range.bind(store),
      scan: store.scan.bind(store),
      close: () => store.close(),
    })
  }
  return calls
}

it('many new subscriptions read their retained messages some at a time, each with one call for many', async () => {
  const disk = new MemoryDisk()
  const calls = counting(disk)
  const broker = await TestBroker.open(disk)
  const messages = 40
  for (let n = 0; n < messages; n++) await broker.publish(`a/${n}`, `${n}`, { isRetained: true })
  broker.sessions.tick()
  await settle()
  const clients = await Promise.all(
    Array.from({ length: 20 }, (_, n) => new TestClient(`c${n}`).connect(broker.sessions)),
  )
  await Promise.all(clients.map((client) => client.subscribe('a/#')))
  while (clients.some(({ received }) => received.length < messages)) await settle()
  for (const client of clients) expect(new Set(client.payloads).size).toBe(messages)
  expect(calls.most).toBe(READS_AT_ONCE)
  expect(calls.get).toBe(0)
  expect(calls.getMany).toBeLessThan(3 * clients.length)
})

it('a topic that has another message by the time its read has come is sent with that one', async () => {
  const disk = new MemoryDisk()
  let open = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  counting(disk, () => gate)
  const broker = await TestBroker.open(disk)
  for (const topic of ['a/1', 'a/2']) await broker.publish(topic, 'old', { isRetained: true })
  broker.sessions.tick()
  await settle()
  const client = await new TestClient('c').connect(broker.sessions)
  await client.subscribe('a/#')
  await settle()
  await broker.publish('a/1', 'new', { isRetained: true, qos: 0 })
  await broker.publish('a/2', '', { isRetained: true, qos: 0 })
  await settle()
  open()
  await settle()
  const last = new Map(client.received.map(({ topic, payload }) => [topic, payload]))
  expect(last).toEqual(
    new Map([
      ['a/1', 'new'],
      ['a/2', ''],
    ]),
  )
})
