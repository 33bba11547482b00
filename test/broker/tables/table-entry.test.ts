import { describe, expect, it } from 'vitest'
import {
  BatchBuilder,
  encodeHeaders,
  type RecordHeader,
  readRecords,
} from '../../../broker/log/record-batch.ts'
import { crc32c } from '../../../broker/storage/crc32c.ts'
import { RecordScan } from '../../../broker/tables/record-scan.ts'
import {
  contentOf,
  decodeEntry,
  encodeEntry,
  entryKey,
  entryRange,
  entrySizeOf,
  type RecordSource,
} from '../../../broker/tables/table-entry.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

interface Given {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestamp?: number
  readonly headers?: readonly RecordHeader[]
}

function batchOf(records: readonly Given[], baseOffset: number): Buffer {
  const builder = new BatchBuilder()
  for (const { key, value, timestamp = 1000, headers = [] } of records) {
    builder.append(timestamp, key, value, encodeHeaders(headers))
  }
  return Buffer.from(builder.seal(baseOffset))
}

function scanOf(record: Given, offset: number): RecordScan {
  const scan = new RecordScan(batchOf([record], offset))
  scan.next()
  return scan
}

/** The stored key and value of a record. */
function encoded(scan: RecordScan, source: RecordSource): [Buffer, Buffer] {
  const size = entrySizeOf(scan, source)
  const place = { slab: Buffer.alloc(size + 20, 0xee), from: 7, keyFrom: 0, end: 0 }
  encodeEntry(scan, source, place)
  expect(place.end - place.from, 'the size that was foretold').toBe(size)
  expect(place.slab.subarray(0, 7).every((byte) => byte === 0xee)).toBe(true)
  expect(place.slab.subarray(place.end).every((byte) => byte === 0xee)).toBe(true)
  return [place.slab.subarray(place.keyFrom, place.end), place.slab.subarray(place.from, place.keyFrom)]
}

describe('an entry', () => {
  it('stands on disk as its grammar says', () => {
    const [key, value] = encoded(scanOf({ key: Buffer.from('a'), value: Buffer.from('b') }, 7), {
      partition: 0,
      commit: 3,
    })
    expect(key.toString('hex')).toBe('0161')
    expect(value.subarray(4).toString('hex')).toBe('06000ed00f0062')
    expect(value.readUInt32BE(0)).toBe(crc32c(Buffer.from('06000ed00f00620161', 'hex')))
  })

  it('comes back as it was, whatever its key, value, headers and place', () => {
    const random = seededRandom(testSeed())
    const bytes = (max: number) =>
      Buffer.from(Array.from({ length: random.between(0, max) }, () => random.between(0, 255)))
    for (let i = 0; i < 300; i++) {
      const headers = Array.from({ length: random.between(0, 3) }, (_, n) => ({
        key: `h${n}`,
        value: random.next() < 0.2 ? null : bytes(20),
      }))
      const record = { key: bytes(40), value: bytes(300), timestamp: random.between(0, 2 ** 45), headers }
      const [partition, offset] = [random.between(0, 1023), random.between(0, 2 ** 50)]
      const scan = scanOf(record, offset)
      const commit = random.next() < 0.2 ? undefined : random.between(0, 2 ** 45)
      const [key, value] = encoded(scan, { partition, commit })
      expect(key).toEqual(entryKey(record.key))
      expect(decodeEntry(key, value)).toEqual({
        ...record,
        partition,
        offset,
        content: contentOf(scan, partition),
        ...(commit === undefined ? {} : { commit }),
      })
    }
  })

  it('is refused when a bit of it was flipped, in its key too, and when it is cut', () => {
    const [key, value] = encoded(scanOf({ key: Buffer.from('key'), value: Buffer.from('value') }, 3), {
      partition: 1,
    })
    const flipped = (bytes: Buffer, bit: number) => {
      const copy = Buffer.from(bytes)
      copy[bit >> 3]! ^= 1 << (bit & 7)
      return copy
    }
    for (let bit = 0; bit < value.length * 8; bit++) {
      expect(decodeEntry(key, flipped(value, bit))).toMatch(/CRC/)
    }
    for (let bit = 0; bit < key.length * 8; bit++)
      expect(decodeEntry(flipped(key, bit), value)).toMatch(/CRC/)
    for (let length = 0; length < value.length; length++) {
      expect(decodeEntry(key, value.subarray(0, length))).toMatch(/CRC|too short/)
    }
  })
})

