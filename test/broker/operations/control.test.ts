import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { CorruptLogError } from '../../../broker/errors.ts'
import { ControlClient } from '../../../broker/operations/control/control-client.ts'
import { ControlServer } from '../../../broker/operations/control/control-server.ts'
import { controlRoutes } from '../../../broker/operations/control/routes.ts'
import type { StatusReport } from '../../../broker/operations/operations.ts'
import type { RecordJson } from '../../../broker/operations/record-json.ts'
import { FakeLog, fakeClient, fakeOperations, fakeStatus } from './fake-log.ts'

let directory: string
let log: FakeLog
let server: ControlServer | null
let client: ControlClient
const never = new AbortController().signal

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-control-'))
  log = new FakeLog({ events: 2 })
  server = await ControlServer.start(directory, controlRoutes(fakeOperations(log)))
  client = await ControlClient.of(directory)
})
afterEach(async () => {
  await server?.close()
  server = null
  rmSync(directory, { recursive: true, force: true })
})

async function lines<T>(
  path: string,
  query = {},
  method: 'GET' | 'POST' = 'GET',
  signal = never,
): Promise<T[]> {
  const found: T[] = []
  for await (const line of client.lines<T>(method, path, query, signal)) found.push(line)
  return found
}

test('status, streams and sync status', async () => {
  log.append('events', 1, [{}, {}])
  const streams = [
    {
      stream: 'events',
      records: 2,
      bytes: 75,
      droppedRecords: 0,
      isCompacted: false,
      partitions: [
        { partition: 0, logStartOffset: 0, durableOffset: 0, records: 0 },
        { partition: 1, logStartOffset: 0, durableOffset: 2, records: 2 },
      ],
    },
  ]
  expect(await client.json<StatusReport>('GET', '/status')).toEqual({
    running: true,
    broker: fakeStatus,
    streams,
    upstreams: [],
    alarms: [],
  })
  expect(await client.json('GET', '/streams')).toEqual({ streams })
  expect(await client.json('GET', '/sync/status')).toEqual({ upstreams: [], downlinks: [] })
})

test('clients are listed, and one is disconnected by its client id', async () => {
  expect(await client.json('GET', '/clients')).toEqual({ clients: [fakeClient] })
  const disconnect = (clientId: string) => client.json('POST', '/clients/disconnect', { clientId })
  expect(await disconnect('sensor-1')).toEqual({ disconnected: true })
  expect(await client.json('GET', '/clients')).toEqual({ clients: [] })
  await expect(disconnect('sensor-1')).rejects.toMatchObject({
    code: 'HW_UNKNOWN_CLIENT',
    message: 'no client "sensor-1" is connected',
  })
  await expect(disconnect('')).rejects.toMatchObject({ code: 'HW_USAGE' })
})

test('the socket is for its owner alone', () => {
  expect(statSync(server!.path).mode & 0o777).toBe(0o600)
})

test('read sends records as lines', async () => {
  log.append('events', 0, [{ value: 'a' }, { value: 'ü' }])
  const records = await lines<RecordJson>('/read', { stream: 'events', partition: 0, from: 1 })
  expect(records.map(({ offset, value }) => [offset, value])).toEqual([[1, 'ü']])
})

test('an error before the first line keeps its code, message and hint', async () => {
  await expect(lines('/read', { stream: 'nope' })).rejects.toMatchObject({
    code: 'HW_UNKNOWN_STREAM',
    line: 'HW_UNKNOWN_STREAM: there is no stream "nope" - streams here: events',
  })
  await expect(lines('/read')).rejects.toMatchObject({ code: 'HW_USAGE' })
  await expect(lines('/read', { stream: 'events', count: 'x' })).rejects.toMatchObject({ code: 'HW_USAGE' })
  await expect(client.json('GET', '/nowhere')).rejects.toMatchObject({ code: 'HW_NO_ROUTE' })
  await expect(client.json('POST', '/status')).rejects.toThrow('there is no POST /status')
})

