import { describe, expect, it } from 'vitest'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { append, drain, openLog, readAll, recordsOf } from './support.ts'

describe('a cursor', () => {
  it('does not pass over a commit that lands while it finds that it has caught up', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    // the second commit has no note behind its batch: the cursor has to look whether there is more
    for (const value of ['first', 'a']) await append(log, 0, [value])
    const cursor = log.openCursor(new Map())
    expect((await cursor.next(1000)).flatMap((batch) => recordsOf([batch]))).toEqual(['0:first', '1:a'])
    const gate = disk.hold('range')
    const caughtUp = cursor.next(1000)
    await gate.reached
    await append(log, 0, ['b'])
    gate.release()
    const late = recordsOf(await caughtUp)
    const rest = await drain(cursor)
    expect([...late, ...(rest.get('events/0') ?? [])]).toEqual(['2:b'])
  })

  it('brings the same records as reads of each partition, from any positions and in steps of any size', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const log = await openLog(new MemoryDisk(), {
      streams: [
        { name: 'events', partitions: 3 },
        { name: 'alarms', partitions: 2 },
      ],
      segmentBytes: 3000,
    })
    const partitions = log.partitions()
    for (let commit = 0; commit < 120; commit++) {
      const writes = Array.from({ length: random.between(1, 4) }, () => {
        const { stream, partition } = partitions[random.between(0, partitions.length - 1)]!
        const values = Array.from({ length: random.between(1, 5) }, (_, i) => `${commit}.${i}`)
        return append(log, partition, values, { stream })
      })
      await Promise.all(writes)
    }
    expect(log.status().segments).toBeGreaterThan(5)
    for (let round = 0; round < 20; round++) {
      const from = new Map<string, number>()
      const expected = new Map<string, string[]>()
      for (const { stream, partition, durableOffset } of log.partitions()) {
        const at = random.between(0, durableOffset)
        if (random.next() < 0.8) from.set(`${stream}/${partition}`, at)
        const records = await readAll(log, partition, {
          stream,
          from: from.get(`${stream}/${partition}`) ?? 0,
        })
        if (records.length > 0) expected.set(`${stream}/${partition}`, records)
      }
      const found = await drain(log.openCursor(from), random.between(1, 4000))
      for (const [key, records] of found) {
        const first = records.findIndex((record) => Number.parseInt(record, 10) >= (from.get(key) ?? 0))
        found.set(key, records.slice(first))
      }
      expect(found, `seed ${seed}, round ${round}`).toEqual(expected)
    }
  })

  it('goes on where it stood when the log grows and rolls', async () => {
    const log = await openLog(new MemoryDisk(), { segmentBytes: 400 })
    const cursor = log.openCursor(new Map())
    expect((await drain(cursor)).size).toBe(0)
    const found: string[] = []
    for (let i = 0; i < 30; i++) {
      await append(log, 0, [`v${i}`])
      found.push(...((await drain(cursor)).get('events/0') ?? []))
    }
    expect(log.status().segments).toBeGreaterThan(3)
    expect(found).toEqual(Array.from({ length: 30 }, (_, i) => `${i}:v${i}`))
  })

  it('leaves no sealed segment open behind it', async () => {
    const log = await openLog(new MemoryDisk(), { segmentBytes: 400 })
    for (let i = 0; i < 30; i++) await append(log, 0, [`v${i}`])
    const [chain] = log.chains()
    const open = () => chain!.row.sealed.filter((segment) => chain!.cache.isOpen(segment))
    await log.read('events', 0, 0, 1)
    expect(open().length).toBeGreaterThan(0)
    expect((await drain(log.openCursor(new Map()))).get('events/0')).toHaveLength(30)
    expect(chain!.row.sealed.length).toBeGreaterThan(3)
    expect(open()).toEqual([])
  })

  it('starts a partition that is not named at its log start', async () => {
    const log = await openLog(new MemoryDisk())
    await append(log, 0, ['a'])
    await append(log, 1, ['b'])
    const from = new Map([['events/1', 1]])
    expect(await drain(log.openCursor(from))).toEqual(new Map([['events/0', ['0:a']]]))
  })
})
