import { describe, expect, it } from 'vitest'
import { COMMIT_KEY_BYTES, commitKey, commitOf, idOf, NOTE_ID } from '../../../broker/log/commit-key.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

describe('a commit key', () => {
  it('is commit and partition id, big-endian', () => {
    expect(commitKey(0x1_0000_0203, 0x04050607).toString('hex')).toBe('000000010000020304050607')
    expect(commitKey(1, 0)).toHaveLength(COMMIT_KEY_BYTES)
  })

  it('gives back its commit and its id at the edges of 32 and 53 bits', () => {
    for (const commit of [
      0,
      1,
      2 ** 31,
      2 ** 32 - 1,
      2 ** 32,
      2 ** 32 + 1,
      2 ** 52,
      Number.MAX_SAFE_INTEGER,
    ]) {
      for (const id of [0, 1, 2 ** 31, NOTE_ID - 1, NOTE_ID]) {
        const key = commitKey(commit, id)
        expect([commitOf(key), idOf(key)]).toEqual([commit, id])
      }
    }
  })

  it('sorts by its bytes as commits do, then as ids do, the note last', () => {
    const random = seededRandom(testSeed())
    const pairs = Array.from({ length: 500 }, () => ({
      commit: Math.floor(random.next() * 2 ** random.between(1, 53)),
      id: random.next() < 0.2 ? NOTE_ID : Math.floor(random.next() * 2 ** random.between(1, 32)),
    }))
    const byBytes = pairs.toSorted((a, b) =>
      Buffer.compare(commitKey(a.commit, a.id), commitKey(b.commit, b.id)),
    )
    const byNumber = pairs.toSorted((a, b) => a.commit - b.commit || a.id - b.id)
    expect(byBytes).toEqual(byNumber)
  })
})
