import { describe, expect, it } from 'vitest'
import {
  BatchBuilder,
  batchFault,
  encodeHeaders,
  type LogRecord,
  type RecordHeader,
  readRecords,
} from '../../broker/index.ts'
import { originPrefix } from '../../sync/origin-header.ts'
import { nextSequence, SpliceBuffer, Splicer, type Stamp } from '../../sync/splice.ts'
import type { RoundPart } from '../../sync/upstream.ts'
import { testSeed } from '../support/random.ts'
import { seededRandom, storedBatch, withGaps } from './stored-batches.ts'

const STAMP: Stamp = { producerId: 4711n, producerEpoch: 3, transactional: true }
const IDENTITY = { edge: 'pi-7', incarnation: '0a1b2c3d-0000-4000-8000-000000000000' }
const ORIGIN = originPrefix(IDENTITY, 'events', 2)

function part(batches: Buffer[], fromOffset?: number): RoundPart {
  const stored = batches.map((bytes) => storedBatch('events', 2, bytes))
  const from = fromOffset ?? stored[0]!.baseOffset
  return {
    stream: 'events',
    partition: 2,
    fromOffset: from,
    nextOffset: stored.at(-1)!.nextOffset,
    batches: stored,
  }
}

interface Out {
  offset: number
  timestamp: number
  key: string | null
  value: string | null
  headers: [string, string | null][]
}

function plain(record: LogRecord): Out {
  return {
    offset: record.offset,
    timestamp: record.timestamp,
    key: record.key?.toString('hex') ?? null,
    value: record.value?.toString('hex') ?? null,
    headers: record.headers.map((h) => [h.key, h.value?.toString('latin1') ?? null]),
  }
}

/** Splices a part to its end, checks what Kafka checks, and gives the records with the edge's offsets. */
function spliceAll(
  input: RoundPart,
  origin: string | null,
  bytesMax = 1_000_000,
  buffer = new SpliceBuffer(),
) {
  const splicer = new Splicer([{ part: input, origin }])
  const records: Out[] = []
  const batches: Buffer[] = []
  let sequence = 0
  let next = input.fromOffset
  for (;;) {
    const spliced = splicer.next(buffer, STAMP, sequence, bytesMax)
    if (spliced === null) break
    batches.push(Buffer.from(spliced.bytes))
    expect(spliced.bytes.length <= bytesMax || spliced.records === 1).toBe(true)
    expect(spliced.firstPart).toBe(input)
    expect(spliced.firstOffset).toBeGreaterThanOrEqual(next)
    next = spliced.firstOffset + 1
    sequence = nextSequence(sequence, spliced.records)
  }
  let expectedSequence = 0
  for (const batch of batches) {
    expect(batchFault(batch)).toBeNull()
    expect(batch.readBigInt64BE(0)).toBe(0n)
    expect(batch.readInt16BE(21)).toBe(0x10)
    expect(batch.readBigInt64BE(43)).toBe(STAMP.producerId)
    expect(batch.readInt16BE(51)).toBe(STAMP.producerEpoch)
    expect(batch.readInt32BE(53)).toBe(expectedSequence)
    const count = batch.readInt32BE(57)
    expect(batch.readInt32BE(23)).toBe(count - 1)
    expectedSequence += count
    const decoded = [...readRecords(Buffer.from(batch).fill(0, 21, 23))]
    expect(decoded.map((r) => r.offset)).toEqual(decoded.map((_, i) => i))
    expect(Number(batch.readBigInt64BE(35))).toBe(Math.max(...decoded.map((r) => r.timestamp)))
    for (const record of decoded) records.push(plain(record))
  }
  return { records, batches, next }
}

/** What the stored batches hold from `fromOffset` on, with the provenance header where it is asked for. */
function expected(input: RoundPart, origin: string | null): Out[] {
  const out: Out[] = []
  for (const stored of input.batches) {
    for (const record of readRecords(stored.bytes)) {
      if (record.offset < input.fromOffset) continue
      const item = plain(record)
      if (origin !== null) item.headers.push(['hw.origin', `${origin}${record.offset}`])
      out.push(item)
    }
  }
  return out
}

function withoutOffsets(records: Out[]) {
  return records.map(({ offset: _, ...rest }) => rest)
}

