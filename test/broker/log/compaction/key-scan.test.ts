import { describe, expect, it } from 'vitest'
import { scanRecords, storedFault } from '../../../../broker/log/compaction/key-scan.ts'
import { readRecords, writeHeader } from '../../../../broker/log/record-batch.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { batchOf, randomRecords, record } from './support.ts'

/** The batch under a right CRC again. */
function sealed(batch: Buffer, records: number, lastOffsetDelta: number): Buffer {
  const header = { baseOffset: 0, lastOffsetDelta, baseTimestamp: 0, maxTimestamp: 0, records, attributes: 0 }
  writeHeader(batch, header)
  return batch
}

describe('a scan of records', () => {
  it('gives what decoding them gives, and where they stand', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let round = 0; round < 50; round++) {
      const from = round % 2 === 0 ? round : 2 ** 45
      const batch = batchOf(randomRecords(random, from, random.between(1, 100)))
      expect(storedFault(batch)).toBeNull()
      const expected = [...readRecords(batch)]
      let end = 61
      let i = 0
      scanRecords(batch, (scanned) => {
        const { offset, timestamp, key, value } = expected[i++]!
        expect(scanned, `seed ${seed}`).toMatchObject({
          offset,
          timestamp,
          keyBytes: key?.length ?? -1,
          isTombstone: value === null,
          start: end,
        })
        if (key !== null) {
          const found = batch.subarray(scanned.keyAt, scanned.keyAt + scanned.keyBytes)
          expect(found.equals(key), `seed ${seed}`).toBe(true)
        }
        end = scanned.end
      })
      expect(i).toBe(expected.length)
      expect(end).toBe(batch.length)
    }
  })

  it('tells no key and an empty key apart, and no value and an empty value', () => {
    const seen: (number | boolean)[][] = []
    const empty = Buffer.alloc(0)
    const batch = batchOf([record(0, { key: null, value: empty }), record(1, { key: empty, value: null })])
    scanRecords(batch, ({ keyBytes, isTombstone }) => seen.push([keyBytes, isTombstone]))
    expect(seen).toEqual([
      [-1, false],
      [0, true],
    ])
  })
})

describe('a stored batch', () => {
  it('with a wrong CRC, or compressed, or a control batch has a fault', () => {
    const batch = batchOf([record(0)])
    batch[batch.length - 1]! ^= 1
    expect(storedFault(batch)).toMatch(/CRC/)
    for (const attributes of [1, 4, 0x20]) {
      const other = batchOf([record(0)])
      writeHeader(other, {
        ...{ baseOffset: 0, lastOffsetDelta: 0, baseTimestamp: 0, maxTimestamp: 0, records: 1 },
        attributes,
      })
      expect(storedFault(other)).toMatch(/compressed or a control batch/)
    }
  })

  it('whose records are not what it says has a fault, its CRC right', () => {
    const two = () => batchOf([record(0), record(1)])
    expect(storedFault(sealed(two(), 2, 1))).toBeNull()
    expect(storedFault(sealed(two(), 1, 1))).toBe('the records do not fill their batch')
    expect(storedFault(sealed(two(), 3, 1))).toMatch(/varint|past/)
    expect(storedFault(sealed(two(), 2, 0))).toBe('an offset is out of order')
    expect(storedFault(sealed(Buffer.concat([two(), Buffer.of(0)]), 2, 1))).toBe(
      'the records do not fill their batch',
    )
    const length = two()
    length[61]! += 100
    expect(storedFault(sealed(length, 2, 1))).toBe('a record runs past its batch')
    const key = two()
    key[65] = 126
    expect(storedFault(sealed(key, 2, 1))).toBe('a field runs past its record')
    const value = two()
    value[68] = 126
    expect(storedFault(sealed(value, 2, 1))).toBe('a field runs past its record')
    const one = batchOf([record(0)])
    one[61]! -= 2 // zigzag
    const headless = one.subarray(0, one.length - 1)
    expect(storedFault(sealed(headless, 1, 0))).toBe('a field runs past its record')
    const offsets = two()
    offsets[offsets.length - 8] = 0
    expect(storedFault(sealed(offsets, 2, 1))).toBe('an offset is out of order')
  })

  it('of garbage under a right CRC has a fault, or is read to its end', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    let faults = 0
    for (let round = 0; round < 3000; round++) {
      const batch = batchOf(randomRecords(random, 0, 3))
      for (let n = random.between(1, 3); n > 0; n--) {
        batch[random.between(61, batch.length - 1)] = random.between(0, 255)
      }
      sealed(batch, 3, 2 ** 31 - 1)
      const fault = storedFault(batch)
      if (fault !== null) faults++
      else {
        let last = 0
        scanRecords(batch, ({ keyAt, keyBytes, end }) => {
          expect(keyAt + keyBytes, `seed ${seed}, round ${round}`).toBeLessThan(end)
          last = end
        })
        expect(last).toBe(batch.length)
      }
    }
    expect(faults).toBeGreaterThan(0)
  })
})
