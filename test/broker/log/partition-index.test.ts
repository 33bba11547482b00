import { describe, expect, it } from 'vitest'
import { PartitionIndex } from '../../../broker/log/partition-index.ts'
import { SegmentIndex } from '../../../broker/log/segment-index.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'

interface Row {
  commit: number
  baseOffset: number
  nextOffset: number
  records: number
  bytes: number
  maxTimestamp: number
}

/** Rows as commits bring them: commits rise, offsets rise with gaps at times, times go to and fro. */
function randomRows(random: Random, count: number, firstCommit: number, firstOffset: number): Row[] {
  let commit = firstCommit
  let offset = firstOffset
  return Array.from({ length: count }, () => {
    const baseOffset = offset
    const records = random.between(1, 20)
    offset += records
    const row = {
      commit,
      baseOffset,
      nextOffset: offset,
      records,
      bytes: records * 80,
      maxTimestamp: 1.7e12 + random.between(-1000, 1000),
    }
    commit += random.between(1, 4)
    if (random.next() < 0.1) offset += random.between(1, 50)
    return row
  })
}

function indexOf(rows: readonly Row[], firstCommit: number): PartitionIndex {
  const index = new PartitionIndex(3, rows[0]?.baseOffset ?? 9, firstCommit)
  for (const { commit, ...batch } of rows) index.add(commit, batch)
  return index
}

describe('a partition’s index', () => {
  it('finds offsets and times as a search from the first row does', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let round = 0; round < 25; round++) {
      const firstCommit = random.next() < 0.5 ? 1 : 2 ** 40
      const firstOffset = random.next() < 0.5 ? 0 : 2 ** 41
      const rows = randomRows(random, random.between(1, 70), firstCommit, firstOffset)
      const index = indexOf(rows, firstCommit)
      const end = rows.at(-1)!.nextOffset
      for (let offset = firstOffset; offset <= end + 1; offset++) {
        const naive = offset >= end ? rows.length : rows.findLastIndex((row) => row.baseOffset <= offset)
        expect(index.find(offset), `seed ${seed}, offset ${offset}`).toBe(naive)
      }
      for (let i = 0; i < 60; i++) {
        const timestamp = 1.7e12 + random.between(-1100, 1100)
        const naive = rows.findIndex((row) => row.maxTimestamp >= timestamp)
        expect(index.findTime(timestamp), `seed ${seed}`).toBe(naive < 0 ? rows.length : naive)
      }
      for (const [i, row] of rows.entries()) {
        expect([index.offsetAt(i), index.commitAt(i)]).toEqual([row.baseOffset, row.commit])
        expect(index.timestampAt(i)).toBe(Math.max(...rows.slice(0, i + 1).map((r) => r.maxTimestamp)))
      }
      expect(index).toMatchObject({ count: rows.length, nextOffset: end, firstOffset })
      expect(index.records).toBe(rows.reduce((sum, row) => sum + row.records, 0))
    }
  })

  it('has the same rows however many there are, in memory that others had before', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const alive: { rows: Row[]; index: PartitionIndex }[] = []
    for (let round = 0; round < 40; round++) {
      const count = [random.between(1, 40), random.between(1000, 4095), 4096, 4097, 12_000][round % 5]!
      const rows = randomRows(random, count, 7, 2 ** 41)
      alive.push({ rows, index: indexOf(rows, 7) })
      if (alive.length > 6) alive.splice(random.between(0, 5), 1)[0]!.index.release()
      const { rows: known, index } = alive[random.between(0, alive.length - 1)]!
      for (let n = 0; n < 200; n++) {
        const i = random.between(0, known.length - 1)
        const at = `seed ${seed}, round ${round}, row ${i}`
        expect([index.offsetAt(i), index.commitAt(i)], at).toEqual([known[i]!.baseOffset, known[i]!.commit])
        expect(index.find(known[i]!.baseOffset), at).toBe(i)
      }
      const newest = known.reduce((max, { maxTimestamp }) => Math.max(max, maxTimestamp), 0)
      expect(index.maxTimestamp).toBe(newest)
      expect(index.findTime(newest)).toBe(known.findIndex(({ maxTimestamp }) => maxTimestamp === newest))
    }
  })

  it('that is empty finds nothing', () => {
    const index = new PartitionIndex(0, 5, 1)
    expect(index.find(0)).toBe(0)
    expect(index.findTime(0)).toBe(0)
    expect(index.maxTimestamp).toBe(Number.NEGATIVE_INFINITY)
  })
})

describe('a segment’s index', () => {
  function sample(random: Random, partitions: number): SegmentIndex {
    const index = new SegmentIndex(100)
    for (let id = 0; id < partitions; id++) {
      const rows = randomRows(random, random.between(1, 30), 100 + random.between(0, 5), id * 1e10)
      for (const { commit, ...batch } of rows) index.of(id * 7, batch.baseOffset).add(commit, batch)
    }
    return index
  }

  function rowsOf(index: SegmentIndex) {
    return [...index.partitions.values()].map((partition) => ({
      summary: [
        partition.id,
        partition.firstOffset,
        partition.nextOffset,
        partition.records,
        partition.bytes,
      ],
      rows: Array.from({ length: partition.count }, (_, i) => [
        partition.offsetAt(i),
        partition.commitAt(i),
        partition.timestampAt(i),
      ]),
    }))
  }

  it('is the same after it was written and read', () => {
    const random = seededRandom(testSeed())
    for (const partitions of [0, 1, 2, 20]) {
      const index = sample(random, partitions)
      const file = index.encode()
      const read = SegmentIndex.decode(file, 100)!
      expect(rowsOf(read)).toEqual(rowsOf(index))
      expect(read.summaries()).toEqual(index.summaries())
      expect(SegmentIndex.decodeSummaries(file)).toEqual(index.summaries())
      expect(read.encode().equals(file)).toBe(true)
    }
  })

  it('with any byte changed, or cut anywhere, is refused', () => {
    const index = sample(seededRandom(testSeed()), 3)
    const file = index.encode()
    for (let at = 0; at < file.length; at++) {
      for (const bit of [0x01, 0x80]) {
        file[at]! ^= bit
        expect(SegmentIndex.decode(file, 100), `byte ${at}`).toBeUndefined()
        // the summaries alone do not see the entries, which have a CRC of their own
        const summaries = SegmentIndex.decodeSummaries(file)
        if (summaries !== undefined) expect(summaries).toEqual(index.summaries())
        file[at]! ^= bit
      }
    }
    for (let length = 0; length < file.length; length++) {
      expect(SegmentIndex.decode(file.subarray(0, length), 100), `cut at ${length}`).toBeUndefined()
    }
  })
})