test('an error after the first line arrives as well', async () => {
  log.append('events', 0, [{ value: 'a' }])
  const seen: unknown[] = []
  const reading = async () => {
    for await (const line of client.lines('GET', '/read', { stream: 'events', follow: true }, never)) {
      seen.push(line)
      log.readFault = new CorruptLogError('main/3', 'bad CRC – ü')
      log.append('events', 0, [{ value: 'b' }])
    }
  }
  await expect(reading()).rejects.toMatchObject({
    code: 'HW_CORRUPT_LOG',
    message: 'main/3: bad CRC – ü',
    hint: 'run `headwater log verify`',
  })
  expect(seen).toHaveLength(1)
})

test('a reader that leaves ends its reading', async () => {
  const leave = new AbortController()
  const reading = lines('/read', { stream: 'events', follow: true }, 'GET', leave.signal)
  await vi.waitFor(() => expect(log.listeners).toBe(1))
  leave.abort()
  await reading
  await vi.waitFor(() => expect(log.listeners).toBe(0))
})

test('a reader that does not read holds the log back', async () => {
  const record = { value: 'x'.repeat(1000) }
  for (let i = 0; i < 100; i++)
    log.append(
      'events',
      0,
      Array.from({ length: 300 }, () => record),
    )
  const pieces = client.pieces('GET', '/read', { stream: 'events' }, never)
  let bytes = (await pieces.next()).value!.length
  await new Promise((resolve) => setTimeout(resolve, 300))
  const held = log.reads
  expect(held).toBeLessThan(60)
  for await (const piece of pieces) bytes += piece.length
  expect(log.reads).toBeGreaterThan(held)
  expect(bytes).toBeGreaterThan(30_000_000)
})

test('verify tells its progress, then its report', async () => {
  const seen = await lines<{ progress?: object; report?: object }>('/log/verify', {}, 'POST')
  expect(seen.length).toBeGreaterThan(1)
  expect(seen[0]).toMatchObject({ progress: { bytesTotal: 3 } })
  expect(seen.at(-1)).toMatchObject({ report: { isWhole: true } })
  log.verifySteps = 0
  log.verifyProblem = new CorruptLogError('x', 'y')
  await expect(lines('/log/verify', {}, 'POST')).rejects.toMatchObject({ code: 'HW_CORRUPT_LOG' })
})

test('sync commands reach sync', async () => {
  await server!.close()
  const calls: unknown[] = []
  const command = (name: string) => (upstream?: string) => void calls.push([name, upstream])
  const commands = { pause: command('pause'), resume: command('resume'), now: command('now') }
  const sync = { status: () => [], onChange: () => () => {}, ...commands, rewind: async () => [] }
  server = await ControlServer.start(directory, controlRoutes(fakeOperations(log, sync)))
  await client.json('POST', '/sync/pause', { upstream: 'central' })
  await client.json('POST', '/sync/resume')
  await client.json('POST', '/sync/now')
  expect(calls).toEqual([
    ['pause', 'central'],
    ['resume', undefined],
    ['now', undefined],
  ])
})

test('closing ends a followed stream and removes the socket', async () => {
  const reading = lines('/read', { stream: 'events', follow: true })
  await vi.waitFor(() => expect(log.listeners).toBe(1))
  await server!.close()
  server = null
  await reading
  expect(readdirSync(directory)).toEqual([])
  await expect(client.json('GET', '/status')).rejects.toMatchObject({ code: 'HW_NOT_RUNNING' })
})

test('the socket of a killed process is replaced, and until then means "not running"', async () => {
  await server!.close()
  // Closing a net.Server removes its socket; a plain file gives the same answer as a socket without a listener.
  const dead = createServer().listen(join(directory, 'other.sock'))
  await once(dead, 'listening')
  writeFileSync(join(directory, 'headwater.sock'), '')
  await expect(client.json('GET', '/status')).rejects.toMatchObject({ code: 'HW_NOT_RUNNING' })
  server = await ControlServer.start(directory, controlRoutes(fakeOperations(log)))
  expect(await client.json('GET', '/streams')).toBeTruthy()
  dead.close()
})

