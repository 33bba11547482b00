/** One table: what it holds, when it is read, what it does while its disk or its log is away. */
import { describe, expect, it } from 'vitest'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { committed, openLog, RecordingSink, until } from '../log/support.ts'
import {
  appendChanges,
  change,
  collected,
  latestOf,
  moveLogStart,
  openTables,
  STREAM,
  shown,
  TABLE_PATH,
} from './support.ts'

describe('a table', () => {
  it('has the latest record of each key, with its place, its time and its headers', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk, { streams: [{ name: STREAM, partitions: 1 }] })
    const tables = openTables(disk, log)
    await change(log, [
      ['a', '1'],
      ['b', '2'],
    ])
    const headers = [{ key: 'topic', value: Buffer.from('x/y') }]
    appendChanges(log, [['a', '3', headers]], STREAM, 2000)
    await committed(log)
    const entry = await tables.get(STREAM, Buffer.from('a'))
    expect(entry).toMatchObject({
      partition: 0,
      offset: 2,
      timestamp: 2000,
      value: Buffer.from('3'),
      headers,
    })
    expect(await latestOf(tables, 'b')).toBe('2')
    expect(await latestOf(tables, 'c')).toBe(null)
  })

  it('loses a key with its tombstone, and gets it back with its next value', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    const tables = openTables(disk, log)
    await change(log, [['a', '1']])
    expect(await latestOf(tables, 'a')).toBe('1')
    await change(log, [['a', null]])
    expect(await latestOf(tables, 'a')).toBe(null)
    expect(await collected(tables.scan(STREAM))).toEqual([])
    await change(log, [['a', '']])
    expect(await latestOf(tables, 'a')).toBe('')
  })

  it('shows what was durable when it was asked, at once and before it is written', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    // records would collect for an hour, and changes be written in an hour
    const tables = openTables(disk, log, { limits: { restMs: 3_600_000, pendingMsMax: 3_600_000 } })
    for (let i = 0; i < 20; i++) {
      await change(log, [['a', String(i)]])
      expect(await latestOf(tables, 'a')).toBe(String(i))
      expect(shown(await collected(tables.scan(STREAM)))).toEqual([`a=${i}`])
    }
    const writes = () => disk.trace.filter(({ kind, path }) => kind === 'sync' && path === TABLE_PATH).length
    expect(writes()).toBe(0)
    await tables.close()
    // twenty changes of one key are one entry, written once
    expect(writes()).toBe(1)
  })

  it('writes before its changes take more memory than they may', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    const tables = openTables(disk, log, { limits: { pendingBytesMax: 2000, pendingMsMax: 3_600_000 } })
    await change(
      log,
      Array.from({ length: 100 }, (_, i) => [`key ${i}`, 'value'] as const),
    )
    expect(await collected(tables.scan(STREAM))).toHaveLength(100)
    const writes = disk.trace.filter(({ kind, path }) => kind === 'sync' && path === TABLE_PATH).length
    expect(writes).toBeGreaterThanOrEqual(10)
    expect(tables.status()[0]).toMatchObject({ state: 'current', lagRecords: 0, appliedPercent: 100 })
  })

  it('writes after a while, however little there is, and after much of the log', async () => {
    for (const limits of [{ pendingMsMax: 1 }, { pendingLogBytesMax: 1 }]) {
      const disk = new FaultyDisk(new MemoryDisk())
      const log = await openLog(disk)
      const tables = openTables(disk, log, { limits })
      await change(log, [['a', '1']])
      const isWritten = () => disk.trace.some(({ kind, path }) => kind === 'sync' && path === TABLE_PATH)
      await until(isWritten, 'the change is written')
      expect(await latestOf(tables, 'a')).toBe('1')
      await tables.close()
      await log.close()
    }
  })

  it('goes on where it stood when it was closed', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    let log = await openLog(disk)
    let tables = openTables(disk, log)
    await change(log, [
      ['a', '1'],
      ['b', '1'],
    ])
    expect(await latestOf(tables, 'a')).toBe('1')
    await tables.close()
    await change(log, [['b', '2']])
    await log.close()
    log = await openLog(disk)
    const reads: number[] = []
    const read = log.read.bind(log)
    log.read = (stream, partition, offset, bytesMax) => {
      reads.push(offset)
      return read(stream, partition, offset, bytesMax)
    }
    tables = openTables(disk, log)
    expect(shown(await collected(tables.scan(STREAM)))).toEqual(['a=1', 'b=2'])
    // from the offset after the last one that was applied, in the partition that has more
    expect(reads).toEqual([2])
    expect(tables.status()[0]).toMatchObject({ rebuilds: 0, keys: 2 })
  })

  it('counts records that have no key, or stand where their key does not belong', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    const tables = openTables(disk, log)
    const { chain, partitions } = log.stream(STREAM)
    for (const partition of partitions) {
      chain.append(partition, 1000, null, Buffer.from('no key'), NO_HEADERS)
      chain.append(partition, 1000, Buffer.from('a'), Buffer.from(`in ${partition.partition}`), NO_HEADERS)
    }
    await committed(log)
    const entries = await collected(tables.scan(STREAM))
    expect(entries).toHaveLength(1)
    expect(entries[0]!.value.toString()).toBe(`in ${entries[0]!.partition}`)
    expect(tables.status()[0]).toMatchObject({ unkeyed: 2, misplaced: 1, lagRecords: 0 })
    expect(await latestOf(tables, 'a')).toBe(`in ${entries[0]!.partition}`)
  })

  it('does not know streams that have none', async () => {
    const disk = new MemoryDisk()
    const streams = [
      { name: STREAM, partitions: 1 },
      { name: 'plain', partitions: 1 },
    ]
    const log = await openLog(disk, { streams })
    const tables = openTables(disk, log)
    await expect(tables.get('plain', Buffer.from('a'))).rejects.toMatchObject({ code: 'HW_NO_TABLE' })
    await expect(collected(tables.scan('plain'))).rejects.toMatchObject({ code: 'HW_NO_TABLE' })
    await expect(tables.get('nope', Buffer.from('a'))).rejects.toMatchObject({ code: 'HW_UNKNOWN_STREAM' })
  })
})

