import { createRecordsBatch, Reader, readRecordsBatch } from '@platformatic/kafka'
import { describe, expect, it } from 'vitest'
import { AssertionError } from '../../../broker/assert.ts'
import {
  BatchBuilder,
  baseOffsetOf,
  baseTimestampOf,
  batchBytes,
  batchFault,
  crcOf,
  encodeHeaders,
  maxTimestampOf,
  nextOffsetOf,
  type RecordHeader,
  readRecords,
  recordBytesBound,
  recordCountOf,
} from '../../../broker/log/record-batch.ts'
import { batches as decodeForTests } from '../../support/kafka/batches.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'

interface Sample {
  timestamp: number
  key: Buffer | null
  value: Buffer | null
  headers: RecordHeader[]
}

function build(baseOffset: number, samples: readonly Sample[], builder = new BatchBuilder(64)): Buffer {
  for (const { timestamp, key, value, headers } of samples) {
    builder.append(timestamp, key, value, encodeHeaders(headers))
  }
  const batch = Buffer.from(builder.seal(baseOffset))
  builder.reset()
  return batch
}

const sample = (text: string, more: Partial<Sample> = {}): Sample => ({
  timestamp: 1000,
  key: null,
  value: Buffer.from(text),
  headers: [],
  ...more,
})

/** As text, which compares quickly. */
function plain({ timestamp, key, value, headers }: Sample) {
  const hex = (bytes: Buffer | null) => bytes?.toString('hex') ?? null
  return { timestamp, key: hex(key), value: hex(value), headers: headers.map((h) => [h.key, hex(h.value)]) }
}

function randomSamples(random: Random, spreadMs = 1e10): Sample[] {
  const bytes = (max: number) => Buffer.alloc(random.between(0, max), random.between(0, 255))
  return Array.from({ length: random.between(1, 150) }, () => ({
    timestamp: 1.7e12 + random.between(-spreadMs, spreadMs),
    key: random.next() < 0.3 ? null : bytes(random.next() < 0.5 ? 30 : 300),
    value: random.next() < 0.2 ? null : bytes(random.next() < 0.1 ? 70_000 : 200),
    headers: Array.from({ length: random.next() < 0.3 ? random.between(0, 70) : 0 }, (_, i) => ({
      key: `h${i}é`,
      value: random.next() < 0.3 ? null : bytes(80),
    })),
  }))
}

