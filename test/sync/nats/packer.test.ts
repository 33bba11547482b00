import { describe, expect, it } from 'vitest'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  batchFault,
  crc32c,
  type LogRecord,
  readRecords,
  recordCountOf,
  type StoredBatch,
} from '../../../broker/index.ts'
import { encodeHead } from '../../../sync/nats/format.ts'
import { type Packed, Packer } from '../../../sync/nats/packer.ts'
import { decodeMessage } from '../../../sync/nats/reader.ts'
import { recordProof } from '../../../sync/proof.ts'
import { testSeed } from '../../support/random.ts'
import { MemoryLog, type TestRecord } from '../memory-log.ts'
import { seededRandom, storedBatch, withGaps } from '../stored-batches.ts'

const ORIGIN = { edge: 'e', incarnation: 'i', stream: 'events', partition: 0 }

function packAll(batches: readonly StoredBatch[], bytesMax: number, fromOffset = 0): Packed[] {
  const nextOffset = batches.at(-1)!.nextOffset
  const packer = new Packer({ stream: 'events', partition: 0, fromOffset, nextOffset, batches }, bytesMax)
  const out: Packed[] = []
  for (let packed = packer.next(); packed !== null; packed = packer.next()) {
    out.push({ ...packed, payload: Buffer.from(packed.payload) })
  }
  return out
}

/** As a consumer reads them. */
function read(messages: readonly Packed[]) {
  return messages.flatMap(({ payload, from, next, proof }, i) => {
    const headers = new Map(encodeHead({ origin: ORIGIN, from, next, proof, instance: 'p' }))
    const header = (name: string) => headers.get(name) ?? null
    return decodeMessage({ seq: i + 1, subject: 's', header, payload }).batches.flatMap(({ bytes }) => [
      ...readRecords(bytes),
    ])
  })
}

function recordsOf(batches: readonly StoredBatch[], fromOffset = 0): LogRecord[] {
  return batches.flatMap(({ bytes }) => [...readRecords(bytes)]).filter(({ offset }) => offset >= fromOffset)
}

function logOf(...commits: readonly (readonly TestRecord[])[]): StoredBatch[] {
  const log = new MemoryLog().addStream('events', 1)
  return commits.map((records) => log.append('events', 0, records))
}

const values = (count: number, bytes: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `k${i}`, value: 'x'.repeat(bytes) }))

