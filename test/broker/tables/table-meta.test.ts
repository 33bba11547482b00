import { describe, expect, it } from 'vitest'
import { murmur2 } from '../../../broker/log/murmur2.ts'
import type { Store } from '../../../broker/storage/store.ts'
import { KeySample } from '../../../broker/tables/key-sample.ts'
import { decodeMeta, emptyMeta, encodeMeta, type TableMeta } from '../../../broker/tables/table-meta.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'

describe('the positions of a table', () => {
  it('come back as they were', () => {
    const meta: TableMeta = {
      ...emptyMeta('0f3c7c1e-0000-4000-8000-000000000001', 3),
      next: [0, 17, 2 ** 50],
      swept: [0, 3, 2 ** 49],
      cleaned: [1, 0, 2 ** 48],
      holes: 7,
      unkeyed: 5,
      misplaced: 2 ** 40,
    }
    const { keys, ...rest } = meta
    expect(decodeMeta(encodeMeta(meta))).toEqual({ ...rest, shift: keys.shift })
  })

  it('are refused when a bit was flipped, when they are cut, and when they are of another format', () => {
    const value = encodeMeta(emptyMeta('incarnation', 2))
    for (let bit = 0; bit < value.length * 8; bit++) {
      const copy = Buffer.from(value)
      copy[bit >> 3]! ^= 1 << (bit & 7)
      expect(decodeMeta(copy)).toMatch(/CRC/)
    }
    for (let length = 0; length < value.length; length++) {
      expect(typeof decodeMeta(value.subarray(0, length))).toBe('string')
    }
  })
})

describe('the number of keys', () => {
  async function sampleOf(keys: number): Promise<{ sample: KeySample; store: Store }> {
    const store = await new MemoryDisk().openStore('/store', { writeBufferBytes: 1, createIfMissing: true })
    const sample = new KeySample()
    const batch = store.batch()
    for (let i = 0; i < keys; i++) sample.put(murmur2(Buffer.from(`key ${i}`)), batch)
    await batch.write({ sync: true })
    return { sample, store }
  }

  it('is exact while they are few, whatever comes again and goes', async () => {
    const { sample, store } = await sampleOf(5000)
    const batch = store.batch()
    for (let i = 0; i < 5000; i++) sample.put(murmur2(Buffer.from(`key ${i}`)), batch)
    expect(sample.estimate).toBe(5000)
    for (let i = 0; i < 4999; i++) sample.delete(murmur2(Buffer.from(`key ${i}`)), batch)
    sample.delete(murmur2(Buffer.from('never there')), batch)
    expect(sample.estimate).toBe(1)
  })

  it('is about right when they are many, and stays so when most of them go', async () => {
    const { sample, store } = await sampleOf(300_000)
    expect(Math.abs(sample.estimate / 300_000 - 1)).toBeLessThan(0.06)
    const batch = store.batch()
    for (let i = 0; i < 200_000; i++) sample.delete(murmur2(Buffer.from(`key ${i}`)), batch)
    expect(Math.abs(sample.estimate / 100_000 - 1)).toBeLessThan(0.1)
  })

  it('comes back from disk as it was', async () => {
    const { sample, store } = await sampleOf(50_000)
    const read = await KeySample.read(store, sample.shift)
    expect(read.estimate).toBe(sample.estimate)
    expect(read.shift).toBeGreaterThan(0)
  })
})
