/** The comparison itself, on items made by hand: each fault is found where it is, and nothing else. */
import { describe, expect, it } from 'vitest'
import type { LogRecord } from '../../../broker/index.ts'
import { RangeSet } from '../../../sync/audit/range-set.ts'
import type { AuditItem } from '../../../sync/audit/source.ts'
import { testSeed } from '../../support/random.ts'
import { MemoryLog } from '../memory-log.ts'
import { seededRandom } from '../stored-batches.ts'
import { handSource, recordsOf, verify } from './audited-log.ts'

function newLog(count = 100): MemoryLog {
  const log = new MemoryLog().addStream('events', 2)
  log.appendMany('events', 0, count, 7)
  log.appendMany('events', 1, 10)
  return log
}

const run = (records: readonly LogRecord[], partition = 0, place = `t/${partition}`): AuditItem => {
  return { kind: 'records', place, stream: 'events', partition, records }
}

/** Partition 1 as it is, partition 0 as given. */
async function verifyZero(log: MemoryLog, items: readonly AuditItem[], position?: number) {
  const positions = new Map([
    ['events/0', position ?? recordsOf(log, 'events', 0).at(-1)!.offset + 1],
    ['events/1', 10],
  ])
  const report = await verify(log, handSource([...items, run(recordsOf(log, 'events', 1), 1)]), { positions })
  expect(report.partitions[1]).toMatchObject({ compared: 10, missing: { records: 0 } })
  return { ...report.partitions[0]!, isWhole: report.isWhole }
}

const none = { records: 0, ranges: [], rangesLeftOut: 0 }
const ranges = (...pairs: [number, number][]) => ({
  records: pairs.reduce((sum, [from, to]) => sum + to - from, 0),
  ranges: pairs.map(([from, to]) => ({ from, to })),
  rangesLeftOut: 0,
})