function check(input: RoundPart, origin: string | null, bytesMax?: number, buffer?: SpliceBuffer) {
  const { records, batches } = spliceAll(input, origin, bytesMax, buffer)
  expect(withoutOffsets(records)).toEqual(withoutOffsets(expected(input, origin)))
  return batches
}

function build(
  baseOffset: number,
  records: { at?: number; key?: Buffer | null; value?: Buffer | null; headers?: RecordHeader[] }[],
): Buffer {
  const builder = new BatchBuilder()
  for (const r of records) {
    builder.append(r.at ?? 1_700_000_000_000, r.key ?? null, r.value ?? null, encodeHeaders(r.headers ?? []))
  }
  return Buffer.from(builder.seal(baseOffset))
}

const value = (text: string) => ({ value: Buffer.from(text) })

describe('splicing stored batches', () => {
  it('makes one batch of many and keeps order, keys, values, timestamps and headers', () => {
    const batches = check(
      part([
        build(5, [value('a'), { key: Buffer.from('k'), value: Buffer.from('b'), at: 1_700_000_000_500 }]),
        build(7, [{ headers: [{ key: 'x', value: null }], at: 1_699_999_999_000 }]),
        build(8, [{ key: Buffer.alloc(0), value: Buffer.alloc(0) }]),
      ]),
      ORIGIN,
    )
    expect(batches).toHaveLength(1)
  })

  it('skips the records below the position, in the first batch and whole batches', () => {
    const batches = [build(0, [value('a'), value('b')]), build(2, [value('c'), value('d'), value('e')])]
    for (const origin of [ORIGIN, null]) {
      check(part(batches, 1), origin)
      check(part(batches, 2), origin)
      check(part(batches, 4), origin)
      expect(spliceAll(part(batches, 5), origin).records).toEqual([])
    }
  })

  it('sends dense offset deltas for stored batches with gaps, and names the edge offsets', () => {
    const gappy = withGaps(build(10, [value('a'), value('b'), value('c'), value('d')]), [0, 3, 4, 9])
    const input = part([gappy, build(20, [value('e')])])
    check(input, ORIGIN)
    check(input, null)
    const origins = spliceAll(input, ORIGIN).records.map((r) => r.headers.at(-1)![1])
    expect(origins).toEqual([10, 13, 14, 19, 20].map((offset) => `pi-7/0a1b2c3d/events/2/${offset}`))
  })

  it('counts the provenance digits up across every carry', () => {
    for (const from of [0, 7, 95, 998, 9_999_990, 2 ** 32 - 3, Number.MAX_SAFE_INTEGER - 20]) {
      check(
        part([
          build(
            from,
            Array.from({ length: 15 }, () => value('v')),
          ),
        ]),
        ORIGIN,
      )
    }
  })

  it('patches the header alone when nothing inside changes', () => {
    const stored = build(3, [value('a'), value('b')])
    const [batch] = check(part([stored]), null)
    expect(batch!.subarray(57)).toEqual(stored.subarray(57))
  })

  it('adds to headers at the point where their count takes a byte more', () => {
    for (const count of [61, 62, 63, 64, 200]) {
      const headers = Array.from({ length: count }, (_, i) => ({ key: `h${i}`, value: Buffer.from('v') }))
      check(part([build(0, [{ headers, value: Buffer.from('x') }, { headers }])]), ORIGIN)
    }
  })

  it('cuts a part into batches of at most the limit, and lets a larger record through alone', () => {
    const many = Array.from({ length: 300 }, (_, i) => value(`v${i}`.repeat(i % 7)))
    for (const bytesMax of [200, 500, 4000]) {
      expect(check(part([build(0, many), build(300, many)]), ORIGIN, bytesMax).length).toBeGreaterThan(2)
      check(part([build(0, many), build(300, many)], 150), null, bytesMax)
    }
    const large = [value('a'), { value: Buffer.alloc(5000) }, value('b')]
    expect(check(part([build(0, large)]), ORIGIN, 1000)).toHaveLength(3)
  })

  it('grows its buffer in the middle of a batch', () => {
    const buffer = new SpliceBuffer(1)
    const big = Array.from({ length: 40 }, (_, i) => ({ value: Buffer.alloc(3000, i) }))
    check(part([build(0, [value('a')]), build(1, big), build(41, big)]), ORIGIN, 1_000_000, buffer)
  })

  it('keeps earlier batches of the same request when the buffer is replaced', () => {
    const buffer = new SpliceBuffer(1)
    const first = new Splicer([{ part: part([build(0, [value('first')])]), origin: ORIGIN }]).next(
      buffer,
      STAMP,
      0,
      1e6,
    )!
    const copy = Buffer.from(first.bytes)
    const big = Array.from({ length: 40 }, () => ({ value: Buffer.alloc(3000) }))
    new Splicer([{ part: part([build(0, big)]), origin: ORIGIN }]).next(buffer, STAMP, 0, 1e6)
    expect(first.bytes.equals(copy)).toBe(true)
  })

  it('puts many parts into one buffer, patched and spliced ones in turn, at any size of it', () => {
    const parts = Array.from({ length: 12 }, (_, i) =>
      part(
        i % 3 === 2
          ? [build(0, [value(`${i}`)]), build(1, [value('x')])]
          : [build(0, [{ value: Buffer.alloc(700 * i, i) }])],
      ),
    )
    for (const size of [1, 3000, 20_000]) {
      const buffer = new SpliceBuffer(size)
      const out = parts.map(
        (p) => new Splicer([{ part: p, origin: null }]).next(buffer, STAMP, 0, 1e6)!.bytes,
      )
      for (const [i, batch] of out.entries()) {
        expect(batchFault(batch)).toBeNull()
        const values = [...readRecords(Buffer.from(batch).fill(0, 21, 23))].map((r) => r.value!)
        const wanted = parts[i]!.batches.flatMap((b) => [...readRecords(b.bytes)].map((r) => r.value!))
        expect(values).toEqual(wanted)
      }
    }
  })

  it('wraps sequences after 2^31 - 1 to 0, as Kafka does', () => {
    expect(nextSequence(2 ** 31 - 1, 1)).toBe(0)
    expect(nextSequence(2 ** 31 - 3, 5)).toBe(2)
    expect(nextSequence(0, 2 ** 31 - 1)).toBe(2 ** 31 - 1)
  })

  it('refuses a batch whose record runs past its end', () => {
    const stored = build(0, [value('abcdef')])
    stored[61] = 0x7e
    expect(() => spliceAll(part([stored]), ORIGIN)).toThrow(RangeError)
  })

  it('round-trips random batches, positions, gaps and limits', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const pick = (n: number) => Math.floor(random() * n)
    const buffer = new SpliceBuffer(2048)
    for (let round = 0; round < 300; round++) {
      buffer.reset()
      let offset = pick(2) === 0 ? pick(200) : pick(2 ** 40)
      const first = offset
      const batches: Buffer[] = []
      for (let b = 0; b <= pick(6); b++) {
        const records = Array.from({ length: 1 + pick(30) }, () => ({
          at: 1_700_000_000_000 + pick(10_000_000) - 5_000_000,
          key: pick(3) === 0 ? null : Buffer.alloc(pick(90), pick(256)),
          value: pick(5) === 0 ? null : Buffer.alloc(pick(pick(10) === 0 ? 9000 : 300), pick(256)),
          headers: Array.from({ length: pick(4) === 0 ? pick(5) : 0 }, (_, i) => ({
            key: `h${i}`.repeat(pick(4)),
            value: pick(3) === 0 ? null : Buffer.alloc(pick(70), 65),
          })),
        }))
        let batch = build(offset, records)
        if (pick(3) === 0) {
          let at = 0
          batch = withGaps(
            batch,
            records.map(() => {
              at += 1 + (pick(4) === 0 ? pick(500) : 0)
              return at - 1
            }),
          )
        }
        batches.push(batch)
        offset = storedBatch('events', 2, batch).nextOffset + (pick(5) === 0 ? pick(100) : 0)
      }
      const input = part(batches, pick(2) === 0 ? first : first + pick(offset - first))
      try {
        check(input, pick(3) === 0 ? null : ORIGIN, 200 + pick(pick(2) === 0 ? 3000 : 100_000), buffer)
      } catch (error) {
        throw new Error(`seed ${seed}, round ${round}`, { cause: error })
      }
    }
  })
})