describe('entries that retention has overtaken', () => {
  async function overtaken(sweepEveryMs: number) {
    const disk = new MemoryDisk()
    const log = await openLog(disk, { streams: [{ name: STREAM, partitions: 1 }] })
    const tables = openTables(disk, log, { limits: { sweepEveryMs } })
    await change(log, [
      ['a', '0'],
      ['b', '1'],
      ['c', '2'],
      ['a', '3'],
    ])
    expect(await collected(tables.scan(STREAM))).toHaveLength(3)
    moveLogStart(log, 0, 2)
    return { disk, log, tables }
  }

  it('are not shown, also before they are removed', async () => {
    const { tables } = await overtaken(3_600_000)
    expect(await latestOf(tables, 'b')).toBe(null)
    expect(shown(await collected(tables.scan(STREAM)))).toEqual(['a=3', 'c=2'])
    // the changes begin where the log does
    expect(tables.status()[0]).toMatchObject({ keys: 3, lagRecords: 0, appliedPercent: 100 })
  })

  it('are removed, and only they', async () => {
    const { disk, log, tables } = await overtaken(0)
    await change(log, [['d', '4']])
    await latestOf(tables, 'd')
    await until(() => tables.status()[0]!.lagRecords === 0, 'it has caught up')
    await tables.close()
    const store = await disk.openStore(TABLE_PATH, { writeBufferBytes: 1, createIfMissing: false })
    const entries = await store.range({ from: Buffer.of(1), to: Buffer.of(2), bytesMax: 1e6 })
    await store.close()
    expect(entries.map(({ key }) => key.toString())).toEqual(['\x01a', '\x01c', '\x01d'])
  })

  it('do not take a newer value of their key with them', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk, { streams: [{ name: STREAM, partitions: 1 }] })
    let tables = openTables(disk, log)
    await change(log, [
      ['a', '0'],
      ['b', '1'],
    ])
    await collected(tables.scan(STREAM))
    await tables.close()
    // the newer value is applied and not written when the sweep comes to the older one
    await change(log, [['a', '2']])
    moveLogStart(log, 0, 2)
    tables = openTables(disk, log, { limits: { pendingMsMax: 3_600_000 } })
    await until(() => tables.status()[0]!.state === 'current', 'it has caught up')
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(await latestOf(tables, 'a')).toBe('2')
    await tables.close()
    tables = openTables(disk, log)
    expect(shown(await collected(tables.scan(STREAM)))).toEqual(['a=2'])
  })

  it('that were never applied are not waited for', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk, { streams: [{ name: STREAM, partitions: 1 }] })
    await change(log, [['a', '0']])
    moveLogStart(log, 0, 1)
    const tables = openTables(disk, log)
    expect(await latestOf(tables, 'a')).toBe(null)
    expect(await collected(tables.scan(STREAM))).toEqual([])
    expect(tables.status()[0]).toMatchObject({ lagRecords: 0, appliedPercent: 100, keys: 0 })
  })
})

