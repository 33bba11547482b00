import { describe, expect, it } from 'vitest'
import { AssertionError } from '../../../../broker/assert.ts'
import { NOTE_ID } from '../../../../broker/log/commit-key.ts'
import {
  EntryRewriter,
  type RewriteOptions,
  type RewrittenEntry,
  type StoredEntry,
} from '../../../../broker/log/compaction/entry-rewriter.ts'
import { storedFault } from '../../../../broker/log/compaction/key-scan.ts'
import { baseOffsetOf, nextOffsetOf, readRecords } from '../../../../broker/log/record-batch.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { batchOf, difference, plain, plainOf, randomEntries, record } from './support.ts'

function setUp(options: Partial<RewriteOptions> = {}) {
  const written: RewrittenEntry[] = []
  const damaged: [StoredEntry, string][] = []
  const rewriter = new EntryRewriter({
    batchBytesMax: 65_536,
    heldBytesMax: 1024 * 1024,
    keep: () => true,
    write: (entry) => written.push(entry),
    damaged: (entry, reason) => {
      damaged.push([entry, reason])
      return false
    },
    ...options,
  })
  return { rewriter, written, damaged }
}

const entry = (commit: number, id: number, ...offsets: number[]): StoredEntry => ({
  commit,
  id,
  value: batchOf(offsets.map((offset) => record(offset))),
})
const note = (commit: number): StoredEntry => ({ commit, id: NOTE_ID, value: Buffer.from('a note') })

/** commit, id, offsets */
const shapes = (written: readonly RewrittenEntry[]) =>
  written.map(({ commit, id, value, batch }) => [
    commit,
    id,
    batch === null ? null : [...readRecords(value)].map(({ offset }) => offset).join(),
  ])

function expectAscending(written: readonly RewrittenEntry[], at: string): void {
  for (let i = 1; i < written.length; i++) {
    const before = written[i - 1]!
    const { commit, id } = written[i]!
    expect(commit > before.commit || (commit === before.commit && id > before.id), at).toBe(true)
  }
}

/** What is written, each key and value copied as a store does. */
function rewritten(entries: Iterable<StoredEntry>, options: Partial<RewriteOptions>): string[] {
  const copies: string[] = []
  const write = ({ commit, id, value, batch }: RewrittenEntry) =>
    copies.push(`${commit} ${id} ${value.toString('hex')} ${batch?.bytes === value}`)
  const { rewriter } = setUp({ ...options, write, damaged: () => true })
  let i = 0
  for (const each of entries) {
    if (i++ % 7 === 3) rewriter.pass(each)
    else rewriter.add(each)
  }
  rewriter.cut()
  return copies
}

/** Each in the same memory, as a scan of files hands them out. */
function* inOneMemory(entries: readonly StoredEntry[]): Generator<StoredEntry> {
  const memory = Buffer.alloc(Math.max(...entries.map(({ value }) => value.length)))
  for (const { commit, id, value } of entries) {
    memory.fill(0xee)
    value.copy(memory)
    yield { commit, id, value: memory.subarray(0, value.length) }
  }
}

