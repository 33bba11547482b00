import { expect, test } from 'vitest'
import {
  printDetails,
  printUpstreams,
  waitsForPerson,
} from '../../../broker/operations/commands/sync-status.ts'
import type { UpstreamStatus } from '../../../broker/operations/operations.ts'
import type { Output } from '../../../broker/operations/terminal/output.ts'
import { outputTo } from './output-to.ts'

function printed(print: (out: Output) => void): string[] {
  let text = ''
  const out = outputTo((piece) => {
    text += piece
  })
  print(out)
  return text.split('\n').slice(0, -1)
}

const STATUS: UpstreamStatus = {
  name: 'central',
  kind: 'kafka',
  address: '127.0.0.1:9092',
  state: 'sending',
  since: 0,
  retryAt: null,
  tries: 0,
  lagRecords: 123_456,
  lagBytes: 24_000_000,
  lagSecondsOldest: 3725,
  drainSeconds: 95,
  partitions: [],
  sentRecords: 1000,
  sentBytes: 200_000,
  recordsPerSecond: 1300,
  bytesPerSecond: 260_000,
  wireBytes: null,
  filteredRecords: 0,
  passedOverRecords: 0,
  skippedRecords: 0,
  stalls: 0,
  lastAckAt: 0,
  ackAgeSeconds: 2,
  certificate: null,
  lastError: null,
  refused: [],
  link: { hold: null, bandwidth: null, schedule: null, budgets: [] },
}

test('an upstream is one line that tells what waits, how old it is and when it is gone', () => {
  expect(printed((out) => printUpstreams(out, [STATUS]))).toEqual([
    'UPSTREAM  KIND   STATE        LAG   BYTES     OLDEST   SENT     RATE  DRAINED IN  LAST ACK  WHERE',
    'central   kafka  sending  123,456  ~24 MB  1 h 2 min  1,000  1,300/s  1 min 35 s   2 s ago  127.0.0.1:9092',
  ])
})

test('a stream that is left out is said under its upstream, with what to do and when it is tried again', () => {
  const code = 'HW_TOPIC_MISSING'
  const refused = [
    {
      stream: 'alarms',
      code,
      message: 'there is no topic',
      hint: 'create it',
      at: 0,
      tries: 3,
      retryAt: Date.now(),
    },
    {
      stream: 'old',
      code: 'HW_CHECKPOINT_AHEAD',
      message: 'more than this log',
      hint: '',
      at: 0,
      tries: 1,
      retryAt: null,
    },
  ]
  const lines = printed((out) => printUpstreams(out, [{ ...STATUS, refused }]))
  expect(lines.slice(2)).toEqual([
    'central: stream alarms is left out: HW_TOPIC_MISSING: there is no topic (try 3, next in 0 s)',
    '  create it',
    'central: stream old is left out: HW_CHECKPOINT_AHEAD: more than this log (until `headwater sync resume`)',
  ])
  expect(waitsForPerson({ ...STATUS, refused })).toBe(true)
  expect(waitsForPerson({ ...STATUS, refused: refused.slice(0, 1) })).toBe(false)
  // What the upstream itself fails with is not said twice.
  const lastError = { code, message: 'there is no topic', hint: 'create it', at: 0 }
  const failing = { ...STATUS, state: 'backoff', tries: 3, retryAt: Date.now(), lastError, refused }
  const said = printed((out) => printUpstreams(out, [failing]))
  expect(said.filter((line) => line.includes('there is no topic'))).toHaveLength(1)
})

test('what holds an upstream is said under it, and what goes all the same', () => {
  const until = new Date(2026, 0, 5, 22, 0).getTime()
  const hold = { reason: 'schedule', until, urgentPriority: 8 }
  const held = { ...STATUS, state: 'held', link: { ...STATUS.link, hold } }
  expect(printed((out) => printUpstreams(out, [held])).at(-1)).toBe(
    'central: outside its schedule until 2026-01-05 22:00; streams of priority 8 and above go',
  )
  const bandwidth = { bytesPerSecond: 50_000, burstBytes: 50_000, isWaiting: true }
  const slow = { ...STATUS, link: { ...STATUS.link, bandwidth } }
  expect(printed((out) => printUpstreams(out, [slow])).at(-1)).toBe('central: kept to 50 kB/s')
  const paused = { ...STATUS, state: 'paused' }
  expect(printed((out) => printUpstreams(out, [paused])).at(-1)).toBe(
    'central: paused until `headwater sync resume`',
  )
})

test('details tell of what was left out and what the link has borne, and nothing else', () => {
  expect(printed((out) => printDetails(out, { ...STATUS, bytesPerSecond: 0 }))).toEqual([])
  const status: UpstreamStatus = {
    ...STATUS,
    filteredRecords: 1200,
    skippedRecords: 3,
    wireBytes: 4_000_000,
    stalls: 1,
    link: {
      hold: null,
      bandwidth: null,
      schedule: { isOpen: false, isOverridden: true },
      budgets: [{ period: 'month', bytes: 500_000_000, usedBytes: 4_000_000, resetsAt: null }],
    },
  }
  expect(printed((out) => printDetails(out, status))).toEqual([
    '',
    'central',
    'not sent  1,200 left out by filters, 3 gone by retention before they were sent',
    'rate      260 kB/s of records',
    'link      4.0 MB since the start, for 200 kB of records',
    'schedule  closed, passed over by `headwater sync now`',
    'budget    4.0 MB of 500 MB used this month, no trusted clock has told the period',
    'stalls    1 call that did not end',
  ])
})

const HOUR_MS = 3_600_000

test('a certificate is told with its end; when that is near, in a line of its own that says what to do', () => {
  const until = Date.now() + 3 * 24 * HOUR_MS + HOUR_MS / 2
  const good: UpstreamStatus = { ...STATUS, bytesPerSecond: 0, certificate: { until, isDue: false } }
  expect(printed((out) => printDetails(out, good)).at(-1)).toMatch(
    /^certificate {2}good until \d{4}-\d\d-\d\d \d\d:\d\d$/,
  )
  expect(printed((out) => printUpstreams(out, [good]))).toHaveLength(2)
  const near = { ...good, certificate: { until, isDue: true } }
  expect(printed((out) => printUpstreams(out, [near])).slice(2)).toEqual([
    expect.stringMatching(/^central: this device's certificate expires in 3 d, on \d{4}-/),
    expect.stringMatching(/tls\.certFile and tls\.keyFile name; no restart is needed$/),
  ])
  const over = { ...good, certificate: { until: Date.now() - 2 * HOUR_MS, isDue: true } }
  expect(printed((out) => printUpstreams(out, [over]))[2]).toMatch(
    /^central: this device's certificate expired 2 h ago, on \d{4}-/,
  )
})

test('an upstream that has stopped is told with its reason and since when', () => {
  const lastError = { code: 'HW_UPSTREAM_FENCED', message: 'another edge', hint: 'look there', at: 0 }
  const stopped = { ...STATUS, state: 'stopped', since: Date.now() - 3 * HOUR_MS, lastError }
  expect(printed((out) => printUpstreams(out, [stopped])).slice(2)).toEqual([
    'central: HW_UPSTREAM_FENCED: another edge (stopped 3 h ago, until `headwater sync resume`)',
    '  look there',
  ])
})
