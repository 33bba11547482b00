/** Stored batches for the tests of compaction, also such as compaction itself left behind, and records as text. */
import {
  BATCH_HEADER_BYTES,
  encodeHeaders,
  type LogRecord,
  type RecordHeader,
  readRecords,
  writeHeader,
} from '../../../../broker/log/record-batch.ts'
import { varintSize, writeVarint } from '../../../../broker/log/varint.ts'
import type { Random } from '../../../support/random.ts'

/** One batch of records whose offsets need not be dense. */
export function batchOf(records: readonly LogRecord[]): Buffer {
  const baseOffset = records[0]!.offset
  const baseTimestamp = records[0]!.timestamp
  const parts = records.map(({ offset, timestamp, key, value, headers }) => {
    const fields = [
      ...[timestamp - baseTimestamp, offset - baseOffset].map(varint),
      ...[key, value].flatMap((field) => (field === null ? [varint(-1)] : [varint(field.length), field])),
      encodeHeaders(headers),
    ]
    const body = Buffer.concat([Buffer.of(0), ...fields])
    return Buffer.concat([varint(body.length), body])
  })
  const batch = Buffer.concat([Buffer.alloc(BATCH_HEADER_BYTES), ...parts])
  writeHeader(batch, {
    baseOffset,
    lastOffsetDelta: records.at(-1)!.offset - baseOffset,
    baseTimestamp,
    maxTimestamp: Math.max(...records.map(({ timestamp }) => timestamp)),
    records: records.length,
    attributes: 0,
  })
  return batch
}

function varint(value: number): Buffer {
  const bytes = Buffer.alloc(varintSize(value))
  writeVarint(bytes, 0, value)
  return bytes
}

export const record = (offset: number, more: Partial<LogRecord> = {}): LogRecord => ({
  offset,
  timestamp: 1000,
  key: Buffer.from(`k${offset}`),
  value: Buffer.from(`v${offset}`),
  headers: [],
  ...more,
})

/** As text, which compares quickly. */
export function plain({ offset, timestamp, key, value, headers }: LogRecord): string {
  const hex = (bytes: Buffer | null) => bytes?.toString('base64') ?? null
  return JSON.stringify([offset, timestamp, hex(key), hex(value), headers.map((h) => [h.key, hex(h.value)])])
}

export const plainOf = (batch: Buffer): string[] => [...readRecords(batch)].map(plain)

/** null when both are the same; the first place that is not, otherwise: two whole logs side by side help nobody. */
export function difference(found: readonly string[], expected: readonly string[]): string | null {
  for (let i = 0; i < Math.max(found.length, expected.length); i++) {
    if (found[i] !== expected[i]) return `${i}: ${found[i]} and not ${expected[i]}`
  }
  return null
}

export interface StoredEntry {
  readonly commit: number
  readonly id: number
  readonly value: Buffer
}

/** Steps of an offset: mostly none, at times one at which its varint grows, at times one that fits no other batch's deltas. */
const STEPS = [1, 1, 1, 1, 1, 1, 2, 62, 63, 64, 65, 8190, 8191, 8192, 8193, 1048576, 134217728, 2 ** 30]

export function randomRecords(random: Random, fromOffset: number, count: number): LogRecord[] {
  const bytes = (max: number) => Buffer.alloc(random.between(0, max), random.between(0, 255))
  const hasGaps = random.next() < 0.3
  const spreadMs = [0, 100, 1e5, 1e10, 2 ** 44][random.between(0, 4)]!
  const start = fromOffset
  let offset = fromOffset - 1
  const records: LogRecord[] = []
  for (let i = 0; i < count; i++) {
    const step = hasGaps ? STEPS[random.between(0, STEPS.length - 1)]! : 1
    // beyond that, other decoders are wrong
    offset += offset + step - start < 2 ** 30 ? step : 1
    const headers: RecordHeader[] = Array.from(
      { length: random.next() < 0.1 ? random.between(0, 70) : 0 },
      (_, h) => ({ key: `h${h}é`, value: random.next() < 0.3 ? null : bytes(80) }),
    )
    records.push({
      offset,
      timestamp: 1.7e12 + random.between(-spreadMs, spreadMs),
      key: random.next() < 0.2 ? null : bytes(random.next() < 0.9 ? 20 : 300),
      value: random.next() < 0.2 ? null : bytes(random.next() < 0.02 ? 30_000 : 200),
      headers,
    })
  }
  return records
}

/** Entries of some partitions in the order of their commits. */
export function randomEntries(random: Random, partitions: number, commits: number): StoredEntry[] {
  const next = Array.from({ length: partitions }, () => (random.next() < 0.5 ? 0 : 2 ** 40))
  const entries: StoredEntry[] = []
  for (let commit = random.between(0, 5); entries.length < commits; commit += random.between(1, 3)) {
    for (let id = 0; id < partitions; id++) {
      if (random.next() < 0.5) continue
      const from = next[id]! + (random.next() < 0.1 ? STEPS[random.between(0, STEPS.length - 1)]! : 0)
      const records = randomRecords(random, from, random.next() < 0.4 ? 1 : random.between(1, 60))
      next[id] = records.at(-1)!.offset + 1
      entries.push({ commit, id, value: batchOf(records) })
    }
  }
  return entries
}
