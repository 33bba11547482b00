import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openReading, parseFrom, type ReadRequest } from '../../../broker/operations/reading.ts'
import { recordFilter } from '../../../broker/operations/record-filter.ts'
import type { RecordJson } from '../../../broker/operations/record-json.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { append, openLog, readAll, temporaryDirectory } from '../log/support.ts'
import { FakeLog } from './fake-log.ts'

const all: ReadRequest = { stream: 'events', partition: null, from: 'earliest', follow: false, count: null }

async function read(log: FakeLog, request: Partial<ReadRequest> = {}, signal = new AbortController().signal) {
  const records: RecordJson[] = []
  for await (const piece of await openReading(log, { ...all, ...request }, signal)) {
    for (const line of piece.split('\n').slice(0, -1)) records.push(JSON.parse(line) as RecordJson)
  }
  return records
}

const values = (records: RecordJson[]) => records.map(({ value }) => value)

test('a record is shown with its topic, text where it is text and base64 where it is not', async () => {
  const log = new FakeLog({ events: 1 })
  const headers = [
    { key: 'topic', value: Buffer.from('a/b') },
    { key: 'user', value: null },
    { key: 'raw', value: Buffer.from([0xff]) },
  ]
  log.append('events', 0, [
    { timestamp: 1_767_225_600_000, key: 'k', value: 'grün', headers },
    { key: 'plant/7', value: Buffer.from([0xc3, 0x28]) },
    { key: null, value: null },
  ])
  expect(await read(log)).toEqual([
    {
      stream: 'events',
      partition: 0,
      offset: 0,
      timestamp: '2026-01-01T00:00:00.000Z',
      topic: 'a/b',
      key: 'k',
      value: 'grün',
      headers: [
        { key: 'user', value: null },
        { key: 'raw', value: { base64: '/w==' } },
      ],
    },
    expect.objectContaining({ offset: 1, topic: 'plant/7', key: 'plant/7', value: { base64: 'wyg=' } }),
    expect.objectContaining({ offset: 2, topic: null, key: null, value: null }),
  ])
})

test('a record that no trusted clock stamped says so, with its corrected time where that is known', async () => {
  const log = new FakeLog({ events: 1 })
  log.append('events', 0, [{ timestamp: 0 }, { timestamp: 1000 }, { timestamp: 2000 }])
  log.clocks = () => (timestamp) => {
    if (timestamp === 0) return { trust: 'untrusted' }
    return timestamp === 1000 ? { trust: 'corrected', correctedTimestamp: 1_767_225_600_000 } : null
  }
  const records = await read(log)
  expect(records.map(({ timestamp, clock }) => ({ timestamp, clock }))).toEqual([
    { timestamp: '1970-01-01T00:00:00.000Z', clock: { trust: 'untrusted' } },
    {
      timestamp: '1970-01-01T00:00:01.000Z',
      clock: { trust: 'corrected', correctedTimestamp: '2026-01-01T00:00:00.000Z' },
    },
    { timestamp: '1970-01-01T00:00:02.000Z', clock: undefined },
  ])
  expect(records[2]).not.toHaveProperty('clock')
})

test('a corrected time goes before the stored one where partitions are merged', async () => {
  const log = new FakeLog({ events: 2 })
  log.append('events', 0, [{ timestamp: 10, value: 'stamped too early' }])
  log.append('events', 1, [
    { timestamp: 20, value: 'first' },
    { timestamp: 40, value: 'last' },
  ])
  log.clocks = ({ partition }) =>
    partition === 0 ? (time) => ({ trust: 'corrected', correctedTimestamp: time + 20 }) : null
  expect(values(await read(log))).toEqual(['first', 'stamped too early', 'last'])
})

test('partitions are merged by time, and each stays in order', async () => {
  const log = new FakeLog({ events: 3 })
  log.append('events', 0, [
    { timestamp: 10, value: 'a' },
    { timestamp: 40, value: 'd' },
  ])
  log.append('events', 1, [{ timestamp: 20, value: 'b' }])
  log.append('events', 1, [{ timestamp: 50, value: 'e' }])
  log.append('events', 0, [
    { timestamp: 45, value: 'd2' },
    { timestamp: 30, value: 'clock went back' },
  ])
  log.append('events', 2, [{ timestamp: 35, value: 'c' }])
  expect(values(await read(log))).toEqual(['a', 'b', 'c', 'd', 'd2', 'clock went back', 'e'])
})