describe('while a table is not ready', () => {
  it('a reader waits, and after a while it is told how far the table is', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk, { streams: [{ name: STREAM, partitions: 1 }] })
    await change(log, [['a', '0']])
    const gate = disk.hold('range', '/log/')
    const tables = openTables(disk, log, { limits: { waitMsMax: 5 } })
    await gate.reached
    await expect(latestOf(tables, 'a')).rejects.toMatchObject({
      code: 'HW_TABLE_UNAVAILABLE',
      message: 'the table of stream "events" is being built (0%)',
    })
    expect(tables.status()[0]).toMatchObject({ state: 'building', lagRecords: 1, appliedPercent: 0 })
    gate.release()
    await tables.whenBuilt(STREAM)
    expect(await latestOf(tables, 'a')).toBe('0')
    expect(tables.status()[0]).toMatchObject({ state: 'current', lagRecords: 0 })
  })

  it('a reader of many keys at once gets them all when it is', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    await change(
      log,
      Array.from({ length: 50 }, (_, i) => [`k${i}`, `v${i}`] as const),
    )
    const gate = disk.hold('create-store', '/tables/')
    const tables = openTables(disk, log)
    await gate.reached
    const reads = Array.from({ length: 50 }, (_, i) => latestOf(tables, `k${i}`))
    gate.release()
    expect(await Promise.all(reads)).toEqual(Array.from({ length: 50 }, (_, i) => `v${i}`))
  })

  it('closing it tells the readers that wait', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    await change(log, [['a', '0']])
    const gate = disk.hold('range', '/log/')
    const tables = openTables(disk, log)
    await gate.reached
    const reading = latestOf(tables, 'a')
    const closing = tables.close()
    await expect(reading).rejects.toThrow('is closed')
    gate.release()
    await closing
    await expect(latestOf(tables, 'a')).rejects.toThrow('is closed')
  })
})

describe('a disk that takes nothing', () => {
  it('does not stop the log, and the table goes on by itself when there is room again', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    const sink = new RecordingSink()
    const tables = openTables(disk, log, { sink, limits: { pendingMsMax: 1 } })
    await change(log, [['a', '1']])
    expect(await latestOf(tables, 'a')).toBe('1')
    disk.fail({ on: 'sync', path: '/tables/', code: 'ENOSPC', times: 2 })
    await change(log, [['a', '2']])
    await until(() => !disk.hasFaults, 'the writes have failed')
    await change(log, [['b', '3']])
    expect(await latestOf(tables, 'a')).toBe('2')
    expect(await latestOf(tables, 'b')).toBe('3')
    expect(tables.status()[0]!.rebuilds).toBe(0)
    expect(disk.violations).toBe(0)
    expect(sink.matching('cannot be kept')[0]!.fields.reason).toMatch(/no space left/)
  })

  it('at its start delays the table and not the log', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    disk.fail({ on: 'make-directory', path: '/tables', code: 'ENOSPC' })
    disk.fail({ on: 'create-store', path: '/tables', code: 'ENOSPC' })
    const tables = openTables(disk, log)
    await change(log, [['a', '1']])
    expect(await latestOf(tables, 'a')).toBe('1')
    expect(tables.status()[0]).toMatchObject({ state: 'current', rebuilds: 0, reason: null })
  })
})

it('a log that is away for a moment is waited for', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  const log = await openLog(disk)
  const tables = openTables(disk, log)
  await change(log, [['a', '1']])
  expect(await latestOf(tables, 'a')).toBe('1')
  disk.fail({ on: 'sync', path: '/log/' })
  await expect(change(log, [['a', '2']])).rejects.toMatchObject({ code: 'HW_COMMIT_FAILED' })
  await until(() => log.status().condition === 'open', 'the log is open')
  await change(log, [['a', '3']])
  expect(await latestOf(tables, 'a')).toBe('3')
})
