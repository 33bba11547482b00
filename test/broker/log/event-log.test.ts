/** Append and read, on the real disk unless said otherwise. */
import { describe, expect, it } from 'vitest'
import { StreamDefinitionError, UnknownPartitionError, UnknownStreamError } from '../../../broker/errors.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { encodeHeaders, readRecords } from '../../../broker/log/record-batch.ts'
import { NO_RECOVERY } from '../../../broker/log/recovery-counters.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'
import { append, committed, openLog, readAll, recordsOf, temporaryDirectory } from './support.ts'

const STREAMS = [
  { name: 'events', partitions: 5 },
  { name: 'alarms', partitions: 2 },
]

interface Kept {
  timestamp: number
  value: string
}

/** Commits random records on all partitions. @returns what each holds. */
async function fill(log: EventLog, random: Random, commits: number): Promise<Map<string, Kept[]>> {
  const kept = new Map(
    log.partitions().map(({ stream, partition }) => [`${stream}/${partition}`, [] as Kept[]]),
  )
  const all = log.partitions()
  for (let commit = 0; commit < commits; commit++) {
    const done = Array.from({ length: random.between(1, 4) }, () => {
      const { stream, partition } = all[random.between(0, all.length - 1)]!
      const timestamp = 10_000 + commit * 10 + random.between(-50, 50)
      const values = Array.from({ length: random.between(1, 6) }, (_, i) =>
        `${commit}.${i}`.padEnd(random.between(4, 60), '.'),
      )
      kept.get(`${stream}/${partition}`)!.push(...values.map((value) => ({ timestamp, value })))
      return append(log, partition, values, { stream, timestamp })
    })
    await Promise.all(done)
  }
  return kept
}

async function expectHolds(log: EventLog, kept: ReadonlyMap<string, Kept[]>, note: string): Promise<void> {
  for (const { stream, partition, logStartOffset, durableOffset } of log.partitions()) {
    const expected = kept.get(`${stream}/${partition}`)!.map(({ value }, i) => `${i}:${value}`)
    expect([logStartOffset, durableOffset], note).toEqual([0, expected.length])
    expect(await readAll(log, partition, { stream }), `${note}, ${stream}/${partition}`).toEqual(expected)
  }
}

