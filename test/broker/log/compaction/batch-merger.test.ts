import { Reader, readRecordsBatch } from '@platformatic/kafka'
import { describe, expect, it } from 'vitest'
import { AssertionError } from '../../../../broker/assert.ts'
import { BatchFilter } from '../../../../broker/log/compaction/batch-filter.ts'
import { BatchMerger, type MergedBatch } from '../../../../broker/log/compaction/batch-merger.ts'
import { storedFault } from '../../../../broker/log/compaction/key-scan.ts'
import {
  baseOffsetOf,
  type LogRecord,
  maxTimestampOf,
  nextOffsetOf,
  readRecords,
  recordCountOf,
} from '../../../../broker/log/record-batch.ts'
import { batches as decodeForTests } from '../../../support/kafka/batches.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { batchOf, difference, plain, plainOf, randomEntries, record } from './support.ts'

interface Input {
  readonly commit: number
  readonly value: Buffer
}

const all = () => true

function merge(
  inputs: readonly Input[],
  batchBytesMax: number,
  keeps: (offset: number) => boolean = all,
): MergedBatch[] {
  const outputs: MergedBatch[] = []
  const merger = new BatchMerger(batchBytesMax, new BatchFilter(), (batch) => outputs.push(batch))
  for (const { commit, value } of inputs) merger.add(commit, value, ({ offset }) => keeps(offset))
  merger.cut()
  return outputs
}

/** A batch a commit. */
const commits = (...batches: LogRecord[][]): Input[] =>
  batches.map((records, i) => ({ commit: 10 + i, value: batchOf(records) }))

const offsets = (batch: Buffer): number[] => [...readRecords(batch)].map(({ offset }) => offset)