describe('a record batch', () => {
  it('is byte for byte the example at the top of its file', () => {
    const batch = build(7, [{ timestamp: 1000, key: Buffer.from('a'), value: Buffer.from('b'), headers: [] }])
    const crc = batch.subarray(17, 21).toString('hex')
    expect(batch.toString('hex')).toBe(
      `0000000000000007 0000003a 00000000 02 ${crc} 0000 00000000 00000000000003e8 00000000000003e8
       ffffffffffffffff ffff ffffffff 00000001 10 00 00 00 02 61 02 62 00`.replace(/\s/g, ''),
    )
    expect(batchFault(batch)).toBeNull()
    expect(crcOf(batch)).toBe(batch.readUInt32BE(17))
  })

  it('is read by an independent decoder as what was appended', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const builder = new BatchBuilder(64)
    for (let round = 0; round < 25; round++) {
      const samples = randomSamples(random)
      const baseOffset = random.between(0, 1) === 0 ? round : 2 ** 40 + round
      const bytes = build(baseOffset, samples, builder)
      const theirs = readRecordsBatch(Reader.from(bytes))
      expect(theirs.firstOffset, `seed ${seed}`).toBe(BigInt(baseOffset))
      expect(theirs).toMatchObject({ magic: 2, attributes: 0, lastOffsetDelta: samples.length - 1 })
      expect(theirs).toMatchObject({ producerId: -1n, producerEpoch: -1, firstSequence: -1 })
      expect(theirs.maxTimestamp).toBe(BigInt(Math.max(...samples.map(({ timestamp }) => timestamp))))
      const records = theirs.records.map((record) => ({
        timestamp: Number(theirs.firstTimestamp + record.timestampDelta),
        key: record.key,
        value: record.value,
        headers: record.headers.map(([key, value]) => ({ key: key!.toString(), value })),
      }))
      expect(records.map(plain)).toEqual(samples.map(plain))
      expect(theirs.records.map(({ offsetDelta }) => offsetDelta)).toEqual(samples.map((_, i) => i))
      // a third decoder checks the CRC as well
      expect([...decodeForTests(0, bytes)].flatMap((batch) => batch.records())).toHaveLength(samples.length)
    }
  })

  it('of an independent encoder is read as what was appended there', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let round = 0; round < 25; round++) {
      // its writer is wrong beyond 32 bits: deltas stay below
      const samples = randomSamples(random, 5e8)
      const messages = samples.map(({ timestamp, key, value, headers }) => ({
        topic: 't',
        timestamp: BigInt(timestamp),
        key: key as Buffer,
        value: value as Buffer,
        headers: new Map(headers.map((header) => [Buffer.from(header.key), header.value as Buffer])),
      }))
      const bytes = createRecordsBatch(messages).buffer
      expect(batchFault(bytes), `seed ${seed}`).toBeNull()
      const records = [...readRecords(bytes)].map((record) =>
        plain({ ...record, headers: [...record.headers] }),
      )
      expect(records).toEqual(samples.map(plain))
    }
  })

  it('says its offsets, counts, times and size in its header', () => {
    const batch = build(2 ** 41 + 5, [
      sample('a', { timestamp: 2000 }),
      sample('b', { timestamp: -5 }),
      sample('c', { timestamp: 2 ** 45 }),
    ])
    expect(baseOffsetOf(batch)).toBe(2 ** 41 + 5)
    expect(nextOffsetOf(batch)).toBe(2 ** 41 + 8)
    expect(recordCountOf(batch)).toBe(3)
    expect(batchBytes(batch)).toBe(batch.length)
    expect(baseTimestampOf(batch)).toBe(2000)
    expect(maxTimestampOf(batch)).toBe(2 ** 45)
    expect([...readRecords(batch)].map(({ timestamp }) => timestamp)).toEqual([2000, -5, 2 ** 45])
  })

  it('tells null from empty in key, value and header value', () => {
    const headers = [
      { key: 'null', value: null },
      { key: 'empty', value: Buffer.alloc(0) },
      { key: '', value: Buffer.from('x') },
    ]
    const [first, second] = readRecords(
      build(0, [
        { timestamp: 0, key: null, value: null, headers },
        { timestamp: 0, key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [] },
      ]),
    )
    expect(first).toMatchObject({ key: null, value: null, headers })
    expect(second).toMatchObject({ key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [] })
  })

  it('with any byte after the magic changed is faulty, and so is one of another magic or length', () => {
    const batch = build(3, [sample('first'), sample('second', { key: Buffer.from('k') })])
    for (let at = 16; at < batch.length; at++) {
      for (const bit of [0x01, 0x80]) {
        batch[at]! ^= bit
        expect(batchFault(batch), `byte ${at}`).not.toBeNull()
        batch[at]! ^= bit
      }
    }
    for (let at = 8; at < 12; at++) {
      batch[at]! ^= 1
      expect(batchFault(batch), `length byte ${at}`).not.toBeNull()
      batch[at]! ^= 1
    }
    expect(batchFault(batch)).toBeNull()
    for (let length = 0; length < batch.length; length++) {
      expect(batchFault(batch.subarray(0, length)), `cut at ${length}`).not.toBeNull()
    }
    expect(batchFault(Buffer.concat([batch, Buffer.of(0)]))).not.toBeNull()
  })

  it('of garbage with a right header ends in records or a typed error, and never reads past its end', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const whole = build(0, [sample('first'), sample('second', { headers: [{ key: 'a', value: null }] })])
    for (let i = 0; i < 3000; i++) {
      const damaged = Buffer.from(whole)
      for (let n = random.between(1, 4); n > 0; n--) {
        damaged[random.between(57, damaged.length - 1)] = random.between(0, 255)
      }
      try {
        for (const record of readRecords(damaged)) {
          expect(record.value === null || record.value.length <= damaged.length).toBe(true)
        }
      } catch (error) {
        expect(error, `seed ${seed}, round ${i}`).toBeInstanceOf(RangeError)
      }
    }
  })

  it('that is compressed or a control batch is not read as records', () => {
    const batch = build(0, [sample('a')])
    for (const attributes of [1, 4, 0x20]) {
      batch.writeInt16BE(attributes, 21)
      expect(() => [...readRecords(batch)]).toThrow(AssertionError)
    }
  })
})

describe('a batch builder', () => {
  it('makes the same bytes again after a reset, whatever was in its buffer', () => {
    const builder = new BatchBuilder(16, 512)
    const small = [sample('a'), sample('b')]
    const first = build(0, small, builder)
    build(0, [sample('x'.repeat(5000), { headers: [{ key: 'h', value: Buffer.alloc(900) }] })], builder)
    expect(build(0, small, builder).equals(first)).toBe(true)
    expect(builder.count).toBe(0)
  })

  it('knows its bytes before it is sealed, and a record never takes more than its bound', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const builder = new BatchBuilder()
    for (const { timestamp, key, value, headers } of randomSamples(random)) {
      const section = encodeHeaders(headers)
      const before = builder.bytes
      builder.append(timestamp, key, value, section)
      const bound = recordBytesBound(key?.length ?? 0, value?.length ?? 0, section.length)
      expect(builder.bytes - before, `seed ${seed}`).toBeLessThanOrEqual(bound)
    }
    expect(builder.seal(0)).toHaveLength(builder.bytes)
  })

  it('does not seal an empty batch', () => {
    expect(() => new BatchBuilder().seal(0)).toThrow(AssertionError)
  })
})
