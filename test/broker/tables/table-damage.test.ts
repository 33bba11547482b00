/** What a start can find in place of a table, row by row of table-store.ts, and damage that a reader finds. */
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { partitionOf } from '../../../broker/log/murmur2.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk, Store } from '../../../broker/storage/store.ts'
import { META_KEY } from '../../../broker/tables/table-meta.ts'
import { Tables } from '../../../broker/tables/tables.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { openLog, RecordingSink, temporaryDirectory, until } from '../log/support.ts'
import { change, collected, latestOf, openTables, STREAM, shown, TABLE_PATH } from './support.ts'

const CHANGES = [
  ['a', '1'],
  ['b', '2'],
  ['c', '3'],
  ['a', '4'],
] as const
const EXPECTED = ['a=4', 'b=2', 'c=3']

/** A table on a disk in memory, closed, with its log still open. */
async function builtTable(disk: Disk = new MemoryDisk()): Promise<EventLog> {
  const log = await openLog(disk)
  const tables = openTables(disk, log)
  await change(log, CHANGES)
  await collected(tables.scan(STREAM))
  await tables.close()
  return log
}

async function tamper(disk: Disk, how: (store: Store) => Promise<void>): Promise<void> {
  const store = await disk.openStore(TABLE_PATH, { writeBufferBytes: 1, createIfMissing: true })
  await how(store)
  await store.close()
}

async function replaceMeta(store: Store, edit: (meta: Buffer) => void): Promise<void> {
  const meta = (await store.get(META_KEY))!
  edit(meta)
  const batch = store.batch()
  batch.put(META_KEY, meta)
  await batch.write({ sync: true })
}

async function expectRebuilt(disk: Disk, log: EventLog, reason: RegExp): Promise<void> {
  const sink = new RecordingSink()
  const tables = openTables(disk, log, { sink })
  expect(shown(await collected(tables.scan(STREAM)))).toEqual(EXPECTED)
  expect(tables.status()[0]).toMatchObject({ rebuilds: 1, state: 'current', lagRecords: 0 })
  expect(sink.matching('built again')[0]!.fields).toMatchObject({
    stream: STREAM,
    reason: expect.stringMatching(reason),
  })
  expect(sink.matching('a table is built').at(-1)!.fields).toMatchObject({ stream: STREAM, keys: 3 })
  await tables.close()
  // once: it is whole again
  const again = openTables(disk, log)
  expect(shown(await collected(again.scan(STREAM)))).toEqual(EXPECTED)
  expect(again.status()[0]!.rebuilds).toBe(0)
}