test('the merge waits for the rest of a partition that is read in parts', async () => {
  const log = new FakeLog({ events: 2 })
  // Each batch is more than is read of a partition at once.
  const padding = { key: 'raw', value: Buffer.alloc(100_000) }
  for (const timestamp of [10, 20]) {
    log.append('events', 0, [{ timestamp, value: `0 at ${timestamp}`, headers: [padding] }])
  }
  for (const timestamp of [15, 30]) log.append('events', 1, [{ timestamp, value: `1 at ${timestamp}` }])
  expect(values(await read(log))).toEqual(['0 at 10', '1 at 15', '0 at 20', '1 at 30'])
})

test('reading begins at an offset, inside a batch too, and ends after count', async () => {
  const log = new FakeLog({ events: 1 })
  log.append('events', 0, [{ value: '0' }, { value: '1' }, { value: '2' }])
  log.append('events', 0, [{ value: '3' }])
  expect(values(await read(log, { from: { offset: 1 } }))).toEqual(['1', '2', '3'])
  expect(values(await read(log, { from: { offset: 1 }, count: 2 }))).toEqual(['1', '2'])
  expect(values(await read(log, { from: { offset: 4 } }))).toEqual([])
  expect(values(await read(log, { from: 'latest' }))).toEqual([])
  expect(values(await read(log, { count: 0 }))).toEqual([])
})

test('reading begins at a time, in every partition', async () => {
  const log = new FakeLog({ events: 2 })
  for (const partition of [0, 1]) {
    log.append('events', partition, [{ timestamp: 100, value: `old ${partition}` }])
    log.append('events', partition, [{ timestamp: 200 + partition, value: `new ${partition}` }])
  }
  expect(values(await read(log, { from: { timestamp: 150 } }))).toEqual(['new 0', 'new 1'])
})

test('an offset below the log start begins at the log start', async () => {
  const log = new FakeLog({ events: 1 })
  log.append('events', 0, [{ value: 'gone' }])
  log.append('events', 0, [{ value: 'kept' }])
  log.dropFirst('events', 0)
  expect(values(await read(log, { from: { offset: 0 } }))).toEqual(['kept'])
})

test('without follow it ends where the log ended when it began', async () => {
  const log = new FakeLog({ events: 1 })
  log.append('events', 0, [{ value: '0' }])
  const lines = await openReading(log, all, new AbortController().signal)
  log.append('events', 0, [{ value: 'later' }])
  const pieces: string[] = []
  for await (const piece of lines) pieces.push(piece)
  expect(pieces.join('')).not.toContain('later')
})

test('follow goes on with what is written later, until the reader leaves', async () => {
  const log = new FakeLog({ events: 2 })
  log.append('events', 0, [{ value: '0' }])
  const leave = new AbortController()
  const lines = await openReading(log, { ...all, follow: true }, leave.signal)
  expect((await lines.next()).value).toContain('"value":"0"')
  const next = lines.next()
  setTimeout(() => log.append('events', 1, [{ value: '1' }]), 20)
  expect((await next).value).toContain('"value":"1"')
  const last = lines.next()
  setTimeout(() => leave.abort(), 20)
  expect((await last).done).toBe(true)
  expect(log.listeners).toBe(0)
})

test('follow with count ends', async () => {
  const log = new FakeLog({ events: 1 })
  setTimeout(() => log.append('events', 0, [{ value: '0' }, { value: '1' }, { value: '2' }]), 20)
  expect(values(await read(log, { follow: true, from: 'latest', count: 2 }))).toEqual(['0', '1'])
})

