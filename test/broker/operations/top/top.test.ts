import { expect, test } from 'vitest'
import type { StatusReport } from '../../../../broker/operations/operations.ts'
import { Output } from '../../../../broker/operations/terminal/output.ts'
import { nextOrder, TOP_ORDERS } from '../../../../broker/operations/top/orders.ts'
import { type Rates, ratesBetween, type Snapshot } from '../../../../broker/operations/top/rates.ts'
import { printTop, sortClientRates, sortStreams } from '../../../../broker/operations/top/view.ts'

interface Told {
  readonly at: number
  readonly pid?: number
  readonly startedAt?: number
  readonly received?: number
  readonly ends?: Readonly<Record<string, number>>
  readonly clients?: Readonly<
    Record<string, { in: number; out?: number; bytes?: number; since?: number; queued?: number }>
  >
}

function snapshot({ at, pid = 1, startedAt = 0, received = 0, ends = {}, clients = {} }: Told): Snapshot {
  const broker = {
    version: '1.0.0',
    pid,
    startedAt,
    edge: 'pi',
    mqtt: { connections: Object.keys(clients).length, connectionsMax: 1000 },
    ingress: { received, receivedBytes: received * 10 },
    log: {
      records: received,
      commits: received / 2,
      commitMsP50: 1,
      commitMsP99: 2,
      condition: 'open',
      space: { isFull: false },
    },
  }
  const streams = Object.entries(ends).map(([stream, durableOffset]) => ({
    stream,
    records: durableOffset,
    bytes: durableOffset * 10,
    partitions: [{ partition: 0, durableOffset }],
  }))
  const upstreams = [
    {
      name: 'central',
      state: 'idle',
      refused: [],
      lagRecords: 3,
      lagSecondsOldest: null,
      recordsPerSecond: 0,
      drainSeconds: null,
      ackAgeSeconds: null,
      partitions: Object.keys(ends).map((stream) => ({ stream, partition: 0, lagRecords: 3 })),
    },
  ]
  const told = Object.entries(clients).map(
    ([clientId, { in: messagesIn, out = 0, bytes = 0, since = 0, queued = 0 }]) => ({
      clientId,
      address: '127.0.0.1:5000',
      since,
      messagesIn,
      messagesOut: out,
      bytesIn: bytes,
      bytesOut: 0,
      queued,
      inFlight: 0,
      unacknowledged: 0,
    }),
  )
  const alarms = [{ id: 'disk-full' }]
  const report = { running: true, broker, streams, upstreams, alarms } as unknown as StatusReport
  return { at, report, clients: told as unknown as Snapshot['clients'] }
}

test('rates are what came between two looks, by the time between them', () => {
  const before = snapshot({
    at: 1000,
    received: 100,
    ends: { events: 100 },
    clients: { a: { in: 10, bytes: 100 } },
  })
  const now = snapshot({
    at: 3000,
    received: 300,
    ends: { events: 250, new: 9 },
    clients: { a: { in: 50, bytes: 300 } },
  })
  const rates = ratesBetween(before, now)!
  expect(rates).toMatchObject({
    seconds: 2,
    messagesPerSecond: 100,
    bytesPerSecond: 1000,
    commitsPerSecond: 50,
  })
  expect(rates.streams).toMatchObject([
    { stream: 'events', recordsPerSecond: 75, lagRecords: 3 },
    // not known before: nothing is made up for it
    { stream: 'new', recordsPerSecond: 0 },
  ])
  expect(rates.clients).toMatchObject([{ clientId: 'a', messagesInPerSecond: 20, bytesPerSecond: 100 }])
})

test('a broker or a connection that began anew counts from its beginning, not below 0', () => {
  const before = snapshot({ at: 0, received: 100, clients: { a: { in: 10 } } })
  const restarted = ratesBetween(before, snapshot({ at: 1000, pid: 2, received: 5 }))!
  expect(restarted).toMatchObject({ seconds: 0, messagesPerSecond: 0 })
  // in a container every broker is process 1
  const samePid = ratesBetween(before, snapshot({ at: 1000, startedAt: 500, received: 200 }))!
  expect(samePid).toMatchObject({ seconds: 0, messagesPerSecond: 0 })
  const back = ratesBetween(
    before,
    snapshot({ at: 1000, received: 101, clients: { a: { in: 1, since: 7 } } }),
  )!
  expect(back.clients).toMatchObject([{ messagesInPerSecond: 0 }])
})

test('no broker has no rates', () => {
  const report: StatusReport = { running: false, broker: null, streams: [], upstreams: [] }
  expect(ratesBetween(null, { at: 0, report, clients: [] })).toBe(null)
})

test('s goes through all orders', () => {
  expect(TOP_ORDERS.map(nextOrder)).toEqual([...TOP_ORDERS.slice(1), TOP_ORDERS[0]])
})

function ratesOf(clients: number): Rates {
  const named = (in_: number) =>
    Object.fromEntries(
      Array.from({ length: clients }, (_, i) => [`c${i}`, { in: i * in_, queued: clients - i, bytes: 0 }]),
    )
  const before = snapshot({ at: 0, ends: { b: 0, a: 0 }, clients: named(0) })
  return ratesBetween(before, snapshot({ at: 1000, ends: { b: 5, a: 0 }, clients: named(1) }))!
}

test('what is largest goes first, and equal ones by name', () => {
  const rates = ratesOf(3)
  const ids = (order: 'rate' | 'waiting' | 'name' | 'bytes') =>
    sortClientRates(rates.clients, order).map(({ clientId }) => clientId)
  expect(ids('rate')).toEqual(['c2', 'c1', 'c0'])
  expect(ids('waiting')).toEqual(['c0', 'c1', 'c2'])
  expect(ids('bytes')).toEqual(['c0', 'c1', 'c2'])
  expect(ids('name')).toEqual(['c0', 'c1', 'c2'])
  expect(sortStreams(rates.streams, 'rate').map(({ stream }) => stream)).toEqual(['b', 'a'])
  expect(sortStreams(rates.streams, 'name').map(({ stream }) => stream)).toEqual(['a', 'b'])
})

test('all fits on a screen of 24 rows, and what does not is counted', () => {
  const lines: string[] = []
  const stream = {
    isTTY: true,
    columns: 80,
    rows: 24,
    write: (text: string | Uint8Array) => lines.push(String(text)) > 0,
    once() {},
  }
  printTop(new Output(stream, { NO_COLOR: '1' }), ratesOf(100), {
    order: 'rate',
    rows: 24,
    isInteractive: true,
  })
  expect(lines.length).toBeLessThanOrEqual(24)
  expect(lines[0]).toMatch(/ 1 alarm {3}by rate: s {3}quit: q/)
  expect(lines.some((line) => line.startsWith('c99 '))).toBe(true)
  const shown = lines.filter((line) => /^c\d+ /.test(line)).length
  expect(lines.at(-1)).toBe(`${100 - shown} more\n`)
})