describe('a table is built again', () => {
  it('when its positions are damaged', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    await tamper(disk, (store) => replaceMeta(store, (meta) => meta.writeUInt8(meta[10]! ^ 1, 10)))
    await expectRebuilt(disk, log, /CRC of its positions/)
  })

  it('when its positions are cut short', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    await tamper(disk, async (store) => {
      const batch = store.batch()
      batch.put(META_KEY, Buffer.from('abc'))
      await batch.write({ sync: true })
    })
    await expectRebuilt(disk, log, /too short/)
  })

  it('when it has entries and no positions', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    await tamper(disk, async (store) => {
      const batch = store.batch()
      batch.delete(META_KEY)
      await batch.write({ sync: true })
    })
    await expectRebuilt(disk, log, /no positions/)
  })

  it('when it was built from another log', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    Object.assign(log.identity, { incarnation: 'incarnation-2' })
    await expectRebuilt(disk, log, /another log/)
  })

  it('when it is ahead of the log', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    await change(log, [['d', '5']])
    const tables = openTables(disk, log)
    await collected(tables.scan(STREAM))
    await tables.close()
    for (const partition of log.stream(STREAM).partitions) partition.durableOffset = 2
    const sink = new RecordingSink()
    const older = openTables(disk, log, { sink })
    await collected(older.scan(STREAM))
    expect(sink.matching('built again')[0]!.fields.reason).toMatch(
      /ahead of the log: offset [0-9] of partition/,
    )
  })

  it('when its stream has another number of partitions', async () => {
    const disk = new MemoryDisk()
    const one = { name: 'one', partitions: 1 }
    const log = await openLog(disk, { streams: [one, { name: STREAM, partitions: 2 }] })
    const tables = openTables(disk, log, { streams: ['one'] })
    await change(log, [['a', '1']], 'one')
    await collected(tables.scan('one'))
    await tables.close()
    const sink = new RecordingSink()
    const { stream } = log
    log.stream = (name) => stream.call(log, name === 'one' ? STREAM : name)
    const other = openTables(disk, log, { streams: ['one'], sink })
    await collected(other.scan('one'))
    expect(sink.matching('built again')[0]!.fields.reason).toBe('it has 1 partitions, the stream 2')
  })

  it('when a reader finds an entry that is not what was written, and the reader gets what it asked for', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    await tamper(disk, async (store) => {
      const key = Buffer.from('\x01b')
      const value = (await store.get(key))!
      value[value.length - 1]! ^= 1
      const batch = store.batch()
      batch.put(key, value)
      await batch.write({ sync: true })
    })
    const sink = new RecordingSink()
    const tables = openTables(disk, log, { sink })
    expect(await latestOf(tables, 'a')).toBe('4')
    expect(tables.status()[0]!.rebuilds).toBe(0)
    expect(await latestOf(tables, 'b')).toBe('2')
    expect(tables.status()[0]!.rebuilds).toBe(1)
    expect(sink.matching('built again')[0]!.fields.reason).toMatch(/CRC of an entry/)
  })

  it('when a scan finds one: the scan ends, the next one is whole', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    await tamper(disk, async (store) => {
      const batch = store.batch()
      // a whole entry under another key
      batch.put(Buffer.from('\x01bb'), (await store.get(Buffer.from('\x01b')))!)
      await batch.write({ sync: true })
    })
    const tables = openTables(disk, log)
    await expect(collected(tables.scan(STREAM))).rejects.toMatchObject({ code: 'HW_TABLE_UNAVAILABLE' })
    expect(shown(await collected(tables.scan(STREAM)))).toEqual(EXPECTED)
    expect(tables.status()[0]!.rebuilds).toBe(1)
  })

  it('when its store cannot be read for a reader, who gets what it asked for', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await builtTable(disk)
    const sink = new RecordingSink()
    const tables = openTables(disk, log, { sink })
    expect(await latestOf(tables, 'a')).toBe('4')
    disk.fail({ on: 'range', path: TABLE_PATH })
    expect(await latestOf(tables, 'b')).toBe('2')
    expect(sink.matching('built again').map(({ fields }) => fields.reason)).toEqual([
      expect.stringMatching(/EIO/),
    ])
  })

  it('when its store cannot be read at a start', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await builtTable(disk)
    disk.fail({ on: 'range', path: TABLE_PATH })
    await expectRebuilt(disk, log, /EIO/)
  })

  it('not at once each time, when it is damaged again and again', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await builtTable(disk)
    const sink = new RecordingSink()
    disk.fail({ on: 'range', path: TABLE_PATH, times: 2 })
    const tables = openTables(disk, log, { sink, limits: { waitMsMax: 1 } })
    await until(() => tables.status()[0]!.state === 'failed', 'it waits')
    expect(sink.matching('built again')).toHaveLength(1)
    await expect(latestOf(tables, 'a')).rejects.toThrow(/cannot be read now: it is damaged: EIO/)
    // closing does not wait for the pause to end
    await tables.close()
    expect(tables.status()[0]).toMatchObject({ state: 'closed', rebuilds: 1 })
  })

  it('when offsets that it has applied are lost from the log, and not when they lie ahead or are known', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    const partition = partitionOf(Buffer.from('a'), 2)
    const holes = [{ from: 1000, to: 1010, reason: 'damage' }]
    log.lostOffsets = (_, of) => (of === partition ? holes : [])
    const sink = new RecordingSink()
    let tables = openTables(disk, log, { sink })
    expect(shown(await collected(tables.scan(STREAM)))).toEqual(EXPECTED)
    expect(tables.status()[0]!.rebuilds).toBe(0)
    holes.push({ from: 0, to: 1, reason: 'damage' })
    await change(log, [['z', 'wakes it']])
    await until(() => tables.status()[0]!.rebuilds === 1, 'it is built again')
    expect(sink.matching('built again')[0]!.fields.reason).toBe(
      `offsets 0 to 0 of partition ${partition} are lost from the log`,
    )
    expect(shown(await collected(tables.scan(STREAM)))).toEqual([...EXPECTED, 'z=wakes it'])
    await tables.close()
    tables = openTables(disk, log)
    expect(await latestOf(tables, 'a')).toBe('4')
    expect(tables.status()[0]!.rebuilds).toBe(0)
    // found while nobody had it open
    await tables.close()
    holes.push({ from: 1, to: 2, reason: 'damage' })
    tables = openTables(disk, log)
    expect(await latestOf(tables, 'a')).toBe('4')
    expect(tables.status()[0]!.rebuilds).toBe(1)
  })

  it('when someone asks for it', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    const tables = openTables(disk, log)
    expect(await latestOf(tables, 'a')).toBe('4')
    for (let i = 1; i <= 3; i++) {
      tables.rebuild(STREAM, 'the log was repaired')
      expect(shown(await collected(tables.scan(STREAM)))).toEqual(EXPECTED)
      expect(tables.status()[0]!.rebuilds).toBe(i)
    }
  })
})