describe('a verification', () => {
  it('finds nothing where both sides hold the same, cut as it may be', async () => {
    const log = newLog()
    const all = recordsOf(log, 'events', 0)
    const report = await verifyZero(log, [run(all.slice(0, 1)), run(all.slice(1, 60)), run(all.slice(60))])
    expect(report).toMatchObject({
      isWhole: true,
      compared: 100,
      missing: none,
      duplicated: none,
      outOfOrder: none,
      different: none,
      unknown: none,
      fromOffset: 0,
      toOffset: 100,
    })
  })

  it('finds what is missing at the start, in the middle and at the end', async () => {
    const log = newLog()
    const kept = recordsOf(log, 'events', 0).filter(
      ({ offset }) => offset > 4 && offset !== 50 && offset < 97,
    )
    expect(await verifyZero(log, [run(kept)])).toMatchObject({
      isWhole: false,
      compared: 91,
      missing: ranges([0, 5], [50, 51], [97, 100]),
      duplicated: none,
      outOfOrder: none,
    })
    expect(await verifyZero(log, [])).toMatchObject({ isWhole: false, missing: ranges([0, 100]) })
  })

  it('finds what comes twice, at once or much later', async () => {
    const log = newLog()
    const all = recordsOf(log, 'events', 0)
    const twice = [...all.slice(0, 20), all[19]!, ...all.slice(20), ...all.slice(40, 45)]
    expect(await verifyZero(log, [run(twice)])).toMatchObject({
      isWhole: false,
      compared: 100,
      missing: none,
      duplicated: ranges([19, 20], [40, 45]),
      outOfOrder: none,
    })
  })

  it('tells late from missing, and from out of order where it came by another place', async () => {
    const log = newLog()
    const all = recordsOf(log, 'events', 0)
    const moved = [...all.slice(0, 20), ...all.slice(30, 60), ...all.slice(20, 30), ...all.slice(60)]
    expect(await verifyZero(log, [run(moved)])).toMatchObject({
      isWhole: false,
      compared: 100,
      missing: none,
      duplicated: none,
      outOfOrder: ranges([20, 30]),
    })
    const odd = all.filter(({ offset }) => offset % 2 === 1)
    const even = all.filter(({ offset }) => offset % 2 === 0)
    const spread = [run(odd, 0, 't/5'), run(even, 0, 't/6')]
    expect(await verifyZero(log, spread)).toMatchObject({ isWhole: true, compared: 100, outOfOrder: none })
  })

  it.each([
    ['value', { value: Buffer.from('other') }],
    ['key', { key: null }],
    ['time', { timestamp: 1 }],
    ['headers', { headers: [{ key: 'x', value: null }] }],
  ])('finds a record with another %s, also where it comes late', async (_, change) => {
    const log = newLog()
    const all = recordsOf(log, 'events', 0)
    const altered = all.map((record) => (record.offset === 33 ? { ...record, ...change } : record))
    expect(await verifyZero(log, [run(altered)])).toMatchObject({
      isWhole: false,
      compared: 99,
      missing: none,
      different: ranges([33, 34]),
    })
    const late = [...altered.slice(0, 33), ...altered.slice(34)]
    const report = await verifyZero(log, [run(late), run([altered[33]!], 0, 't/9')])
    expect(report).toMatchObject({ compared: 99, missing: none, different: ranges([33, 34]) })
  })

  it('does not compare times where upstream has put its own', async () => {
    const log = newLog()
    const all = recordsOf(log, 'events', 0).map((record) => ({ ...record, timestamp: 5 }))
    const item = { ...run(all), hasOwnTime: true } as AuditItem
    expect(await verifyZero(log, [item])).toMatchObject({ isWhole: true, compared: 100 })
  })

  it('ends at the position: what came later is not looked at, what was never written is told', async () => {
    const log = newLog()
    const all = recordsOf(log, 'events', 0)
    expect(await verifyZero(log, [run(all)], 60)).toMatchObject({
      isWhole: true,
      compared: 60,
      toOffset: 60,
      notCompared: { notSent: 40 },
      unknown: none,
    })
    const invented = [...all, { ...all[99]!, offset: 104 }]
    expect(await verifyZero(log, [run(invented)])).toMatchObject({
      isWhole: false,
      unknown: ranges([104, 105]),
    })
  })

  it('calls nothing missing that retention took here, or that upstream says may be gone there', async () => {
    const log = newLog()
    const all = recordsOf(log, 'events', 0)
    log.dropBelow('events', 0, 35)
    expect(await verifyZero(log, [run(all)])).toMatchObject({
      isWhole: true,
      compared: 65,
      notCompared: { goneFromEdge: 35 },
    })
    const gap: AuditItem = {
      kind: 'gap',
      place: 't/0',
      stream: 'events',
      partition: 0,
      reason: 'carried away',
    }
    const rest = [gap, run(all.slice(50, 70)), run(all.slice(71))]
    expect(await verifyZero(log, rest)).toMatchObject({
      isWhole: false,
      missing: ranges([70, 71]),
      notCompared: { excused: 15 },
      reasons: ['carried away'],
    })
  })

  it('calls nothing duplicated or missing that compaction took here', async () => {
    const log = new MemoryLog().addStream('events', 2)
    log.appendMany('events', 1, 10)
    log.appendMany('events', 0, 30)
    const all = recordsOf(log, 'events', 0)
    const at = log.commits.findIndex(({ partition, baseOffset }) => partition === 0 && baseOffset === 10)
    log.commits.splice(at, 1)
    expect(await verifyZero(log, [run(all)])).toMatchObject({
      isWhole: true,
      compared: 20,
      notCompared: { goneFromEdge: 10 },
    })
  })

  it('tells what filters left out from what is missing, and compares what was sent all the same', async () => {
    const log = newLog()
    const even = recordsOf(log, 'events', 0).filter(({ offset }) => offset % 2 === 0 || offset === 51)
    const source = handSource([
      run(even.filter(({ offset }) => offset !== 70)),
      run(recordsOf(log, 'events', 1), 1),
    ])
    const wish = { leavesOut: ({ offset }: LogRecord) => offset % 2 === 1, mayPassOver: null }
    const wishOf = () => wish
    const report = await verify(log, source, { wishOf })
    expect(report.partitions[0]).toMatchObject({
      compared: 50,
      missing: ranges([70, 71]),
      notCompared: { leftOut: 49, excused: 0 },
    })
    const some = handSource([run(even.slice(20)), run(recordsOf(log, 'events', 1), 1)])
    const unsure = { ...wish, mayPassOver: 'only the newest of a key goes' }
    const excused = await verify(log, some, { wishOf: () => unsure })
    expect(excused).toMatchObject({ isWhole: true })
    expect(excused.partitions[0]).toMatchObject({ notCompared: { leftOut: 49, excused: 20 }, missing: none })
  })

  it('does not ask upstream for what was never sent', async () => {
    const log = newLog()
    const asked: number[] = []
    const source = {
      ...handSource([]),
      async *read(_: unknown, partitions: readonly unknown[]) {
        asked.push(partitions.length)
        yield* []
      },
    }
    const report = await verify(log, source, { positions: new Map() })
    expect(asked).toEqual([0])
    expect(report).toMatchObject({
      isWhole: true,
      partitions: [{ compared: 0, notCompared: { notSent: 100 } }, {}],
    })
  })

  it('begins where it is told to', async () => {
    const log = newLog()
    const all = recordsOf(log, 'events', 0).filter(({ offset }) => offset !== 10 && offset !== 90)
    const source = handSource([run(all), run(recordsOf(log, 'events', 1), 1)])
    const report = await verify(log, source, { from: new Map([['events/0', 50]]) })
    expect(report.partitions[0]).toMatchObject({ fromOffset: 50, compared: 49, missing: ranges([90, 91]) })
  })
})

describe('a set of ranges', () => {
  it('holds what a set of numbers holds', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const ours = new RangeSet()
    const plain = new Set<number>()
    for (let i = 0; i < 3000; i++) {
      const offset = Math.floor(random() * 200)
      if (random() < 0.5 && !plain.has(offset)) {
        ours.add(offset)
        plain.add(offset)
      } else expect(ours.delete(offset), `seed ${seed}`).toBe(plain.delete(offset))
      expect(ours.size, `seed ${seed}`).toBe(plain.size)
    }
    for (let offset = 0; offset < 200; offset++) expect(ours.has(offset)).toBe(plain.has(offset))
    const told = ours
      .ranges(1e9)
      .flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i))
    expect(told, `seed ${seed}`).toEqual([...plain].sort((a, b) => a - b))
    for (const [i, { from }] of ours.ranges(1e9).entries()) {
      if (i > 0) expect(from).toBeGreaterThan(ours.ranges(1e9)[i - 1]!.to)
    }
  })
})