describe('rewritten entries', () => {
  it('hold nothing of what they were made from', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let round = 0; round < 60; round++) {
      const entries = randomEntries(random, random.between(1, 5), random.between(1, 80))
      for (const { value } of entries) if (random.next() < 0.05) value[value.length - 1]! ^= 1
      const share = [0.5, 1][round % 2]!
      const kept = new Map<string, boolean>()
      const options = {
        batchBytesMax: [300, 3000, 65_536][random.between(0, 2)]!,
        heldBytesMax: [1, 20_000, 1e9][random.between(0, 2)]!,
        keep: ({ offset }: { offset: number }, { id }: StoredEntry) => {
          const name = `${id}/${offset}`
          if (!kept.has(name)) kept.set(name, random.next() < share)
          return kept.get(name)!
        },
      }
      const expected = rewritten(entries, options)
      expect(rewritten(inOneMemory(entries), options), `seed ${seed}, round ${round}`).toEqual(expected)
    }
  })

  it('have what stays of each partition, in order, under ascending keys and in bounded memory', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let round = 0; round < 40; round++) {
      const at = `seed ${seed}, round ${round}`
      const entries = randomEntries(random, random.between(1, 6), random.between(1, 120))
      const keptShare = [0, 0.2, 0.9, 1][round % 4]!
      const heldBytesMax = [1, 20_000, 200_000, 1e9][random.between(0, 3)]!
      const kept = new Map<string, boolean>()
      const expected = new Map<number, string[]>()
      const bad = new Set<StoredEntry>()
      for (const each of entries) {
        const isBad = random.next() < 0.05
        for (const one of readRecords(each.value)) {
          const stays = random.next() < keptShare
          kept.set(`${each.id}/${one.offset}`, stays)
          if (stays && !isBad) expected.set(each.id, [...(expected.get(each.id) ?? []), plain(one)])
        }
        if (!isBad) continue
        bad.add(each)
        each.value[each.value.length - 1]! ^= 1
      }
      const { rewriter, written, damaged } = setUp({
        batchBytesMax: [300, 65_536][random.between(0, 1)]!,
        heldBytesMax,
        keep: ({ offset }, { id }) => kept.get(`${id}/${offset}`)!,
      })
      /** Keys after which all was cut. */
      const cuts: number[] = []
      const notes: number[] = []
      for (const [i, each] of entries.entries()) {
        rewriter.add(each)
        expect(rewriter.heldBytes, at).toBeLessThanOrEqual(heldBytesMax)
        if (entries[i + 1]?.commit === each.commit) continue
        if (random.next() < 0.1) {
          rewriter.pass(note(each.commit))
          notes.push(each.commit)
        }
        if (random.next() > 0.05) continue
        rewriter.cut()
        expect(rewriter.heldBytes, at).toBe(0)
        cuts.push(each.commit)
      }
      rewriter.cut()
      expect(rewriter.heldBytes, at).toBe(0)

      expectAscending(written, at)
      expect(damaged.map(([each]) => each).every((each) => bad.has(each))).toBe(true)
      expect(damaged).toHaveLength(bad.size)
      const passed = written.filter(({ batch }) => batch === null)
      expect(
        passed.map(({ commit }) => commit),
        at,
      ).toEqual(notes)
      const batches = written.filter(({ batch }) => batch !== null)
      for (const id of new Set(entries.map((each) => each.id))) {
        const found = batches.filter((each) => each.id === id).flatMap(({ value }) => plainOf(value))
        expect(difference(found, expected.get(id) ?? []), at).toBeNull()
      }
      for (const { commit, id, value, batch } of batches) {
        expect(storedFault(value), at).toBeNull()
        expect(batch!.bytes === value && batch!.commit === commit, at).toBe(true)
        const from = baseOffsetOf(value)
        const to = nextOffsetOf(value)
        const first = entries.find((each) => each.id === id && nextOffsetOf(each.value) > from)!
        expect(
          cuts.some((cut) => first.commit <= cut && commit > cut),
          `${at}: over a cut`,
        ).toBe(false)
        for (const each of bad) {
          const isOver = each.id === id && baseOffsetOf(each.value) < to && nextOffsetOf(each.value) > from
          expect(isOver, `${at}: over a damaged batch`).toBe(false)
        }
      }
      const whole = entries.filter((each) => !bad.has(each))
      expect(rewriter.counts, at).toEqual({
        batchesRead: entries.length,
        batchesWritten: batches.length,
        recordsRead: whole.reduce((sum, { value }) => sum + [...readRecords(value)].length, 0),
        recordsWritten: [...expected.values()].flat().length,
        bytesRead: entries.reduce((sum, { value }) => sum + value.length, 0),
        bytesWritten: batches.reduce((sum, { value }) => sum + value.length, 0),
      })
    }
  })

  it('wait for an open output that may come to stand before them', () => {
    const { rewriter, written } = setUp({ batchBytesMax: 160 })
    rewriter.add(entry(1, 7, 0))
    // three batches fill an output
    for (let commit = 1; commit < 9; commit++)
      rewriter.add(entry(commit, 8, 100 + commit * 2, 101 + commit * 2))
    expect(written).toEqual([])
    expect(rewriter.heldBytes).toBeGreaterThan(0)
    rewriter.add(entry(20, 7, 1))
    expect(shapes(written)).toEqual([
      [3, 8, '102,103,104,105,106,107'],
      [6, 8, '108,109,110,111,112,113'],
    ])
    rewriter.cut()
    expect(shapes(written).slice(2)).toEqual([
      [8, 8, '114,115,116,117'],
      [20, 7, '0,1'],
    ])
  })

  it('of the partition that got nothing for the longest time are ended when memory is full', () => {
    const { rewriter, written } = setUp({ heldBytesMax: 300 })
    rewriter.add(entry(1, 1, 0))
    rewriter.add(entry(1, 2, 0))
    rewriter.add(entry(2, 3, 0))
    rewriter.add(entry(3, 1, 1))
    expect(shapes(written)[0]).toEqual([1, 2, '0'])
  })

  it('join no batches on two sides of a damaged one, of one that overlaps, or of one that was passed', () => {
    const { rewriter, written, damaged } = setUp()
    const torn = entry(2, 0, 1)
    torn.value[70]! ^= 1
    rewriter.add(entry(1, 0, 0))
    rewriter.add(torn)
    rewriter.add(entry(3, 0, 2))
    rewriter.add(entry(4, 0, 2, 3))
    rewriter.add(entry(5, 0, 4))
    rewriter.pass(entry(6, 0, 5))
    rewriter.add(entry(7, 0, 6))
    rewriter.add(entry(8, 0, 7))
    rewriter.cut()
    expect(shapes(written)).toEqual([
      [1, 0, '0'],
      [3, 0, '2'],
      [5, 0, '4'],
      [6, 0, null],
      [8, 0, '6,7'],
    ])
    expect(damaged.map(([{ commit }, reason]) => [commit, reason])).toEqual([
      [2, expect.stringMatching(/CRC/)],
      [4, 'the batch begins at offset 2, the one before it reaches 2'],
    ])
  })

  it('stand among damaged ones that are to stay, in the order of keys', () => {
    const { rewriter, written } = setUp({ damaged: () => true })
    const torn = entry(2, 1, 1)
    torn.value[70]! ^= 1
    rewriter.add(entry(1, 0, 0))
    rewriter.add(entry(1, 1, 0))
    rewriter.add(torn)
    rewriter.add(entry(3, 0, 1))
    rewriter.add(entry(3, 1, 2))
    rewriter.cut()
    expect(written.map(({ commit, id, batch }) => [commit, id, batch?.records ?? 'as it is'])).toEqual([
      [1, 1, 1],
      [2, 1, 'as it is'],
      [3, 0, 2],
      [3, 1, 1],
    ])
    expect(written[1]!.value).toEqual(torn.value)
  })

  it('join nothing over a cut of their partition, others go on', () => {
    const { rewriter, written } = setUp()
    rewriter.add(entry(1, 0, 0))
    rewriter.add(entry(1, 1, 0))
    rewriter.cutPartition(0)
    rewriter.cutPartition(5)
    rewriter.add(entry(2, 0, 1))
    rewriter.add(entry(2, 1, 1))
    rewriter.cut()
    expect(shapes(written)).toEqual([
      [1, 0, '0'],
      [2, 0, '1'],
      [2, 1, '0,1'],
    ])
  })
})

describe('a rewriter', () => {
  it('takes entries in key order alone, and no note as a batch', () => {
    const { rewriter } = setUp()
    rewriter.add(entry(5, 1, 0))
    expect(() => rewriter.add(entry(5, 1, 1))).toThrow(AssertionError)
    expect(() => rewriter.add(entry(5, 0, 1))).toThrow(AssertionError)
    expect(() => rewriter.pass(note(4))).toThrow(AssertionError)
    expect(() => rewriter.add(note(6))).toThrow(AssertionError)
  })
})
