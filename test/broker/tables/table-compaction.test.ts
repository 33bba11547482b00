/** A table over a stream that is compacted: the log loses records, the table loses nothing and keeps nothing that is gone. */
import { describe, expect, it } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { DEFAULT_POLICY } from '../../../broker/log/stream-policy.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { openLog, RecordingSink } from '../log/support.ts'
import { change, collected, latestOf, openTables, STREAM, shown } from './support.ts'

const policy = { ...DEFAULT_POLICY, deletes: false, compacts: true, tombstoneMs: 0 }

function openCompacted(disk: Disk): Promise<EventLog> {
  return openLog(disk, { segmentBytes: 1000, streams: [{ name: STREAM, partitions: 1, policy }] })
}

/** Fills segments, so that what came before is sealed. */
async function fill(log: EventLog, rounds = 20): Promise<void> {
  for (let i = 0; i < rounds; i++) await change(log, [['filler', `${i}`.padEnd(100, '.')]])
}

describe('a table of a stream that is compacted', () => {
  it('stays what it was, and is what a new one is', async () => {
    const disk = new MemoryDisk()
    const log = await openCompacted(disk)
    const tables = openTables(disk, log)
    for (let i = 0; i < 10; i++) {
      await change(log, [
        ['a', `${i}`],
        [`key ${i % 3}`, i === 9 ? null : 'x'.repeat(60)],
      ])
    }
    await fill(log)
    const before = shown(await collected(tables.scan(STREAM)))
    for (let round = 0; round < 3; round++) await log.compact(STREAM)
    expect((await tables.verify())[0]).toMatchObject({ isWhole: true, keys: before.length })
    expect(shown(await collected(tables.scan(STREAM)))).toEqual(before)
    expect(tables.status()[0]!.rebuilds).toBe(0)
    tables.rebuild(STREAM, 'asked for')
    expect(shown(await collected(tables.scan(STREAM)))).toEqual(before)
    expect((await tables.verify())[0]).toMatchObject({ isWhole: true })
  })

  it('is built again when a tombstone went before it came to it', async () => {
    const disk = new MemoryDisk()
    const log = await openCompacted(disk)
    const tables = openTables(disk, log)
    await change(log, [
      ['gone', 'value'],
      ['stays', 'value'],
    ])
    expect(await latestOf(tables, 'gone')).toBe('value')
    await tables.close()
    await change(log, [['gone', null]])
    await fill(log)
    // the older value, and then the tombstone, which has nothing left to hide
    for (let round = 0; round < 3; round++) await log.compact(STREAM)
    const keys: string[] = []
    const sink = new RecordingSink()
    const reopened = openTables(disk, log, { sink })
    for await (const page of reopened.changes(STREAM, {
      from: new Map([[0, 0]]),
      follow: false,
      signal: new AbortController().signal,
    })) {
      for (const item of page) if ('key' in item) keys.push(item.key.toString())
    }
    expect(keys).not.toContain('gone')
    expect(await latestOf(reopened, 'gone')).toBe(null)
    expect(await latestOf(reopened, 'stays')).toBe('value')
    expect(sink.matching('built again').map(({ fields }) => fields.reason)).toEqual([
      'compaction has gone on without it',
    ])
    await reopened.close()
    const again = openTables(disk, log)
    expect(await latestOf(again, 'gone')).toBe(null)
    expect(again.status()[0]!.rebuilds).toBe(0)
  })

  it('that is being built meanwhile does not keep what was removed', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openCompacted(disk)
    await change(log, [['gone', 'value']])
    await fill(log)
    await change(log, [['gone', null]])
    await fill(log)
    // it has read the first value, and stands
    const read = log.read.bind(log)
    let reads = 0
    let standing = () => {}
    const stands = new Promise<void>((resolve) => {
      standing = resolve
    })
    let goOn = () => {}
    const goneOn = new Promise<void>((resolve) => {
      goOn = resolve
    })
    log.read = async (stream, partition, offset) => {
      if (++reads === 2) {
        standing()
        await goneOn
      }
      return read(stream, partition, offset, 300)
    }
    const tables = openTables(disk, log)
    await stands
    for (let round = 0; round < 3; round++) await log.compact(STREAM)
    goOn()
    expect(await latestOf(tables, 'gone')).toBe(null)
    expect(tables.status()[0]!.rebuilds).toBe(1)
    expect((await tables.verify())[0]).toMatchObject({ isWhole: true, keys: 1 })
  })
})
