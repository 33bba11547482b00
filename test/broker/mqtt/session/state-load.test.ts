/** What a start makes of the stored state, row by row of the table in state-load.ts; on LevelDB where its files matter. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  encodeMeta,
  META_KEY,
  retainedKey,
  sealed,
  sessionKey,
} from '../../../../broker/mqtt/session/state-format.ts'
import { STATE_STORE_OPTIONS } from '../../../../broker/mqtt/session/state-store.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { RecordingSink, temporaryDirectory, until } from '../../log/support.ts'
import { STATE_PATH, settle, TestBroker } from './support.ts'
import { TestClient } from './test-client.ts'

/** A broker that has stored something of each kind, stopped. */
async function stored(disk: Disk, path?: string): Promise<TestBroker> {
  const broker = await TestBroker.open(disk, path === undefined ? {} : { path })
  const client = await new TestClient('a').connect(broker.sessions, { expirySeconds: 100 })
  await client.subscribe('#', { qos: 2 })
  await broker.publish('a', '1', { isRetained: true })
  await broker.publish('a', '2', { qos: 2 })
  await broker.publish('$x', '3', { isInline: true })
  await settle()
  client.session.disconnect('clean', null)
  await broker.close()
  return broker
}

const NOTHING = { sessions: 0, subscriptions: 0, queued: 0, retained: 0, replayed: 0 }