describe('a log', () => {
  it('brings back what was appended, over streams, partitions, segments and a restart', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const path = temporaryDirectory()
    const options = { path, streams: STREAMS, segmentBytes: 5000 }
    const log = await openLog(nodeDisk, options)
    const kept = await fill(log, random, 80)
    expect(log.status().segments).toBeGreaterThan(3)
    await expectHolds(log, kept, `seed ${seed}`)
    expect(await log.verify()).toMatchObject({ isWhole: true, problems: [] })
    await log.close()

    const again = await openLog(nodeDisk, options)
    await expectHolds(again, kept, `seed ${seed}, again`)
    expect(again.status().recovery).toEqual(NO_RECOVERY)
    await append(again, 0, ['later'])
    expect((await readAll(again, 0)).at(-1)).toBe(`${kept.get('events/0')!.length}:later`)
    expect((await again.verify()).isWhole).toBe(true)
  })

  it('is read from every offset, in steps of any size, each from the batch that holds it', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const log = await openLog(new MemoryDisk(), { streams: STREAMS, segmentBytes: 2500 })
    const kept = await fill(log, random, 60)
    const size = kept.get('events/1')!.length
    const whole = await readAll(log, 1)
    for (let from = 0; from <= size; from++) {
      for (const bytesMax of [1, 100, 700, 1e6]) {
        const batches = await log.read('events', 1, from, bytesMax)
        if (from === size) expect(batches).toEqual([])
        else {
          expect(batches[0]!.baseOffset, `seed ${seed}, from ${from}`).toBeLessThanOrEqual(from)
          expect(batches[0]!.nextOffset).toBeGreaterThan(from)
          if (bytesMax === 1) expect(batches).toHaveLength(1)
        }
      }
      expect(await readAll(log, 1, { from, bytesMax: random.between(1, 900) })).toEqual(whole.slice(from))
    }
    expect(await log.read('events', 1, size + 5, 100)).toEqual([])
    expect(recordsOf(await log.read('events', 1, -5, 1))[0]).toBe(whole[0])
  })

  it('says of each batch its stream, its partition, its offsets and its commit', async () => {
    const log = await openLog(new MemoryDisk(), { streams: STREAMS })
    await append(log, 1, ['a', 'b'], { stream: 'alarms' })
    await append(log, 1, ['c'], { stream: 'alarms' })
    const batches = await log.read('alarms', 1, 1, 1e6)
    expect(batches.map(({ bytes: _, ...rest }) => rest)).toEqual([
      { stream: 'alarms', partition: 1, baseOffset: 0, nextOffset: 2, commit: 2 },
      { stream: 'alarms', partition: 1, baseOffset: 2, nextOffset: 3, commit: 3 },
    ])
  })

  it('keeps key, value, headers and time as they were given, null and empty told apart', async () => {
    const log = await openLog(new MemoryDisk())
    const { chain, partitions } = log.stream('events')
    const headers = [
      { key: 'a', value: null },
      { key: 'b', value: Buffer.from('x') },
    ]
    chain.append(partitions[0]!, 5, null, Buffer.alloc(0), encodeHeaders(headers))
    chain.append(partitions[0]!, 2 ** 45, Buffer.alloc(0), null, encodeHeaders([]))
    await committed(log)
    const [batch] = await log.read('events', 0, 0, 1000)
    expect([...readRecords(batch!.bytes)]).toEqual([
      { offset: 0, timestamp: 5, key: null, value: Buffer.alloc(0), headers },
      { offset: 1, timestamp: 2 ** 45, key: Buffer.alloc(0), value: null, headers: [] },
    ])
  })

  it('finds the first offset at or after a time as a search through all records does', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const log = await openLog(new MemoryDisk(), { streams: STREAMS, segmentBytes: 2500 })
    const kept = await fill(log, random, 80)
    expect(log.status().segments).toBeGreaterThan(2)
    for (const { stream, partition, durableOffset } of log.partitions().slice(3)) {
      const records = kept.get(`${stream}/${partition}`)!
      const times = records.flatMap(({ timestamp }) => [timestamp, timestamp + 1])
      for (const time of [0, 20_000, ...new Set(times)]) {
        const naive = records.findIndex(({ timestamp }) => timestamp >= time)
        expect(await log.offsetForTime(stream, partition, time), `seed ${seed}, time ${time}`).toBe(
          naive < 0 ? durableOffset : naive,
        )
      }
    }
  })

  it('finds a time within a batch whose records have several', async () => {
    const log = await openLog(new MemoryDisk())
    const { chain, partitions } = log.stream('events')
    for (const timestamp of [100, 300, 200, 400]) {
      chain.append(partitions[0]!, timestamp, null, Buffer.from('v'), encodeHeaders([]))
    }
    await committed(log)
    const found = [50, 100, 150, 300, 301, 400, 401].map((time) => log.offsetForTime('events', 0, time))
    expect(await Promise.all(found)).toEqual([0, 0, 1, 1, 3, 3, 4])
  })

  it('lists its streams and partitions in the order of their definition, also when nothing was appended', async () => {
    const log = await openLog(new MemoryDisk(), { streams: STREAMS })
    expect(log.streams()).toEqual([
      expect.objectContaining({ stream: 'events', partitions: 5 }),
      expect.objectContaining({ stream: 'alarms', partitions: 2 }),
    ])
    expect(log.partitions().map(({ stream, partition }) => `${stream}/${partition}`)).toEqual([
      'events/0',
      'events/1',
      'events/2',
      'events/3',
      'events/4',
      'alarms/0',
      'alarms/1',
    ])
    expect(await log.read('alarms', 0, 0, 1000)).toEqual([])
    expect(await log.offsetForTime('alarms', 0, 0)).toBe(0)
    expect((await log.verify()).isWhole).toBe(true)
  })

  it('knows no other stream and no other partition', async () => {
    const log = await openLog(new MemoryDisk())
    await expect(log.read('none', 0, 0, 1)).rejects.toThrow(UnknownStreamError)
    await expect(log.read('events', 2, 0, 1)).rejects.toThrow(UnknownPartitionError)
    await expect(log.read('events', -1, 0, 1)).rejects.toThrow(UnknownPartitionError)
    await expect(log.read('none', 0, 0, 1)).rejects.toMatchObject({ hint: 'streams here: events' })
  })

  it('takes a new stream at a restart, keeps one that is no longer configured, and refuses other partitions', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    await append(log, 1, ['a'])
    await log.close()
    const streams = [{ name: 'alarms', partitions: 1 }]
    const grown = await openLog(disk, { streams })
    await append(grown, 0, ['b'], { stream: 'alarms' })
    expect(await readAll(grown, 1)).toEqual(['0:a'])
    expect(await readAll(grown, 0, { stream: 'alarms' })).toEqual(['0:b'])
    await grown.close()
    const other = openLog(disk, { streams: [{ name: 'events', partitions: 3 }] })
    await expect(other).rejects.toThrow(StreamDefinitionError)
    const again = await openLog(disk)
    expect(await readAll(again, 1)).toEqual(['0:a'])
  })
})