describe('the packer', () => {
  it('makes one batch of many small ones, and keeps offset, time, key, value and headers of each record', () => {
    const headers = [{ key: 'h', value: Buffer.from('v') }]
    const batches = logOf(
      [{ value: 'a', timestamp: 2000 }],
      [{ value: 'b', timestamp: 1000, headers }],
      [{ key: null, value: null, timestamp: 3000 }],
    )
    const [message, ...more] = packAll(batches, 10_000)
    expect(more).toEqual([])
    expect(recordCountOf(message!.payload)).toBe(3)
    expect(batchFault(message!.payload)).toBeNull()
    expect(message!.payload.length).toBeLessThan(
      batches.reduce((sum, { bytes }) => sum + bytes.length, 0) - 2 * 50,
    )
    expect(read([message!])).toEqual(recordsOf(batches))
    expect(message).toMatchObject({ from: 0, next: 3, records: 3 })
    expect(message!.payload.readBigInt64BE(27)).toBe(2000n)
    expect(message!.payload.readBigInt64BE(35)).toBe(3000n)
  })

  it('does not join what says otherwise of its times', () => {
    const batches = logOf(values(1, 10), values(1, 10), values(1, 10))
    const [, appendTime] = batches as [StoredBatch, StoredBatch, StoredBatch]
    appendTime.bytes.writeInt16BE(8, 21)
    appendTime.bytes.writeUInt32BE(crc32c(appendTime.bytes.subarray(21)), 17)
    const [message] = packAll(batches, 10_000)
    expect(message).toMatchObject({ from: 0, next: 3, records: 3 })
    const headers = new Map(encodeHead({ ...message!, origin: ORIGIN, instance: 'p' }))
    const header = (name: string) => headers.get(name) ?? null
    const found = decodeMessage({ seq: 1, subject: 's', header, payload: message!.payload }).batches
    expect(found.map(({ bytes }) => attributesOf(bytes))).toEqual([0, 8, 0])
  })

  it('leaves a large stored batch as it is, and puts small ones around it', () => {
    const batches = logOf(values(1, 10), values(50, 200), values(2, 10))
    const [message, ...more] = packAll(batches, 100_000)
    expect(more).toEqual([])
    expect(message!.payload.includes(batches[1]!.bytes)).toBe(true)
    expect(read([message!])).toEqual(recordsOf(batches))
  })

  it('begins in the middle of a stored batch when the position is there', () => {
    for (const bytes of [10, 2000]) {
      const batches = logOf(values(10, bytes))
      const messages = packAll(batches, 1_000_000, 7)
      expect(messages).toMatchObject([{ from: 7, next: 10, records: 3 }])
      expect(read(messages)).toEqual(recordsOf(batches, 7))
    }
  })

  it('cuts what is larger than a message between records, and sends a record that is larger alone', () => {
    const batches = logOf(values(30, 300), [{ value: 'y'.repeat(5000) }], values(3, 10))
    const messages = packAll(batches, 1000)
    expect(read(messages)).toEqual(recordsOf(batches))
    const large = messages.filter(({ payload }) => payload.length > 1000)
    expect(large).toMatchObject([{ from: 30, next: 31, records: 1 }])
    for (const [i, { from }] of messages.entries()) expect(from).toBe(messages[i - 1]?.next ?? 0)
  })

  it('keeps the offsets where compaction left gaps, and gives no proof of a record that is gone', () => {
    const [first, second] = logOf(values(3, 10), values(3, 10)) as [StoredBatch, StoredBatch]
    const gappy = storedBatch('events', 0, withGaps(first.bytes, [0, 5, 40]))
    const moved = Buffer.from(second.bytes)
    moved.writeBigInt64BE(100n, 0)
    const batches = [gappy, storedBatch('events', 0, moved)]
    const messages = packAll(batches, 10_000)
    expect(read(messages).map(({ offset }) => offset)).toEqual([0, 5, 40, 100, 101, 102])
    expect(messages.at(-1)!.proof).toBe(recordProof(moved, 102))
    const part = { stream: 'events', partition: 0, fromOffset: 0, nextOffset: 60, batches: [gappy] }
    expect(new Packer(part, 10_000).next()).toMatchObject({ next: 60, proof: null })
  })

  it('moves the position with an empty message where nothing is to be sent', () => {
    const part = { stream: 'events', partition: 0, fromOffset: 5, nextOffset: 90, batches: [] }
    const packer = new Packer(part, 1000)
    const message = packer.next()
    expect(message).toEqual({ payload: Buffer.alloc(0), records: 0, from: 5, next: 90, proof: null })
    expect(packer.next()).toBeNull()
    expect(read([message!])).toEqual([])
  })

  it('gives back any log, cut at any size', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const below = (n: number) => Math.floor(random() * n)
    for (let run = 0; run < 20; run++) {
      const commits = Array.from({ length: 1 + below(12) }, () =>
        Array.from({ length: 1 + below(20) }, () => ({
          key: below(3) === 0 ? null : `k${below(100)}`,
          value: 'v'.repeat(below(below(8) === 0 ? 6000 : 100)),
          timestamp: 1_700_000_000_000 + below(1e6) - 5e5,
        })),
      )
      const batches = logOf(...commits)
      const end = batches.at(-1)!.nextOffset
      const from = below(end)
      const bytesMax = BATCH_HEADER_BYTES + 40 + below(8000)
      const wanted = batches.filter(({ nextOffset }) => nextOffset > from)
      const messages = packAll(wanted, bytesMax, from)
      expect(read(messages), `seed ${seed}, run ${run}`).toEqual(recordsOf(batches, from))
      expect(messages.at(-1)!.next).toBe(end)
      for (const { payload, records, next, proof } of messages) {
        if (records > 1) expect(payload.length).toBeLessThanOrEqual(bytesMax)
        const holder = batches.find((batch) => batch.baseOffset < next && batch.nextOffset >= next)!
        expect(proof).toBe(recordProof(holder.bytes, next - 1))
      }
    }
  })
})