test('a long data directory has its socket elsewhere, and nothing is left of it', async () => {
  const long = join(directory, 'd'.repeat(120))
  mkdirSync(long)
  const other = await ControlServer.start(long, controlRoutes(fakeOperations(log)))
  expect(readFileSync(join(long, 'headwater.sock.path'), 'utf8')).toBe(other.path)
  expect(statSync(dirname(other.path)).mode & 0o777).toBe(0o700)
  expect(await (await ControlClient.of(long)).json('GET', '/streams')).toBeTruthy()
  await other.close()
  expect(readdirSync(long)).toEqual([])
  expect(() => statSync(dirname(other.path))).toThrow('ENOENT')
})

async function bytesOf(signal = never): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of client.pieces('GET', '/backup', {}, signal)) pieces.push(piece)
  return Buffer.concat(pieces)
}

test('a backup comes as its bytes', async () => {
  log.backupPieces = [Buffer.from([0xff, 0x0a, 0x00, 0xc3]), Buffer.alloc(300_000, 7)]
  expect((await bytesOf()).equals(Buffer.concat(log.backupPieces as Buffer[]))).toBe(true)
})

test('an error in the middle of a backup is thrown at its end', async () => {
  log.backupPieces = [Buffer.alloc(1000), new CorruptLogError('main', 'it is gone')]
  await expect(bytesOf()).rejects.toMatchObject({ code: 'HW_CORRUPT_LOG', message: 'main: it is gone' })
})

test('a backup is read at the pace of who writes it, and not on when that one leaves', async () => {
  const pieceBytes = 65_536
  log.backupPieces = Array.from({ length: 400 }, () => Buffer.alloc(pieceBytes))
  const leave = new AbortController()
  for await (const _piece of client.pieces('GET', '/backup', {}, leave.signal)) {
    // what fits between the two is taken, and no more
    await vi.waitFor(() => expect(log.backupPiecesTaken).toBeGreaterThan(2))
    let taken = 0
    while (taken !== log.backupPiecesTaken) {
      taken = log.backupPiecesTaken
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(taken).toBeLessThan(100)
    leave.abort()
  }
  const left = log.backupPiecesTaken
  await new Promise((resolve) => setImmediate(resolve))
  expect(log.backupPiecesTaken).toBeLessThan(left + 2)
})

test('a dump comes as lines, its records behind their batch, its times and bytes to be read', async () => {
  const place = { chain: 'main', segment: '00000001', commit: 2 }
  const record = { offset: 4, timestamp: 0, key: Buffer.from('k'), value: null, headers: [] }
  const batch = { fault: null, baseOffset: 4, nextOffset: 5, records: 1, minTimestamp: 0, maxTimestamp: 1000 }
  log.dumped = [
    {
      type: 'note',
      ...place,
      bytes: 9,
      fault: null,
      note: { states: { a: Buffer.from('x'), b: 2n ** 60n } },
    },
    {
      type: 'batch',
      ...place,
      stream: 'events',
      partition: 1,
      id: 1,
      bytes: 70,
      ...batch,
      content: [record],
    },
    { type: 'unreadable', ...place, toCommit: 3, reason: 'EIO' },
  ]
  expect(await lines('/log/dump')).toMatchObject([
    { type: 'note', note: { states: { a: { base64: 'eA==' }, b: '1152921504606846976' } } },
    { type: 'batch', minTimestamp: '1970-01-01T00:00:00.000Z', maxTimestamp: '1970-01-01T00:00:01.000Z' },
    { type: 'record', offset: 4, key: 'k', value: null, timestamp: '1970-01-01T00:00:00.000Z' },
    { type: 'unreadable', toCommit: 3 },
  ])
})

test('lost records are acknowledged by who was shown as many', async () => {
  const acknowledge = (lostOffsets: string) => client.json('POST', '/log/acknowledge', { lostOffsets })
  expect(await client.json('GET', '/log/damage')).toMatchObject({ lostOffsets: 4, salvagedSegments: 1 })
  for (const wrong of ['3', '', 'all']) {
    await expect(acknowledge(wrong)).rejects.toMatchObject({ code: 'HW_USAGE' })
  }
  expect(await acknowledge('4')).toEqual({ acknowledged: true })
  expect(await client.json('GET', '/log/damage')).toMatchObject({ lostOffsets: 0, salvagedSegments: 0 })
})