describe('a table on LevelDB', () => {
  async function damaged(how: (directory: string) => void, reason: RegExp): Promise<void> {
    const path = temporaryDirectory()
    let log = await openLog(nodeDisk, { path })
    let tables = openTables(nodeDisk, log, { data: path })
    const many = Array.from({ length: 2000 }, (_, i) => [`key ${i}`, 'v'.repeat(50)] as const)
    await change(log, many)
    await collected(tables.scan(STREAM))
    await tables.close()
    // opened once more, LevelDB has written what it had in memory to a file
    tables = openTables(nodeDisk, log, { data: path })
    await collected(tables.scan(STREAM))
    await tables.close()
    await log.close()
    how(join(path, 'tables', STREAM))
    log = await openLog(nodeDisk, { path })
    const sink = new RecordingSink()
    tables = openTables(nodeDisk, log, { data: path, sink })
    const whole = async () => {
      try {
        return await collected(tables.scan(STREAM))
      } catch {
        return await collected(tables.scan(STREAM))
      }
    }
    expect(await whole()).toHaveLength(2000)
    expect(sink.matching('built again').map(({ fields }) => fields.reason)).toEqual([
      expect.stringMatching(reason),
    ])
    expect((await tables.verify())[0]).toMatchObject({ isWhole: true, keys: 2000 })
  }
  const named = (directory: string, pattern: RegExp) =>
    readdirSync(directory)
      .filter((name) => pattern.test(name))
      .map((name) => join(directory, name))

  it('is built again when its MANIFEST is gone', () =>
    damaged((directory) => {
      for (const file of named(directory, /^MANIFEST/)) rmSync(file)
    }, /MANIFEST|No such file|non-existent/))

  it('is built again when its CURRENT is garbage', () =>
    damaged((directory) => writeFileSync(join(directory, 'CURRENT'), 'garbage'), /CURRENT/))

  it('is built again when a file of entries is gone', () =>
    damaged((directory) => {
      for (const file of named(directory, /\.ldb$/)) rmSync(file)
    }, /missing files/))

  it('is built again when a file of entries is cut', () =>
    damaged((directory) => {
      for (const file of named(directory, /\.ldb$/)) truncateSync(file, 1000)
    }, /Corruption|Invalid argument/))

  it('is built again when bytes in a file of entries were flipped', () =>
    damaged((directory) => {
      for (const file of named(directory, /\.ldb$/)) {
        const bytes = readFileSync(file)
        for (let at = 500; at < bytes.length / 2; at += 1000) bytes[at]! ^= 0x55
        writeFileSync(file, bytes)
      }
    }, /CRC|Corruption|corrupt/i))
})

describe('tables that are there', () => {
  it('are removed when their stream has none any more, with what a verification left', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    await (await disk.openStore(`${TABLE_PATH}~1`, { writeBufferBytes: 1, createIfMissing: true })).close()
    const sink = new RecordingSink()
    const tables = openTables(disk, log, { streams: [], sink })
    await tables.close()
    expect(await disk.list('/data/tables')).toEqual([])
    expect(sink.lines.map(({ fields }) => fields.stream)).toEqual([STREAM])
  })

  it('are what is opened without a configuration', async () => {
    const disk = new MemoryDisk()
    const log = await builtTable(disk)
    const files = { disk, data: '/data', log, sink: new RecordingSink() }
    const tables = await Tables.openStored(files, [STREAM, 'other'])
    expect(tables.streams).toEqual([STREAM])
    expect(shown(await collected(tables.scan(STREAM)))).toEqual(EXPECTED)
    await tables.close()
  })
})