test('a long stream comes in pieces, not at once', async () => {
  const log = new FakeLog({ events: 1 })
  const record = { value: 'x'.repeat(1000) }
  for (let i = 0; i < 40; i++)
    log.append(
      'events',
      0,
      Array.from({ length: 100 }, () => record),
    )
  let pieces = 0
  let longest = 0
  for await (const piece of await openReading(log, all, new AbortController().signal)) {
    pieces++
    longest = Math.max(longest, piece.length)
  }
  expect(pieces).toBeGreaterThan(20)
  expect(longest).toBeLessThan(80_000)
})

test.each([
  [{ stream: 'nope' }, 'there is no stream "nope"'],
  [{ partition: 9 }, 'has no partition 9'],
  [{ from: { offset: 1 } }, 'an offset is of one partition'],
  [{ partition: 0, from: { offset: 99 } }, 'offset 99 is not written yet in events/0'],
] as [Partial<ReadRequest>, string][])('%j is refused', async (request, message) => {
  const log = new FakeLog({ events: 2 })
  await expect(read(log, request)).rejects.toThrow(message)
})

test.each([
  ['earliest', 'earliest'],
  ['latest', 'latest'],
  ['0', { offset: 0 }],
  ['1200', { offset: 1200 }],
  ['2026-01-01T00:00:00Z', { timestamp: 1_767_225_600_000 }],
  ['2026-01-01', { timestamp: 1_767_225_600_000 }],
])('--from %s', (text, from) => {
  expect(parseFrom(text)).toEqual(from)
})

test.each(['', 'now', '-1', '1.5', '2026-13-01', 'yesterday'])('--from %j is refused', (text) => {
  expect(() => parseFrom(text)).toThrow('no place to read from')
})

test('reading across what is lost tells the gap in its place, and goes on', async () => {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, {
    path,
    segmentBytes: 300,
    streams: [{ name: 'events', partitions: 1 }],
  })
  for (let i = 0; i < 12; i++) await append(log, 0, [`v${i}`])
  const gone = log.chains()[0]!.segments[2]!
  const { firstOffset, nextOffset } = gone.summaries[0]!
  await log.close()
  rmSync(join(path, 'log', 'main', gone.id), { recursive: true })
  const again = await openLog(nodeDisk, {
    path,
    segmentBytes: 300,
    streams: [{ name: 'events', partitions: 1 }],
  })
  const reason = `segment ${gone.id} was damaged`
  // the first reader finds the damage, the second one knows it from the beginning
  await readAll(again, 0)
  const pieces: string[] = []
  for await (const piece of await openReading(again, all, new AbortController().signal)) pieces.push(piece)
  const lines = pieces
    .join('')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines[firstOffset]).toEqual({
    stream: 'events',
    partition: 0,
    gap: { from: firstOffset, to: nextOffset - 1, reason },
  })
  expect(lines[firstOffset + 1]).toMatchObject({ offset: nextOffset })
  expect(lines).toHaveLength(12 - (nextOffset - firstOffset) + 1)
})

test('a key or a text chooses records, and the others are not counted', async () => {
  const log = new FakeLog({ events: 2 })
  const headers = [{ key: 'topic', value: Buffer.from('plant/Pump/1') }]
  log.append('events', 0, [
    { key: 'a', value: 'one', headers },
    { key: 'b', value: 'TWO', headers: [{ key: 'unit', value: Buffer.from('bar') }] },
    { key: 'a', value: Buffer.from([0xff, 0x61]) },
    { key: 'b', value: 'two again' },
  ])
  const chosen = async (key: string | null, grep: string | null, count: number | null = null) =>
    (await read(log, { filter: recordFilter({ key, grep }), count })).map(({ offset }) => offset)
  expect(await chosen('a', null)).toEqual([0, 2])
  expect(await chosen(null, 'two')).toEqual([1, 3])
  expect(await chosen(null, 'two', 1)).toEqual([1])
  expect(await chosen(null, 'pump')).toEqual([0])
  expect(await chosen(null, 'BAR')).toEqual([1])
  expect(await chosen('b', 'again')).toEqual([3])
  // of bytes that are no text nobody knows a text
  expect(await chosen(null, '/2e')).toEqual([])
  expect(await chosen('c', null)).toEqual([])
  expect(recordFilter({ key: null, grep: '' })).toBeNull()
})
