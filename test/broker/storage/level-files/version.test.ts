import { describe, expect, it } from 'vitest'
import { internalKeyOf } from '../../../../broker/storage/level-files/internal-key.ts'
import { Version } from '../../../../broker/storage/level-files/version.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'

/** Small numbers are varints of one byte. */
const bytes = (...parts: (number | Buffer)[]) =>
  Buffer.concat(
    parts.map((part) =>
      typeof part === 'number' ? Buffer.of(part) : Buffer.concat([Buffer.of(part.length), part]),
    ),
  )
const key = (name: string) => internalKeyOf(Buffer.from(name), 1, true)
const COMPARATOR = bytes(1, Buffer.from('leveldb.BytewiseComparator'))
/** log 3, next file 9, last sequence 7 */
const BEGINNING = bytes(2, 3, 3, 9, 4, 7)
const added = (level: number, number: number, from: string, to: string) =>
  bytes(7, level, number, 100, key(from), key(to))
const removed = (level: number, number: number) => bytes(6, level, number)

function versionOf(...edits: Buffer[]): Version {
  const version = new Version()
  for (const edit of edits) expect(version.apply(edit)).toBeNull()
  return version
}

const live = (version: Version) => version.live.map(({ level, number }) => `${number}@${level}`).toSorted()

describe('a version', () => {
  it('is what its edits give, one after the other', () => {
    const version = versionOf(
      Buffer.concat([COMPARATOR, BEGINNING]),
      Buffer.concat([added(0, 5, 'a', 'c'), added(0, 6, 'b', 'd')]),
      Buffer.concat([removed(0, 5), removed(0, 6), added(1, 7, 'a', 'd'), bytes(2, 8, 4, 99)]),
    )
    expect(live(version)).toEqual(['7@1'])
    expect(version).toMatchObject({ log: 8, nextFile: 9, lastSequence: 99, fault: null })
    expect(version.live[0]).toMatchObject({ size: 100, smallest: key('a'), largest: key('d') })
    expect([...version.named]).toEqual([5, 6, 7])
    expect([...version.replaced]).toEqual([5, 6])
  })

  it('does not take a table that moves to another level for one that was replaced', () => {
    const version = versionOf(
      BEGINNING,
      added(0, 5, 'a', 'c'),
      Buffer.concat([removed(0, 5), added(1, 5, 'a', 'c')]),
    )
    expect(live(version)).toEqual(['5@1'])
    expect([...version.replaced]).toEqual([])
  })

  it('knows which tables were replaced also where edits before it are lost', () => {
    const version = versionOf(Buffer.concat([removed(1, 5), added(2, 9, 'a', 'c')]))
    expect([...version.replaced]).toEqual([5])
    expect(version.fault).toBe('it lacks a beginning')
  })

  it('is at fault where tables of a level overlap: LevelDB asserts that they do not', () => {
    const overlap = (level: number, from: string) =>
      versionOf(BEGINNING, Buffer.concat([added(level, 6, from, 'f'), added(level, 5, 'a', 'c')])).fault
    expect(overlap(1, 'c')).toBe('tables of level 1 overlap')
    expect(overlap(1, 'd')).toBeNull()
    // those of level 0 may
    expect(overlap(0, 'b')).toBeNull()
  })

  it('takes no edit of another comparator, level, key or field', () => {
    for (const edit of [
      bytes(1, Buffer.from('other')),
      bytes(6, 7, 1),
      bytes(7, 0, 5, 100, Buffer.from('short'), key('a')),
      bytes(8, 1),
      bytes(7, 0, 5),
      Buffer.from('02ffffffffffffffffff01', 'hex'),
    ])
      expect(new Version().apply(edit)).toMatch(/^field \d+ cannot be read$/)
  })

  it('takes any bytes for an edit, or does not', () => {
    const random = seededRandom(testSeed())
    for (let i = 0; i < 3000; i++) {
      const version = new Version()
      version.apply(Buffer.from(Array.from({ length: random.between(0, 60) }, () => random.between(0, 12))))
      void version.fault
    }
  })
})
