/** What `headwater table` and its route answer, over a real table. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { ControlClient } from '../../../broker/operations/control/control-client.ts'
import { ControlServer } from '../../../broker/operations/control/control-server.ts'
import { controlRoutes } from '../../../broker/operations/control/routes.ts'
import type { RecordJson } from '../../../broker/operations/record-json.ts'
import type { Tables } from '../../../broker/tables/tables.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { openLog } from '../log/support.ts'
import { change, moveLogStart, openTables, STREAM } from '../tables/support.ts'
import { FakeLog, fakeOperations } from './fake-log.ts'

const never = new AbortController().signal
let directory: string
let disk: FaultyDisk
let log: EventLog
let tables: Tables
let server: ControlServer
let client: ControlClient

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-table-'))
  disk = new FaultyDisk(new MemoryDisk())
  const streams = [
    { name: STREAM, partitions: 1 },
    { name: 'plain', partitions: 2 },
  ]
  log = await openLog(disk, { streams })
  tables = openTables(disk, log, { limits: { waitMsMax: 200 } })
  await change(log, [
    ['plant/1', '{"n":1}', [{ key: 'topic', value: Buffer.from('plant/1/state') }]],
    ['plant/2', '{"n":2}'],
    ['other', 'x'],
    ['plant/1', '{"n":3}', [{ key: 'topic', value: Buffer.from('plant/1/state') }]],
    ['other', null],
  ])
  server = await ControlServer.start(
    directory,
    controlRoutes({ ...fakeOperations(new FakeLog({})), log, tables }),
  )
  client = await ControlClient.of(directory)
})
afterEach(async () => {
  await server.close()
  rmSync(directory, { recursive: true, force: true })
})

async function lines(query: Record<string, unknown>, signal = never): Promise<RecordJson[]> {
  const found: RecordJson[] = []
  const asked = { stream: STREAM, ...query } as Record<string, string>
  for await (const line of client.lines<RecordJson>('GET', '/table', asked, signal)) found.push(line)
  return found
}
const told = (records: RecordJson[]) => records.map(({ key, value, offset }) => `${offset} ${key}=${value}`)

test('one key has the shape of a record that is read', async () => {
  expect(await lines({ key: 'plant/1' })).toEqual([
    {
      stream: STREAM,
      partition: 0,
      offset: 3,
      timestamp: '1970-01-01T00:00:01.000Z',
      topic: 'plant/1/state',
      key: 'plant/1',
      value: '{"n":3}',
      headers: [],
    },
  ])
})

test('all keys, those with a beginning, and a few of them', async () => {
  expect(told(await lines({}))).toEqual(['3 plant/1={"n":3}', '1 plant/2={"n":2}'])
  expect(told(await lines({ prefix: 'plant/2' }))).toEqual(['1 plant/2={"n":2}'])
  expect(told(await lines({ count: 1 }))).toEqual(['3 plant/1={"n":3}'])
  expect(await lines({ count: 0 })).toEqual([])
  expect(await lines({ prefix: 'nothing' })).toEqual([])
})

test('changes from a place on, of a key, and a few of them', async () => {
  expect(told(await lines({ from: 3 }))).toEqual(['3 plant/1={"n":3}', '4 other=null'])
  expect(told(await lines({ from: 'earliest', key: 'plant/1' }))).toEqual([
    '0 plant/1={"n":1}',
    '3 plant/1={"n":3}',
  ])
  expect(told(await lines({ from: 'earliest', prefix: 'o', partition: 0 }))).toEqual([
    '2 other=x',
    '4 other=null',
  ])
  expect(told(await lines({ from: 0, count: 2 }))).toHaveLength(2)
  expect(await lines({ from: 'latest' })).toEqual([])
})

test('following shows what is there and what comes, until the reader leaves', async () => {
  const leave = new AbortController()
  const found: string[] = []
  for await (const record of client.lines<RecordJson>(
    'GET',
    '/table',
    { stream: STREAM, follow: true },
    leave.signal,
  )) {
    found.push(...told([record]))
    if (found.length === 2) await change(log, [['plant/2', null]])
    if (found.length === 3) leave.abort()
  }
  expect(found).toEqual(['3 plant/1={"n":3}', '1 plant/2={"n":2}', '5 plant/2=null'])
})

test('following one key shows that key', async () => {
  const leave = new AbortController()
  const found: string[] = []
  const query = { stream: STREAM, key: 'plant/2', follow: true }
  for await (const record of client.lines<RecordJson>('GET', '/table', query, leave.signal)) {
    found.push(...told([record]))
    if (found.length === 1) {
      await change(log, [
        ['plant/1', 'not this one'],
        ['plant/2', 'this one'],
      ])
    } else leave.abort()
  }
  expect(found).toEqual(['1 plant/2={"n":2}', '6 plant/2=this one'])
})

test.each([
  [
    { key: 'nope' },
    'HW_UNKNOWN_KEY: the table of stream "events" has no key "nope" - `headwater table events` shows its keys',
  ],
  [
    { key: 'other' },
    'HW_UNKNOWN_KEY: the table of stream "events" has no key "other" - `headwater table events` shows its keys',
  ],
  [
    { stream: 'plain' },
    'HW_NO_TABLE: stream "plain" has no table - set table: true on it in the configuration and start the broker; the table is built from the log',
  ],
  [{ stream: 'nope' }, 'HW_UNKNOWN_STREAM: there is no stream "nope" - streams here: events, plain'],
  [
    { stream: 'plain', from: 0 },
    'HW_USAGE: an offset is of one partition, and stream "plain" has 2 - add --partition 0 (to 1), or give a time',
  ],
  [{ partition: 0 }, 'HW_USAGE: --partition goes with --from - add --from, an offset or earliest'],
  [{ key: 'a', prefix: 'a' }, 'HW_USAGE: a key and --prefix contradict each other - give one of them'],
  [
    { from: 'never' },
    'HW_USAGE: --from never is no place to read from - write earliest, latest, an offset such as 1200, or a time such as 2026-03-01T12:00:00Z',
  ],
  [{ from: 9 }, 'HW_USAGE: offset 9 is not written yet in events/0 - it holds 0 to 4'],
  [
    { from: 0, partition: 3 },
    'HW_UNKNOWN_PARTITION: stream "events" has no partition 3 - its partitions are 0 to 0',
  ],
])('%j is refused with one line', async (query, line) => {
  await expect(lines(query)).rejects.toMatchObject({ line })
})

test('an offset below the log start is refused with the lowest one', async () => {
  moveLogStart(log, 0, 2)
  await expect(lines({ from: 1 })).rejects.toMatchObject({
    line: 'HW_OFFSET_GONE: offset 1 of events/0 is no longer in the log - the lowest is 2',
  })
  expect(told(await lines({ from: 2 }))).toHaveLength(3)
})

test('a table that is being built says how far it is', async () => {
  const gate = disk.hold('range', '/log/')
  tables.rebuild(STREAM, 'asked for')
  await gate.reached
  await expect(lines({})).rejects.toMatchObject({
    line: 'HW_TABLE_UNAVAILABLE: the table of stream "events" is being built (0%) - try again later; `headwater status` shows how far it is',
  })
  // its changes are the log's
  gate.release()
  expect(told(await lines({ from: 3 }))).toHaveLength(2)
})

test('status and streams show the table', async () => {
  await lines({})
  const { streams } = await client.json<{ streams: object[] }>('GET', '/streams')
  expect(streams).toMatchObject([
    { stream: STREAM, table: { stream: STREAM, state: 'current', keys: 3, lagRecords: 0, rebuilds: 0 } },
    { stream: 'plain' },
  ])
  expect(streams[1]).not.toHaveProperty('table')
})

async function report<T>(path: string): Promise<T> {
  const found: { report?: T }[] = []
  for await (const line of client.lines<{ report?: T }>('POST', path, {}, never)) found.push(line)
  return found.at(-1)!.report!
}

test('the verification compares tables, and the repair builds one that is wrong again', async () => {
  await lines({})
  expect(await report('/log/verify')).toMatchObject({
    isWhole: true,
    tables: [{ stream: STREAM, isWhole: true, keys: 2, problems: [] }],
  })
  expect(await report('/log/repair')).toMatchObject({ isWhole: true, rebuiltTables: [] })
  const verify = tables.verify.bind(tables)
  let isWrong = true
  tables.verify = async (onProgress) => {
    const [found] = await verify(onProgress)
    if (!isWrong) return [found!]
    isWrong = false
    const problems = [{ key: Buffer.from([0xff]), reason: 'it is at offset 3 of the log' }]
    return [{ ...found!, isWhole: false, missing: 1, problems }]
  }
  expect(await report('/log/verify')).toMatchObject({
    isWhole: false,
    tables: [{ missing: 1, problems: [{ key: { base64: '/w==' }, reason: 'it is at offset 3 of the log' }] }],
  })
  isWrong = true
  expect(await report('/log/repair')).toMatchObject({ rebuiltTables: [STREAM] })
  expect(tables.status()[0]).toMatchObject({ rebuilds: 1, state: 'current' })
})