describe('the stored state', () => {
  it('is read from LevelDB as it was written', async () => {
    const path = temporaryDirectory()
    const { clock } = await stored(nodeDisk, path)
    const sink = new RecordingSink()
    const broker = await TestBroker.open(nodeDisk, { path, clock, sink })
    expect(broker.sessions.status()).toMatchObject({ sessions: 1, subscriptions: 1, queued: 2, retained: 1 })
    const client = await new TestClient('a').connect(broker.sessions)
    await until(() => client.wire.length === 2, 'both messages are read back')
    expect(client.wire).toEqual(['dup 1', 'dup 2'])
    expect(sink.lines.filter(({ level }) => level !== 'info')).toEqual([])
    await broker.close()
  })

  it('that is not there is none: what the log has already is nobody’s', async () => {
    const path = temporaryDirectory()
    const { clock } = await stored(nodeDisk, path)
    rmSync(join(path, 'mqtt'), { recursive: true })
    const sink = new RecordingSink()
    const broker = await TestBroker.open(nodeDisk, { path, clock, sink })
    expect(broker.sessions.status()).toMatchObject(NOTHING)
    expect(sink.lines.filter(({ level }) => level !== 'info')).toEqual([])
    await broker.close()
  })

  it.each(['CURRENT', '.log', '.ldb'])(
    'whose %s is damaged goes to quarantine, and sessions begin anew',
    async (name) => {
      const path = temporaryDirectory()
      const { clock } = await stored(nodeDisk, path)
      if (name === '.ldb') await (await TestBroker.open(nodeDisk, { path, clock })).close()
      const file = readdirSync(join(path, 'mqtt')).find((found) => found.endsWith(name))!
      const bytes = readFileSync(join(path, 'mqtt', file))
      if (name === 'CURRENT') rmSync(join(path, 'mqtt', file))
      else {
        // in the middle of what it holds, with whole records behind it
        for (let at = 40; at < bytes.length / 2; at++) bytes[at]! ^= 0x5a
        writeFileSync(join(path, 'mqtt', file), bytes)
      }
      const sink = new RecordingSink()
      const broker = await TestBroker.open(nodeDisk, { path, clock, sink })
      expect(broker.sessions.status()).toMatchObject(NOTHING)
      expect(sink.matching('sessions begin anew')).toHaveLength(1)
      expect(existsSync(join(path, 'quarantine', 'mqtt-1', 'why.json'))).toBe(true)
      // and all goes on
      const client = await new TestClient('a').connect(broker.sessions)
      expect(client.isPresent).toBe(false)
      await client.subscribe('b')
      await broker.publish('b', '4')
      await settle()
      expect(client.payloads).toEqual(['4'])
      await broker.close()
    },
  )

  it.each([
    ['an entry whose checksum is wrong', sessionKey(1, 5), Buffer.from('damage!')],
    [
      'a retained message that cannot be decoded',
      retainedKey('t'),
      sealed(retainedKey('t'), Buffer.from([0, 0xff])),
    ],
    ['a newer format', META_KEY, sealed(META_KEY, encodeMeta({ format: 2, sessions: 1 }))],
    ['no head', META_KEY, null],
    ['a position of a partition that the log lacks', Buffer.from('0a00001234', 'hex'), null],
  ])('with %s goes to quarantine', async (_, key, value) => {
    const disk = new MemoryDisk()
    const { clock } = await stored(disk)
    const store = await disk.openStore(STATE_PATH, STATE_STORE_OPTIONS)
    const batch = store.batch()
    if (value !== null) batch.put(key, value)
    else if (key === META_KEY) batch.delete(key)
    else batch.put(key, sealed(key, Buffer.from([2])))
    await batch.write({ sync: true })
    await store.close()
    const sink = new RecordingSink()
    const broker = await TestBroker.open(disk, { clock, sink })
    expect(broker.sessions.status()).toMatchObject(NOTHING)
    expect(sink.matching('sessions begin anew')).toHaveLength(1)
  })

  it('that is ahead of the log is not used: the offsets could be other messages’ now', async () => {
    const disk = new MemoryDisk()
    const { clock } = await stored(disk)
    await disk.remove('/data/log')
    await disk.remove('/data/catalog.json')
    const sink = new RecordingSink()
    const broker = await TestBroker.open(disk, { clock, sink })
    expect(broker.sessions.status()).toMatchObject(NOTHING)
    expect(sink.matching('sessions begin anew')[0]!.fields.reason).toContain('ahead of the log')
  })

  it('on a disk that is full stays where it is, and the start says why it fails', async () => {
    const memory = new MemoryDisk()
    const { clock } = await stored(memory)
    const disk = new FaultyDisk(memory)
    disk.fail({ on: 'create-store', path: 'mqtt', code: 'ENOSPC' })
    await expect(TestBroker.open(disk, { clock })).rejects.toThrow('no space')
    memory.crash()
    const broker = await TestBroker.open(memory, { clock })
    expect(broker.sessions.status()).toMatchObject({ sessions: 1, retained: 1 })
  })

  it('loses what belongs to no session', async () => {
    const disk = new MemoryDisk()
    const { clock } = await stored(disk)
    const key = sessionKey(2, 77, 'a/#')
    let store = await disk.openStore(STATE_PATH, STATE_STORE_OPTIONS)
    const batch = store.batch()
    batch.put(key, sealed(key, Buffer.from([1, 0])))
    await batch.write({ sync: true })
    await store.close()
    const broker = await TestBroker.open(disk, { clock })
    expect(broker.sessions.status()).toMatchObject({ sessions: 1, subscriptions: 1 })
    await broker.close()
    store = await disk.openStore(STATE_PATH, STATE_STORE_OPTIONS)
    expect(await store.get(key)).toBeUndefined()
    await store.close()
  })

  it('of sessions that have ended leaves nothing behind', async () => {
    const disk = new MemoryDisk()
    let broker = await stored(disk)
    broker = await TestBroker.open(disk, { clock: broker.clock })
    const client = await new TestClient('a').connect(broker.sessions, { cleanStart: true, expirySeconds: 0 })
    client.lost()
    await broker.publish('a', '', { isRetained: true })
    await broker.close()
    const store = await disk.openStore(STATE_PATH, STATE_STORE_OPTIONS)
    const left = await store.range({ from: Buffer.of(1), to: Buffer.of(0x0a), bytesMax: 1e6 })
    expect(left.map(({ key }) => key.toString('hex'))).toEqual([])
    await store.close()
  })
})