describe('a range of keys', () => {
  const inRange = (key: string, range: Parameters<typeof entryRange>[0]) => {
    const { from, to } = entryRange(range)
    const stored = entryKey(Buffer.from(key, 'latin1'))
    return Buffer.compare(stored, from) >= 0 && Buffer.compare(stored, to) < 0
  }
  const bytes = (text: string) => Buffer.from(text, 'latin1')

  it('of a beginning has all that begin so, whatever follows', () => {
    for (const key of ['a', 'a\x00', 'a\xff\xff\xff']) expect(inRange(key, { prefix: bytes('a') })).toBe(true)
    for (const key of ['', '`\xff', 'b']) expect(inRange(key, { prefix: bytes('a') })).toBe(false)
  })

  it('of the greatest bytes ends where the keys end', () => {
    expect(inRange('\xff\xff', { prefix: bytes('\xff') })).toBe(true)
    expect(inRange('a\xff\x00', { prefix: bytes('a\xff') })).toBe(true)
    expect(inRange('b', { prefix: bytes('a\xff') })).toBe(false)
    expect(inRange('\xfe', { prefix: bytes('\xff') })).toBe(false)
  })

  it('after a key begins at the next possible one, within the beginning', () => {
    expect(inRange('ab', { prefix: bytes('a'), after: bytes('ab') })).toBe(false)
    expect(inRange('ab\x00', { prefix: bytes('a'), after: bytes('ab') })).toBe(true)
    expect(inRange('a', { prefix: bytes('a'), after: bytes('0') })).toBe(true)
    expect(inRange('0a', { prefix: bytes('a'), after: bytes('0') })).toBe(false)
  })

  it('of one key has nothing else', () => {
    expect(inRange('a', { only: bytes('a') })).toBe(true)
    expect(inRange('a\x00', { only: bytes('a') })).toBe(false)
    expect(inRange('', { only: bytes('') })).toBe(true)
  })
})

describe('a walk over a batch', () => {
  it('finds what a decoder finds', () => {
    const random = seededRandom(testSeed())
    for (let round = 0; round < 50; round++) {
      const records = Array.from({ length: random.between(1, 20) }, (_, i) => ({
        key: random.next() < 0.2 ? null : Buffer.from(`key ${i}`.repeat(random.between(1, 30))),
        value: random.next() < 0.2 ? null : Buffer.alloc(random.between(0, 500), i),
        timestamp: random.between(0, 1e6),
        headers: random.next() < 0.5 ? [] : [{ key: 'topic', value: Buffer.from(`t${i}`) }],
      }))
      const batch = batchOf(records, random.between(0, 2 ** 40))
      const scan = new RecordScan(batch)
      const found = []
      while (scan.next()) {
        const { offset, timestamp, key, value, headers } = scan
        found.push({ offset, timestamp, key, value, headers })
        if (key !== null) expect(scan.keyText).toBe(key.toString('latin1'))
      }
      expect(found).toEqual([...readRecords(batch)])
    }
  })

  it('ends with an error where the bytes are no records', () => {
    const batch = batchOf([{ key: Buffer.from('key'), value: Buffer.from('value') }], 0)
    for (const [at, byte] of [
      [61, 0x7f],
      [61, 0x02],
      [65, 0x7e],
    ] as const) {
      const broken = Buffer.from(batch)
      broken[at] = byte
      expect(() => {
        const scan = new RecordScan(broken)
        while (scan.next()) scan.headers
      }, `byte ${at}`).toThrow(RangeError)
    }
  })
})