describe('a merged batch', () => {
  it('has the records that stay, as they were, whatever was dropped', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const filter = new BatchFilter()
    for (let round = 0; round < 60; round++) {
      const inputs = randomEntries(random, 1, random.between(1, 60))
      const copies = inputs.map(({ value }) => Buffer.from(value))
      const batchBytesMax = [200, 2000, 65_536][round % 3]!
      const keptShare = [0, 0.1, 0.5, 0.95, 1][random.between(0, 4)]!
      const kept = new Set<number>()
      const expected: LogRecord[] = []
      const commitOf = new Map<number, { commit: number; batch: Buffer }>()
      for (const { commit, value } of inputs) {
        for (const each of readRecords(value)) {
          commitOf.set(each.offset, { commit, batch: value })
          if (random.next() >= keptShare) continue
          kept.add(each.offset)
          expected.push(each)
        }
      }
      const outputs: MergedBatch[] = []
      const merger = new BatchMerger(batchBytesMax, filter, (batch) => outputs.push(batch))
      const asked: number[] = []
      for (const { commit, value } of inputs) {
        merger.add(commit, value, ({ offset }) => {
          asked.push(offset)
          return kept.has(offset)
        })
      }
      merger.cut()
      const at = `seed ${seed}, round ${round}`
      expect(asked, at).toEqual([...commitOf.keys()])
      for (const [i, { value }] of inputs.entries()) expect(value.equals(copies[i]!), at).toBe(true)
      const found = outputs.flatMap(({ bytes }) => plainOf(bytes))
      expect(difference(found, expected.map(plain)), at).toBeNull()

      let nextOffset = 0
      let lastCommit = -1
      for (const output of outputs) {
        const { bytes } = output
        expect(storedFault(bytes), at).toBeNull()
        const records = [...readRecords(bytes)]
        const sources = new Set(records.map(({ offset }) => commitOf.get(offset)!))
        const sourceBatches = new Set([...sources].map(({ batch }) => batch))
        expect({ ...output, bytes: null }, at).toEqual({
          bytes: null,
          baseOffset: records[0]!.offset,
          nextOffset: records.at(-1)!.offset + 1,
          records: records.length,
          commit: Math.max(...[...sources].map(({ commit }) => commit)),
          maxTimestamp: Math.max(...records.map(({ timestamp }) => timestamp)),
        })
        expect(baseOffsetOf(bytes), at).toBe(output.baseOffset)
        expect(nextOffsetOf(bytes), at).toBe(output.nextOffset)
        expect(recordCountOf(bytes), at).toBe(output.records)
        expect(maxTimestampOf(bytes), at).toBe(output.maxTimestamp)
        // outputs of one partition follow each other in offsets and in keys
        expect(output.baseOffset, at).toBeGreaterThanOrEqual(nextOffset)
        expect(output.commit, at).toBeGreaterThan(lastCommit)
        nextOffset = output.nextOffset
        lastCommit = output.commit
        if (sourceBatches.size > 1) expect(bytes.length, at).toBeLessThanOrEqual(batchBytesMax)
        const [source] = sourceBatches
        if (sourceBatches.size === 1 && recordCountOf(source!) === records.length) {
          expect(bytes.equals(source!), at).toBe(true)
        }
      }
      const again = merge(
        outputs.map(({ commit, bytes }) => ({ commit, value: bytes })),
        batchBytesMax,
      )
      expect(again.length, at).toBe(outputs.length)
      expect(
        again.every(({ bytes }, i) => bytes.equals(outputs[i]!.bytes)),
        at,
      ).toBe(true)
    }
  })

  it('with holes in its offsets is read by independent decoders', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    let holes = 0
    for (let round = 0; round < 20; round++) {
      const inputs = randomEntries(random, 1, 20)
      const expected: LogRecord[] = []
      const kept = new Set<number>()
      for (const { value } of inputs) {
        for (const each of readRecords(value)) {
          if (random.next() < 0.5) continue
          expected.push(each)
          kept.add(each.offset)
        }
      }
      const theirs: LogRecord[] = []
      const fromTests: LogRecord[] = []
      for (const { bytes, records, baseOffset, nextOffset } of merge(inputs, 65_536, (o) => kept.has(o))) {
        if (nextOffset - baseOffset > records) holes++
        const batch = readRecordsBatch(Reader.from(bytes))
        expect(batch).toMatchObject({ lastOffsetDelta: nextOffset - baseOffset - 1, producerId: -1n })
        for (const { attributes, offsetDelta, timestampDelta, key, value, headers } of batch.records) {
          expect(attributes).toBe(0)
          theirs.push({
            offset: Number(batch.firstOffset) + offsetDelta,
            timestamp: Number(batch.firstTimestamp + timestampDelta),
            key,
            value,
            headers: headers.map(([name, content]) => ({ key: name!.toString(), value: content })),
          })
        }
        for (const each of [...decodeForTests(0, bytes)].flatMap((decoded) => decoded.records())) {
          fromTests.push({ ...each, offset: Number(each.offset), timestamp: Number(each.timestamp) })
        }
      }
      expect(difference(theirs.map(plain), expected.map(plain)), `seed ${seed}`).toBeNull()
      expect(difference(fromTests.map(plain), expected.map(plain)), `seed ${seed}`).toBeNull()
    }
    expect(holes).toBeGreaterThan(0)
  })

  it('is the stored batch itself when nothing is dropped and nothing can join it', () => {
    const inputs = commits([record(0), record(1)], [record(2), record(3)])
    const [first, second] = inputs
    const outputs = merge(inputs, first!.value.length + 5)
    expect(outputs.map(({ bytes }) => bytes)).toEqual([first!.value, second!.value])
    expect(outputs[0]!.bytes).toBe(first!.value)
    expect(outputs.map(({ commit }) => commit)).toEqual([10, 11])
  })

  it('ends with its last record: what was dropped behind it is not claimed, what was dropped between is', () => {
    const inputs = commits(
      [record(0), record(1), record(2)],
      [record(3), record(4)],
      [record(5), record(6), record(7)],
    )
    const [output, ...more] = merge(inputs, 65_536, (offset) => offset === 1 || offset === 6)
    expect(more).toEqual([])
    expect(output).toMatchObject({ baseOffset: 1, nextOffset: 7, records: 2, commit: 12 })
    expect(nextOffsetOf(output!.bytes)).toBe(7)
  })

  it('has the last commit of which a record is in it, not that of a batch of which none is', () => {
    const inputs = commits([record(0)], [record(1)], [record(2)])
    expect(merge(inputs, 65_536, (offset) => offset < 2).map(({ commit }) => commit)).toEqual([11])
    expect(merge(inputs, 65_536, () => false)).toEqual([])
  })

  it('never has a part of a stored batch: the rest would have the same key', () => {
    const large = Array.from({ length: 20 }, (_, i) => record(10 + i, { value: Buffer.alloc(100) }))
    const inputs = commits([record(0)], large, [record(30)])
    const outputs = merge(inputs, 500, (offset) => offset !== 10)
    expect(outputs.map(({ bytes }) => offsets(bytes))).toEqual([
      [0],
      large.slice(1).map(({ offset }) => offset),
      [30],
    ])
  })

  it('spans no more offsets than every decoder can read', () => {
    const far = 2 ** 30 - 1
    expect(merge(commits([record(0)], [record(far)]), 65_536)).toHaveLength(1)
    const apart = merge(commits([record(0)], [record(far + 1)]), 65_536)
    expect(apart.map(({ bytes }) => offsets(bytes))).toEqual([[0], [far + 1]])
    // what counts is what stays
    const inputs = commits([record(0), record(5)], [record(far + 3), record(far + 4)])
    expect(merge(inputs, 65_536, (offset) => offset !== 0)).toHaveLength(1)
    expect(merge(inputs, 65_536, (offset) => offset !== 5)).toHaveLength(2)
  })

  it('keeps times that go backwards, also below its first one', () => {
    const times = [5000, 3000, 9000, -7, 2 ** 44]
    const inputs = commits(...times.map((timestamp, offset) => [record(offset, { timestamp })]))
    const [output] = merge(inputs, 65_536)
    expect([...readRecords(output!.bytes)].map(({ timestamp }) => timestamp)).toEqual(times)
    expect(output!.maxTimestamp).toBe(2 ** 44)
  })

  it('does not mix batches whose attributes differ', () => {
    const inputs = commits([record(0)], [record(1)], [record(2)])
    const logAppendTime = inputs[1]!.value
    logAppendTime.writeInt16BE(8, 21)
    const outputs = merge(inputs, 65_536)
    expect(outputs.map(({ bytes }) => bytes.readInt16BE(21))).toEqual([0, 8, 0])
  })
})

