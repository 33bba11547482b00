/** Compaction at work: the newest record of each key stays, with its offset; nobody sees one twice; a crash at any step is harmless. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NotCompactedError } from '../../../broker/errors.ts'
import { commitKey } from '../../../broker/log/commit-key.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { baseOffsetOf, NO_HEADERS, readRecords } from '../../../broker/log/record-batch.ts'
import { DEFAULT_POLICY, type StreamPolicy } from '../../../broker/log/stream-policy.ts'
import { openLevelStore } from '../../../broker/storage/level-store.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { committed, drain, openLog, temporaryDirectory } from './support.ts'

const policy = (more: Partial<StreamPolicy> = {}): StreamPolicy => ({
  ...DEFAULT_POLICY,
  deletes: false,
  compacts: true,
  tombstoneMs: 1000,
  ...more,
})
const options = (more: Partial<StreamPolicy> = {}) => ({
  segmentBytes: 3000,
  streams: [
    { name: 'states', partitions: 2, policy: policy(more) },
    { name: 'events', partitions: 1 },
  ],
})

/** One record; a null value is a tombstone. */
async function put(log: EventLog, key: string, value: string | null, partition = 0): Promise<void> {
  const { chain, partitions } = log.stream('states')
  const bytes = value === null ? null : Buffer.from(value)
  chain.append(partitions[partition]!, 1000, Buffer.from(key), bytes, NO_HEADERS)
  await committed(log, 'states')
}

type Found = [offset: number, key: string, value: string | null]

async function records(log: EventLog, partition = 0, from = 0): Promise<Found[]> {
  const found: Found[] = []
  let at = from
  for (;;) {
    const batches = await log.read('states', partition, at, 500)
    if (batches.length === 0) return found
    for (const { bytes } of batches) {
      for (const { offset, key, value } of readRecords(bytes)) {
        if (offset >= at) found.push([offset, String(key), value === null ? null : value.toString()])
      }
    }
    at = batches.at(-1)!.nextOffset
  }
}

/** The records that compaction may leave, of those that were written. */
function newest(written: readonly Found[]): Found[] {
  const last = new Map(written.map((record) => [record[1], record]))
  return [...last.values()].sort((a, b) => a[0] - b[0])
}

async function expectWhole(log: EventLog): Promise<void> {
  expect((await log.verify()).problems).toEqual([])
}

/** Keys by turns, so that each is written often. */
async function writeRounds(log: EventLog, count: number, keys: number): Promise<Found[]> {
  for (let n = 0; n < count; n++) await put(log, `key ${n % keys}`, `value ${n}`.padEnd(60, '.'))
  return records(log)
}

