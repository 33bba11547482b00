import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ClientWindow, digestOf } from '../../../firmware-bridge/uplink/client-window.ts'
import { openLevelWindowDb } from '../../../firmware-bridge/uplink/level-window-db.ts'
import {
  decodeClient,
  decodeEntry,
  decodeReserved,
  EntryState,
  encodeClient,
  encodeEntry,
  encodeReserved,
  entryKey,
  entryRange,
} from '../../../firmware-bridge/uplink/window-format.ts'
import { WindowStore } from '../../../firmware-bridge/uplink/window-store.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { MemoryWindowDb } from './support.ts'

const OPTIONS = { windowMessages: 4, windowClientsMax: 3 }
const digest = digestOf('t', Buffer.from('x'))

async function accept(store: WindowStore, window: ClientWindow, messageId: number, isCompleted = true) {
  const entry = window.place({ messageId, packetId: messageId, digest, state: EntryState.received })!
  await store.write([window.change(entry)])
  entry.isCompleted = isCompleted
}

describe('the format', () => {
  it('gives back what was written', () => {
    const entry = {
      state: EntryState.sent,
      epoch: 0xfffffffe,
      sequence: 2 ** 40,
      completedBelow: 2 ** 39,
      messageId: 65_535,
      packetId: 1,
      digest,
    }
    expect(decodeEntry(encodeEntry(entry))).toEqual(entry)
    expect(decodeClient(encodeClient({ epoch: 7, touched: 2 ** 41 }))).toEqual({ epoch: 7, touched: 2 ** 41 })
    const range = { first: 65_535, count: 81 }
    expect(decodeReserved(encodeReserved(7, range), 7)).toEqual(range)
  })

  it('is as its description’s example says', () => {
    const entry = {
      state: EntryState.received,
      epoch: 1,
      sequence: 0,
      completedBelow: 0,
      messageId: 7,
      packetId: 7,
    }
    expect(entryKey('a', 0).toString('hex')).toBe('01610000')
    expect(encodeEntry({ ...entry, digest: '9f86d081884c7d65' }).toString('hex')).toBe(
      '020000000100000000000000000000000000070007' + '9f86d081884c7d65',
    )
  })

  it('takes nothing else', () => {
    const good = encodeEntry({
      state: 1,
      epoch: 0,
      sequence: 0,
      completedBelow: 0,
      messageId: 1,
      packetId: 1,
      digest,
    })
    expect(decodeEntry(good.subarray(1))).toBeNull()
    expect(decodeEntry(Buffer.concat([Buffer.of(9), good.subarray(1)]))).toBeNull()
    expect(decodeClient(Buffer.alloc(9))).toBeNull()
    expect(decodeReserved(encodeReserved(7, { first: 1, count: 81 }), 8)).toBeNull()
    expect(decodeReserved(Buffer.alloc(8), 0)).toBeNull()
    expect(decodeReserved(Buffer.alloc(7), 0)).toBeNull()
  })

  it('keeps the keys of a client apart from those of one whose id begins the same', () => {
    const { from, to } = entryRange('pump')
    const inside = (key: Buffer) => key.compare(from) >= 0 && key.compare(to) < 0
    expect(inside(entryKey('pump', 0))).toBe(true)
    expect(inside(entryKey('pump', 255))).toBe(true)
    expect(inside(entryKey('pump-7', 0))).toBe(false)
    expect(inside(entryKey('pum', 0))).toBe(false)
  })
})

describe('a window', () => {
  it('forgets the oldest completed message first, and none that is not completed', () => {
    const window = new ClientWindow('a', 0, 2)
    const place = (messageId: number) => window.place({ messageId, packetId: messageId, digest, state: 2 })
    const one = place(1)!
    const two = place(2)!
    expect(place(3)).toBeNull()
    two.isCompleted = true
    expect(place(3)!.slot).toBe(two.slot)
    expect(window.find(2)).toBeUndefined()
    expect(window.find(1)).toBe(one)
    expect(window.uncompleted).toBe(2)
  })

  it('tells messages apart by topic and payload, wherever the one ends and the other begins', () => {
    const digests = [
      digestOf('a', Buffer.from('bc')),
      digestOf('ab', Buffer.from('c')),
      digestOf('a', Buffer.from('bd')),
    ]
    expect(new Set(digests).size).toBe(3)
  })
})