describe('a merger', () => {
  it('joins nothing across a cut, and says what it holds open', () => {
    const outputs: MergedBatch[] = []
    const merger = new BatchMerger(65_536, new BatchFilter(), (batch) => outputs.push(batch))
    const [a, b, c] = commits([record(0)], [record(1)], [record(2)])
    expect(merger).toMatchObject({ openBytes: 0, openCommit: -1, nextOffset: 0 })
    merger.cut()
    merger.add(a!.commit, a!.value, all)
    expect(merger).toMatchObject({ openBytes: a!.value.length, openCommit: 10, nextOffset: 1 })
    merger.add(b!.commit, b!.value, all)
    expect(merger.openCommit).toBe(11)
    merger.cut()
    expect(merger.openBytes).toBe(0)
    merger.add(c!.commit, c!.value, all)
    merger.cut()
    expect(outputs.map(({ bytes }) => offsets(bytes))).toEqual([[0, 1], [2]])
  })

  it('gives out at once what is full, and what is larger than a batch is to be', () => {
    const outputs: MergedBatch[] = []
    const merger = new BatchMerger(200, new BatchFilter(), (batch) => outputs.push(batch))
    merger.add(1, batchOf([record(0, { value: Buffer.alloc(300) })]), all)
    expect(outputs).toHaveLength(1)
    merger.add(2, batchOf([record(1), record(2, { value: Buffer.alloc(300) })]), ({ offset }) => offset === 2)
    expect(outputs).toHaveLength(2)
    expect(merger.openBytes).toBe(0)
  })

  it('moves what little or much stays of a batch of megabytes, and small ones after it', () => {
    const large = Buffer.alloc(2_000_000, 1)
    const few = [record(0), record(1, { value: large }), record(2)]
    const many = Array.from({ length: 20_000 }, (_, i) =>
      record(3 + i, { timestamp: i === 1 ? 0 : 1e12 + i, value: Buffer.alloc(60) }),
    )
    const dropped = new Set([1, 3, 20_003])
    const inputs = commits(few, many, [record(20_003), record(20_004)])
    const outputs = merge(inputs, 1000, (offset) => !dropped.has(offset))
    const expected = [...few, ...many, record(20_004)].filter(({ offset }) => !dropped.has(offset)).map(plain)
    expect(outputs.map((output) => output.records)).toEqual([2, 19_999, 1])
    const found = outputs.flatMap(({ bytes }) => plainOf(bytes))
    expect(difference(found, expected)).toBeNull()
  })

  it('takes batches in order alone', () => {
    const merger = new BatchMerger(65_536, new BatchFilter(), () => {})
    merger.add(5, batchOf([record(10)]), () => false)
    expect(() => merger.add(5, batchOf([record(11)]), all)).toThrow(AssertionError)
    expect(() => merger.add(6, batchOf([record(10)]), all)).toThrow(AssertionError)
    merger.add(6, batchOf([record(11)]), all)
  })
})