describe('compaction', () => {
  it('leaves the newest record of each key with its offset, and fewer bytes on the disk', async () => {
    const path = temporaryDirectory()
    const log = await openLog(nodeDisk, { path, ...options() })
    const written = await writeRounds(log, 200, 7)
    const [report] = await log.compact('states')
    expect(await records(log)).toEqual(newest(written))
    expect(report).toMatchObject({
      streams: ['states'],
      recordsRemoved: 193,
      tombstonesRemoved: 0,
      isComplete: true,
    })
    expect(report!.bytesAfter).toBeLessThan(report!.bytesBefore / 20)
    expect(log.partitions()[0]).toMatchObject({ logStartOffset: 0, durableOffset: 200 })
    expect(log.streams()[0]!.records[0], 'records, not offsets').toBe(7)
    await expectWhole(log)
    await log.close()
    const again = await openLog(nodeDisk, { path, ...options() })
    expect(await records(again)).toEqual(newest(written))
    expect(again.partitions()[0]).toMatchObject({ logStartOffset: 0, durableOffset: 200 })
    await expectWhole(again)
    await put(again, 'key 0', 'later')
    expect((await records(again)).at(-1)).toEqual([200, 'key 0', 'later'])
    expect(await again.compact('states')).toHaveLength(1)
    expect((await records(again)).map(([offset]) => offset)).not.toContain(newest(written)[0]![0] - 1)
    await expectWhole(again)
  })

  it('puts nothing together over a damaged batch, which stays where it is', async () => {
    const path = temporaryDirectory()
    const log = await openLog(nodeDisk, { path, ...options() })
    // each key once: all stays, and what can be put together is
    const written = await writeRounds(log, 60, 60)
    for (let n = 0; n < 3; n++) await put(log, 'key 0', `again ${n}`)
    for (let n = 0; n < 30; n++) await put(log, 'other', 'x'.repeat(100))
    await log.close()
    const directory = join(path, 'log', log.stream('states').chain.name, '00000001')
    const store = await openLevelStore(directory, { writeBufferBytes: 64 * 1024, createIfMissing: false })
    const id = log.stream('states').partitions[0]!.id
    const key = commitKey(6, id)
    const value = Buffer.from((await store.get(key))!)
    const lost = baseOffsetOf(value)
    value[value.length - 1]! ^= 1
    const write = store.batch()
    write.put(key, value)
    await write.write({ sync: true })
    await store.close()

    const again = await openLog(nodeDisk, { path, ...options() })
    await again.compact('states')
    const spans: number[][] = []
    for (let at = 0; ; at = spans.at(-1)![1]!) {
      const batches = await again.read('states', 0, at, 1e6)
      if (batches.length === 0) break
      for (const { baseOffset, nextOffset } of batches) spans.push([baseOffset, nextOffset])
    }
    expect(spans.filter(([from, to]) => to! - from! > 1)).not.toEqual([])
    expect(spans.filter(([from, to]) => from! <= lost && to! > lost)).toEqual([])
    const whole = written.filter(([offset]) => offset !== lost && offset !== 0)
    expect((await records(again)).slice(0, whole.length)).toEqual(whole)
  })

  it('finds nothing to do the second time', async () => {
    const log = await openLog(new MemoryDisk(), options())
    await writeRounds(log, 60, 5)
    expect(await log.compact(null)).toHaveLength(1)
    expect(await log.compact(null)).toEqual([])
    expect(log.status().retention.compaction).toMatchObject({
      isRunning: false,
      rounds: 1,
      removedRecords: 55,
    })
  })

  it('leaves alone what another stream in the chain holds, and records without a key', async () => {
    const log = await openLog(new MemoryDisk(), {
      segmentBytes: 3000,
      streams: [
        { name: 'states', partitions: 1, policy: policy() },
        { name: 'other', partitions: 1, policy: policy() },
      ],
    })
    for (let n = 0; n < 60; n++) {
      await put(log, 'one', `value ${n}`)
      const { chain, partitions } = log.stream('other')
      chain.append(partitions[0]!, 1000, Buffer.from('one'), Buffer.from(`other ${n}`), NO_HEADERS)
      await committed(log, 'other')
      log
        .stream('states')
        .chain.append(log.stream('states').partitions[0]!, 1000, null, Buffer.from('fact'), NO_HEADERS)
    }
    await log.compact('states')
    const found = await drain(log.openCursor(new Map()), 500)
    expect(found.get('other/0')).toHaveLength(60)
    expect((await records(log)).filter(([, key]) => key === 'null')).toHaveLength(60)
    expect((await records(log)).filter(([, key]) => key === 'one')).toEqual([
      expect.arrayContaining(['value 59']),
    ])
    await expectWhole(log)
  })

  it('is refused for a stream whose records go by retention', async () => {
    const log = await openLog(new MemoryDisk(), options())
    await expect(log.compact('events')).rejects.toThrow(NotCompactedError)
    await expect(log.compact('none')).rejects.toThrow(/no stream/)
  })

  it('removes a tombstone only once what it hid has been gone for its delay', async () => {
    let now = 10_000
    const log = await openLog(new MemoryDisk(), { ...options(), trustedNow: () => now })
    await put(log, 'a', 'old')
    await put(log, 'b', 'stays')
    await put(log, 'a', null)
    await log.compact('states')
    const hidden: Found[] = [
      [1, 'b', 'stays'],
      [2, 'a', null],
    ]
    expect(await records(log)).toEqual(hidden)
    now = 10_999
    await log.compact('states')
    expect(await records(log)).toEqual(hidden)
    now = 11_000
    const [report] = await log.compact('states')
    expect(report).toMatchObject({ tombstonesRemoved: 1 })
    expect(await records(log)).toEqual([[1, 'b', 'stays']])
    await put(log, 'a', null)
    await log.compact('states')
    expect(await records(log), 'a later one waits again').toEqual([
      [1, 'b', 'stays'],
      [3, 'a', null],
    ])
    await expectWhole(log)
  })

  it('goes no further than every upstream has come', async () => {
    const positions = new Map<string, number>()
    const log = await openLog(new MemoryDisk(), { ...options(), upstreams: ['central'] })
    log.floors.set('central', () => positions)
    const written = await writeRounds(log, 100, 5)
    expect(await log.compact('states')).toEqual([])
    positions.set('states/0', 50)
    await log.compact('states')
    const left = await records(log)
    expect(left.filter(([offset]) => offset >= 50)).toEqual(written.slice(50))
    expect(left.length).toBeLessThan(80)
    positions.set('states/0', 100).set('states/1', 0)
    await log.compact('states')
    expect(await records(log)).toEqual(newest(written))
  })

  it('takes as many rounds as its memory for keys needs', async () => {
    const log = await openLog(new MemoryDisk(), options())
    const written = await writeRounds(log, 400, 150)
    const { chain } = log.stream('states')
    const { compactChain } = await import('../../../broker/log/compactor.ts')
    const { planCompaction } = await import('../../../broker/log/compaction-plan.ts')
    let rounds = 0
    for (;;) {
      const streams = planCompaction({
        sealed: chain.row.sealed,
        streams: [
          {
            name: 'states',
            policy: policy(),
            partitions: [0, 1].map((id) => ({ id, logStartOffset: 0, floor: Number.POSITIVE_INFINITY })),
          },
        ],
        cleaned: chain.row.facts.cleaned,
        dirtyShare: 0,
        isForced: true,
        now: 0,
      })
      if (streams.length === 0) break
      const report = await compactChain(chain, streams, {
        segmentBytes: 3000,
        now: 0,
        keyMapBytes: 64 * 24 * 17,
        spanMsOf: () => Number.POSITIVE_INFINITY,
        boundaries: [],
        isClosing: () => false,
        writableBytes: async () => Number.POSITIVE_INFINITY,
      })
      rounds++
      if (report!.isComplete) break
      expect(rounds).toBeLessThan(100)
    }
    expect(rounds).toBe(1)
    const sealedTo = chain.active.firstCommit
    expect(sealedTo).toBeGreaterThan(300)
    const left = await records(log)
    expect(newest(left)).toEqual(newest(written))
    expect(left.length).toBeLessThan(200)
    await expectWhole(log)
  })

  it('shows a reader or a cursor that stands anywhere each record that is left once, in order', async () => {
    const log = await openLog(new MemoryDisk(), options())
    const written = await writeRounds(log, 150, 20)
    const standing = [1, 4, 9, 20, 40].map((steps) => ({
      steps,
      cursor: log.openCursor(new Map()),
      seen: [] as string[],
    }))
    for (const { steps, cursor, seen } of standing) {
      for (let i = 0; i < steps; i++) {
        for (const { bytes } of await cursor.next(300))
          for (const { offset } of readRecords(bytes)) seen.push(`${offset}`)
      }
    }
    await log.compact('states')
    const left = new Set((await records(log)).map(([offset]) => offset))
    for (const { steps, cursor, seen } of standing) {
      const rest = (await drain(cursor, 300)).get('states/0') ?? []
      const next = Number(seen.at(-1) ?? -1) + 1
      const expected = written
        .map(([offset]) => offset)
        .filter((offset) => offset >= next && left.has(offset))
      expect(
        rest.map((record) => Number.parseInt(record, 10)),
        `after ${steps} steps`,
      ).toEqual(expected)
    }
    for (let from = 0; from < 150; from += 7) {
      const found = (await records(log, 0, from)).map(([offset]) => offset)
      expect(found).toEqual([...left].filter((offset) => offset >= from))
    }
  })

  it('that power cuts interrupt at any change loses no newest record, and ends its work after', async () => {
    for (const leaves of ['old', 'new', 'torn', 'the process alone'] as const) {
      for (let nth = 1; ; nth++) {
        const memory = new MemoryDisk()
        if (leaves !== 'the process alone') memory.namesLeft = () => leaves
        const disk = new FaultyDisk(memory)
        const log = await openLog(disk, options())
        const written = await writeRounds(log, 60, 6)
        if (leaves === 'the process alone') disk.endProcessAt(nth)
        else disk.cutPowerAt(nth)
        await log.compact('states').catch(() => undefined)
        const isThrough = !disk.isOff
        await log.close()
        const again = await openLog(memory, options())
        const left = await records(again)
        expect(newest(left), `cut at change ${nth}, leaves ${leaves}`).toEqual(newest(written))
        expect(written).toEqual(expect.arrayContaining(left))
        await expectWhole(again)
        await again.compact('states')
        expect(await records(again)).toEqual(newest(written))
        await expectWhole(again)
        await again.close()
        if (isThrough) break
      }
    }
  })

  it('agrees with a model through random lives of writes, tombstones, rounds and restarts', async () => {
    const seed = testSeed()
    for (let life = 0; life < 6; life++) {
      const random = seededRandom(seed + life)
      const disk = new MemoryDisk()
      let now = 1_000_000
      const tombstoneMs = 500
      const start = () => openLog(disk, { ...options({ tombstoneMs }), trustedNow: () => now })
      let log = await start()
      const written: Found[][] = [[], []]
      for (let step = 0; step < 300; step++) {
        const partition = random.between(0, 1)
        const roll = random.between(0, 99)
        now += random.between(0, 20)
        if (roll < 90) {
          const key = `k${random.between(0, 15)}`
          const value = random.next() < 0.2 ? null : `v${step}`.padEnd(random.between(3, 90), '.')
          await put(log, key, value, partition)
          written[partition]!.push([written[partition]!.length, key, value])
        } else if (roll < 97) await log.compact('states')
        else {
          await log.close()
          log = await start()
        }
        if (roll < 90) continue
        for (const [index, all] of written.entries()) {
          const left = await records(log, index)
          const live = ([, , value]: Found) => value !== null
          expect(
            newest(left).filter(live),
            `HEADWATER_TEST_SEED=${seed}, life ${life}, step ${step}`,
          ).toEqual(newest(all).filter(live))
          expect(all).toEqual(expect.arrayContaining(left))
        }
        await expectWhole(log)
      }
      await log.close()
    }
  })
})