describe('the store', () => {
  it('a process that ends leaves what was written; what was completed is known from later entries', async () => {
    const db = new MemoryWindowDb()
    const store = await WindowStore.open(db, OPTIONS)
    const window = await store.openWindow('a', true)
    for (const id of [1, 2, 3]) await accept(store, window, id)
    const again = await (await WindowStore.open(new MemoryWindowDb(db.kept), OPTIONS)).openWindow('a', false)
    expect(again.entries().map(({ messageId, isCompleted }) => [messageId, isCompleted])).toEqual([
      [1, true],
      [2, true],
      [3, false],
    ])
  })

  it('a window that was closed has nothing left to tell the broker', async () => {
    const db = new MemoryWindowDb()
    const store = await WindowStore.open(db, OPTIONS)
    const window = await store.openWindow('a', true)
    await accept(store, window, 1)
    await store.closeWindow(window)
    const again = await (await WindowStore.open(new MemoryWindowDb(db.kept), OPTIONS)).openWindow('a', false)
    expect(again.entries()).toMatchObject([{ messageId: 1, isCompleted: true }])
  })

  it('a new epoch is on disk before the window is there, and empties it also over a restart', async () => {
    const db = new MemoryWindowDb()
    const store = await WindowStore.open(db, OPTIONS)
    await accept(store, await store.openWindow('a', true), 1)
    const second = await store.openWindow('a', true)
    expect(second.entries()).toEqual([])
    const again = await (await WindowStore.open(new MemoryWindowDb(db.kept), OPTIONS)).openWindow('a', false)
    expect(again.epoch).toBe(second.epoch)
    expect(again.entries()).toEqual([])
  })

  it('forgets the client that was silent longest, and none that is here', async () => {
    const db = new MemoryWindowDb()
    const store = await WindowStore.open(db, OPTIONS)
    const here = await store.openWindow('here', true)
    for (const clientId of ['old', 'older', 'new', 'newer']) {
      const window = await store.openWindow(clientId, true)
      await accept(store, window, 1)
      await store.closeWindow(window)
    }
    await accept(store, here, 1)
    const keys = new Set([...db.kept.keys()].map((key) => Buffer.from(key, 'hex').toString('latin1')))
    expect([...keys].some((key) => key.includes('here'))).toBe(true)
    expect([...keys].some((key) => key.includes('old'))).toBe(false)
    expect([...keys].filter((key) => key.startsWith('\0')).length).toBeLessThanOrEqual(
      OPTIONS.windowClientsMax,
    )
  })

  it('writes what comes while a write is under way as one', async () => {
    const db = new MemoryWindowDb()
    const store = await WindowStore.open(db, { ...OPTIONS, windowClientsMax: 100 })
    const windows = await Promise.all(Array.from({ length: 50 }, (_, n) => store.openWindow(`c${n}`, true)))
    const before = db.writes
    await Promise.all(windows.map((window) => accept(store, window, 1)))
    expect(db.writes - before).toBeLessThanOrEqual(2)
  })

  it('what nobody waits for goes with the next write, before it, or by itself', async () => {
    const db = new MemoryWindowDb()
    const store = await WindowStore.open(db, OPTIONS)
    const [key, one, two] = [Buffer.from('k'), Buffer.from('1'), Buffer.from('2')]
    const soon = store.writeSoon([[key, one]])
    const now = store.write([[key, two]])
    await Promise.all([soon, now])
    expect(db.writes).toBe(1)
    expect(db.kept.get(key.toString('hex'))).toEqual(two)
    await store.writeSoon([[key, null]])
    expect(db.kept.size).toBe(0)
  })

  it('a write that fails is told to all that were in it, and the next one works', async () => {
    const db = new MemoryWindowDb()
    const store = await WindowStore.open(db, OPTIONS)
    const window = await store.openWindow('a', true)
    db.fault = new Error('no space left')
    const results = await Promise.allSettled([accept(store, window, 1), accept(store, window, 2)])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    db.fault = null
    await accept(store, window, 3)
    expect(store.counters.failedCommits).toBe(1)
  })

  it('whatever was written before a crash is there after it, in any order of clients, epochs and restarts', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const context = `HEADWATER_TEST_SEED=${seed}`
    const options = { windowMessages: 4, windowClientsMax: 100 }
    let db = new MemoryWindowDb()
    let store = await WindowStore.open(db, options)
    const windows = new Map<string, ClientWindow>()
    const model = new Map<string, number[]>()
    for (let step = 0; step < 400; step++) {
      const clientId = `c${random.between(0, 4)}`
      const window = windows.get(clientId)
      const choice = random.next()
      if (choice < 0.05) {
        db = new MemoryWindowDb(db.kept)
        store = await WindowStore.open(db, options)
        windows.clear()
      } else if (window === undefined || choice < 0.1) {
        const isClean = random.next() < 0.3
        const opened = await store.openWindow(clientId, isClean)
        if (isClean) model.set(clientId, [])
        windows.set(clientId, opened)
        const known = opened.entries().toSorted((a, b) => a.sequence - b.sequence)
        expect(
          known.map(({ messageId }) => messageId),
          context,
        ).toEqual(model.get(clientId) ?? [])
        for (const entry of known) entry.isCompleted = true
      } else {
        await accept(store, window, step + 1)
        model.set(clientId, [...(model.get(clientId) ?? []), step + 1].slice(-4))
      }
    }
  })
})

describe('the data directory', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-window-'))
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('belongs to one bridge at a time', async () => {
    const db = await openLevelWindowDb(directory)
    await expect(openLevelWindowDb(directory)).rejects.toMatchObject({ code: 'HW_BRIDGE_LOCKED' })
    await db.write([[Buffer.from('k'), Buffer.from('v')]], true)
    await db.close()
    const again = await openLevelWindowDb(directory)
    expect(await again.range({ from: Buffer.from('a'), to: Buffer.from('z') })).toEqual([
      [Buffer.from('k'), Buffer.from('v')],
    ])
    await again.close()
  })

  it('that cannot be one is named, with the way out', async () => {
    await expect(openLevelWindowDb('/dev/null/x')).rejects.toMatchObject({ code: 'HW_BRIDGE_DATA' })
  })
})
