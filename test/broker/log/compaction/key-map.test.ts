import { describe, expect, it } from 'vitest'
import { AssertionError } from '../../../../broker/assert.ts'
import { KeyMap } from '../../../../broker/log/compaction/key-map.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'

const put = (map: KeyMap, id: number, key: string, offset: number): boolean => {
  const bytes = Buffer.from(key)
  return map.put(id, bytes, 0, bytes.length, offset)
}
const get = (map: KeyMap, id: number, key: string): number => {
  const bytes = Buffer.from(key)
  return map.get(id, bytes, 0, bytes.length)
}

/** The least a map can have. */
const BYTES_MIN = 8 * 24 * 65

describe('a key map', () => {
  it('knows the newest offset of each key, as a model does, while it grows', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (const bytesMax of [BYTES_MIN, 100_000, 700_001]) {
      const map = new KeyMap(bytesMax)
      const model = new Map<string, number>()
      const keys = Math.ceil(bytesMax / 20)
      let refused = 0
      for (let i = 0; i < keys * 3; i++) {
        const id = random.between(0, 2)
        const key = `${'k'.repeat(random.between(0, 1) * 20)}${random.between(0, keys)}`
        const offset = random.next() < 0.5 ? i : 2 ** 33 + random.between(-i, i)
        const name = `${id}/${key}`
        const known = model.get(name)
        const fits = put(map, id, key, offset)
        if (fits) model.set(name, Math.max(known ?? 0, offset))
        else {
          refused++
          expect(known, `seed ${seed}: a key that is in it always fits`).toBeUndefined()
        }
        const other = `${random.between(0, keys)}`
        if (get(map, 1, other) !== (model.get(`1/${other}`) ?? -1)) {
          expect.fail(`seed ${seed}, step ${i}, key ${other}: ${get(map, 1, other)}`)
        }
      }
      expect(refused, `seed ${seed}`).toBeGreaterThan(0)
      expect(map.size, `seed ${seed}`).toBe(model.size)
      expect(map.bytes).toBeLessThanOrEqual(bytesMax)
      for (const [name, offset] of model) {
        const [id, key] = name.split('/')
        if (get(map, Number(id), key!) !== offset) expect.fail(`seed ${seed}: ${name}`)
      }
    }
  })

  it('has room for 26,000 keys in 1 MB, and begins small', () => {
    const map = new KeyMap(1_000_000, Buffer.alloc(16, 1))
    expect(map.bytes).toBe(8 * 24 * 64)
    let keys = 0
    while (put(map, 0, `key ${keys}`, keys)) keys++
    expect(keys).toBeGreaterThan(26_000)
    expect(map.size).toBe(keys)
    // the keys that are in it still find newer offsets
    expect(put(map, 0, 'key 7', 2 ** 52)).toBe(true)
    expect(get(map, 0, 'key 7')).toBe(2 ** 52)
    expect(get(map, 0, `key ${keys}`)).toBe(-1)
  })

  it('tells partitions apart, and empty keys from none', () => {
    const map = new KeyMap(BYTES_MIN)
    put(map, 0, 'a', 5)
    put(map, 1, 'a', 6)
    put(map, 0, '', 7)
    expect([0, 1, 2].map((id) => get(map, id, 'a'))).toEqual([5, 6, -1])
    expect(get(map, 0, '')).toBe(7)
    expect(get(map, 1, '')).toBe(-1)
    expect(() => map.get(0, Buffer.alloc(1), 0, -1)).toThrow(AssertionError)
  })

  it('keeps the highest offset, in whatever order they come', () => {
    const map = new KeyMap(BYTES_MIN)
    const highest: number[] = []
    for (const offset of [3, 1, 2 ** 32 - 1, 2 ** 32, 7, 2 ** 32 + 1, 2 ** 40, 2 ** 31]) {
      put(map, 0, 'a', offset)
      highest.push(get(map, 0, 'a'))
    }
    expect(highest).toEqual([3, 3, 2 ** 32 - 1, 2 ** 32, 2 ** 32, 2 ** 32 + 1, ...[2 ** 40, 2 ** 40]])
  })

  it('looks at the bytes it is told to', () => {
    const map = new KeyMap(BYTES_MIN)
    const bytes = Buffer.from('xxkeyyy')
    map.put(0, bytes, 2, 3, 9)
    expect(get(map, 0, 'key')).toBe(9)
    expect(get(map, 0, 'keyy')).toBe(-1)
  })

  it('of another secret puts keys elsewhere; one without room for its first tables is refused', () => {
    const one = new KeyMap(BYTES_MIN, Buffer.alloc(16, 1))
    const other = new KeyMap(BYTES_MIN, Buffer.alloc(16, 2))
    const counts = [one, other].map((map) => {
      let keys = 0
      while (put(map, 0, `key ${keys}`, keys)) keys++
      return keys
    })
    expect(counts[0]).not.toBe(counts[1])
    expect(() => new KeyMap(BYTES_MIN - 1)).toThrow(AssertionError)
    expect(() => new KeyMap(BYTES_MIN, Buffer.alloc(15))).toThrow(AssertionError)
  })
})
