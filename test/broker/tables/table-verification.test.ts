/** The verification finds what is wrong with a table, and nothing where nothing is. */
import { describe, expect, it } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { BatchBuilder, NO_HEADERS } from '../../../broker/log/record-batch.ts'
import type { Disk, WriteBatch } from '../../../broker/storage/store.ts'
import { RecordScan } from '../../../broker/tables/record-scan.ts'
import { encodeEntry, entryKey, entrySizeOf } from '../../../broker/tables/table-entry.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { openLog } from '../log/support.ts'
import { change, collected, moveLogStart, openTables, STREAM, TABLE_PATH } from './support.ts'

async function built(disk: Disk): Promise<EventLog> {
  const log = await openLog(disk, { streams: [{ name: STREAM, partitions: 1 }] })
  const tables = openTables(disk, log)
  await change(log, [
    ['a', '0'],
    ['b', '1'],
    ['c', '2'],
    ['a', '3'],
    ['d', '4'],
    ['d', null],
  ])
  await collected(tables.scan(STREAM))
  await tables.close()
  return log
}

/** The stored form of an entry that no one wrote. */
function forged(key: string, value: string, offset: number): Buffer {
  const builder = new BatchBuilder()
  builder.append(1000, Buffer.from(key), Buffer.from(value), NO_HEADERS)
  const scan = new RecordScan(builder.seal(offset))
  scan.next()
  const place = { slab: Buffer.alloc(entrySizeOf(scan, { partition: 0 })), from: 0, keyFrom: 0, end: 0 }
  encodeEntry(scan, { partition: 0 }, place)
  return place.slab.subarray(0, place.keyFrom)
}

async function tamper(disk: Disk, how: (batch: WriteBatch) => void): Promise<void> {
  const store = await disk.openStore(TABLE_PATH, { writeBufferBytes: 1, createIfMissing: false })
  const batch = store.batch()
  how(batch)
  await batch.write({ sync: true })
  await store.close()
}

const told = (problems: readonly { key: Buffer | null; reason: string }[]) =>
  problems.map(({ key, reason }) => `${key}: ${reason}`)

describe('the verification of a table', () => {
  it('finds nothing where nothing is wrong, tells how far it is, and leaves nothing', async () => {
    const disk = new MemoryDisk()
    const tables = openTables(disk, await built(disk))
    const progress: number[] = []
    const [report] = await tables.verify(({ recordsDone, recordsTotal }) => {
      expect(recordsTotal).toBe(6)
      progress.push(recordsDone)
    })
    expect(report).toEqual({
      stream: STREAM,
      isWhole: true,
      keys: 3,
      records: 6,
      missing: 0,
      extra: 0,
      different: 0,
      problems: [],
      problemsLeftOut: 0,
    })
    expect(progress.at(-1)).toBe(6)
    expect(await disk.list('/data/tables')).toEqual([STREAM])
  })

  it('finds keys that are missing, too many, old, or not what the log has', async () => {
    const disk = new MemoryDisk()
    const log = await built(disk)
    await tamper(disk, (batch) => {
      batch.put(entryKey(Buffer.from('a')), forged('a', '0', 0))
      batch.delete(entryKey(Buffer.from('b')))
      batch.put(entryKey(Buffer.from('c')), forged('c', 'other', 2))
      batch.put(entryKey(Buffer.from('d')), forged('d', '4', 4))
    })
    const tables = openTables(disk, log)
    const [report] = await tables.verify()
    expect(report).toMatchObject({ isWhole: false, missing: 1, extra: 1, different: 2, problemsLeftOut: 0 })
    expect(told(report!.problems)).toEqual([
      'a: it has 0/0, the log 0/3',
      'b: it is at offset 1 of the log',
      'c: its record is not the one at offset 2',
      'd: the log has no offset 4 of it',
    ])
    // the operator's way out
    tables.rebuild(STREAM, 'asked for')
    expect((await tables.verify())[0]).toMatchObject({ isWhole: true, keys: 3 })
  })

  it('does not mistake what retention removes meanwhile', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await built(disk)
    const tables = openTables(disk, log, { limits: { sweepEveryMs: 3_600_000 } })
    await collected(tables.scan(STREAM))
    const gate = disk.hold('range', '/log/')
    const verifying = tables.verify()
    await gate.reached
    moveLogStart(log, 0, 3)
    gate.release()
    expect((await verifying)[0]).toMatchObject({ isWhole: true, missing: 0, extra: 0, different: 0 })
    expect((await tables.verify())[0]).toMatchObject({ isWhole: true, keys: 1 })
  })

  it('goes on while records come, up to where the table was when it began', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await built(disk)
    const tables = openTables(disk, log)
    await collected(tables.scan(STREAM))
    const gate = disk.hold('create-store', '~')
    const verifying = tables.verify()
    await gate.reached
    await change(log, [
      ['a', 'new'],
      ['e', 'new'],
      ['b', null],
    ])
    expect(await collected(tables.scan(STREAM))).toHaveLength(3)
    gate.release()
    expect((await verifying)[0]).toMatchObject({ isWhole: true, keys: 3, records: 6 })
    expect((await tables.verify())[0]).toMatchObject({ isWhole: true, keys: 3, records: 9 })
  })

  it('compares many keys in bounded steps', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    const tables = openTables(disk, log)
    for (let round = 0; round < 3; round++) {
      const values = Array.from({ length: 6000 }, (_, i) => [`key ${i}`, 'v'.repeat(60)] as const)
      await change(log, values)
    }
    expect((await tables.verify())[0]).toMatchObject({ isWhole: true, keys: 6000, records: 18_000 })
  })
})
