/** What is an alarm and what is none: each rule, and how alarms open and close. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ListenerTls } from '../../../../broker/mqtt/door/listener.ts'
import { findings } from '../../../../broker/operations/alarms/alarm-book.ts'
import { ALARMS, type AlarmId } from '../../../../broker/operations/alarms/catalogue.ts'
import { type AlarmLook, type Counters, Recent } from '../../../../broker/operations/alarms/look.ts'
import type { BrokerStatus, StreamReport } from '../../../../broker/operations/operations.ts'
import { fakeStatus } from '../fake-log.ts'
import { fakeDownlink, fakeUpstream } from '../fake-sync.ts'

const NOW = 1_700_000_000_000
const { log, mqtt } = fakeStatus

const quiet: Counters = {
  latency: { upToMs: [], counts: [], sumMs: 0 },
  failedCommits: 0,
  refusedLogins: 0,
  deadLetters: 0,
  dropped: 0,
  unsyncedDropped: {},
  lagRecords: {},
}

/** Ten minutes, a look every 15 s. */
function recent(at: (share: number) => Partial<Counters> = () => ({})): Recent {
  const found = new Recent()
  for (let i = 0; i <= 40; i++) found.add(i * 15_000, { ...quiet, ...at(i / 40) })
  return found
}

function look(more: Partial<AlarmLook> = {}, broker: Partial<BrokerStatus> = {}): AlarmLook {
  return {
    at: NOW,
    broker: { ...fakeStatus, ...broker },
    streams: [],
    upstreams: [fakeUpstream()],
    downlinks: [fakeDownlink()],
    wear: { writtenBytes: 0, bytesPerSecond: 1, enduranceBytes: 1e12, lifeSeconds: 1e12 },
    heldBytes: 6e7,
    memoryBytesMax: 2e8,
    needsRestart: [],
    recent: recent(),
    isOpen: () => false,
    ...more,
  }
}

const withLog = (more: Partial<BrokerStatus['log']>) => look({}, { log: { ...log, ...more } })
const withMqtt = (more: Partial<BrokerStatus['mqtt']>) => look({}, { mqtt: { ...mqtt, ...more } })
const withSpace = (more: Partial<BrokerStatus['log']['space']>, others: Partial<AlarmLook> = {}) =>
  look(others, { log: { ...log, space: { ...log.space, ...more } } })
const withUpstream = (more: Parameters<typeof fakeUpstream>[0]) => look({ upstreams: [fakeUpstream(more)] })
const tls = {
  listener: 'mqtts://127.0.0.1:8883',
  certFile: '/etc/crt',
  keyFile: '/etc/key',
  clientCaFile: null,
  certificate: { until: NOW + 90 * 86_400_000, isDue: false },
  clientAuthority: null,
  fault: null,
}
const withTls = (more: Partial<ListenerTls>) => withMqtt({ tls: [{ ...tls, ...more }] })
const stream: StreamReport = {
  stream: 'events',
  records: 1,
  bytes: 1,
  droppedRecords: 5,
  isCompacted: false,
  partitions: [],
}
const table = {
  stream: 'events',
  state: 'failed',
  reason: 'no room',
  appliedPercent: 1,
  lagRecords: 1,
  keys: 1,
  bytes: 1,
  rebuilds: 0,
  unkeyed: 0,
  misplaced: 0,
} as const
const lastError = { code: 'HW_FENCED', message: 'another edge writes as this one', hint: 'stop it', at: NOW }
const slow = { upToMs: [1, 2000], counts: [90, 10], sumMs: 20_000 }

it('a file system is told of once: what is wrong, and the way out of its own', () => {
  const warning = 'vfat has no journal - put the data directory on ext4, or keep the power'
  const broker = {
    ...fakeStatus,
    fileSystem: { kind: 'fragile', type: 'vfat', mountPoint: '/', warning } as const,
  }
  const found = findings({ ...look({}), broker }).find(({ id }) => id === 'file-system-unsafe')
  expect(found).toMatchObject({
    summary: 'vfat has no journal',
    hint: 'put the data directory on ext4, or keep the power',
  })
})

describe('nothing is an alarm', () => {
  it.each([
    ['while all is well', look()],
    ['of an upstream that is away for a moment', withUpstream({ state: 'backoff', tries: 2, lagRecords: 0 })],
    [
      'of a lag that its schedule makes',
      withUpstream({ state: 'held', lagRecords: 500, lagSecondsOldest: 1200, ackAgeSeconds: 5000 }),
    ],
    [
      'of what was dropped long ago',
      look({ streams: [stream], recent: recent(() => ({ unsyncedDropped: { events: 5 } })) }),
    ],
    [
      'of a few wrong passwords',
      look({ recent: recent((share) => ({ refusedLogins: Math.floor(share * 19) })) }),
    ],
    ['of a certificate that is good for long', withTls({})],
    ['of memory where nobody limits it', look({ heldBytes: 1e12, memoryBytesMax: null })],
    ['of a disk whose free bytes nobody knows', withSpace({ freeBytes: null })],
  ])('%s', (_, calm) => {
    expect(findings(calm)).toEqual([])
  })
})

const cases: [id: AlarmId, severity: string, subject: string, AlarmLook, summary: RegExp][] = [
  ['log-failed', 'critical', 'log', withLog({ condition: 'failed', reason: 'EIO' }), /takes no records: EIO/],
  ['disk-full', 'critical', 'disk', withSpace({ isFull: true, freeBytes: 0 }), /nothing new is taken/],
  ['disk-nearly-full', 'info', 'disk', withSpace({ freeBytes: 2e8 }), /^200 MB are free, and 134 MB of them/],
  [
    'disk-nearly-full',
    'warning',
    'disk',
    withSpace(
      { freeBytes: 2e8 },
      { upstreams: [fakeUpstream({ lagRecords: 5, lagSecondsOldest: 700, state: 'held' })] },
    ),
    /are free/,
  ],
  [
    'commits-failing',
    'critical',
    'log',
    look({ recent: recent((share) => ({ failedCommits: share > 0.5 ? 2 : 0 })) }),
    /^2 commits did not reach/,
  ],
  [
    'commits-slow',
    'warning',
    'log',
    look({ recent: recent((share) => ({ latency: share > 0.97 ? slow : quiet.latency })) }),
    /takes 2/,
  ],
  [
    'log-damaged',
    'warning',
    'log',
    look({}, { damage: { lostOffsets: 12, salvagedSegments: 1, faults: 0, factsDamaged: 2 } }),
    /^at most 12 records lost; since the start: 1 damaged segment in quarantine, 2 damaged facts$/,
  ],
  [
    'sessions-unwritable',
    'critical',
    'broker',
    withMqtt({ sessions: { ...mqtt.sessions, failure: 'ENOSPC' } }),
    /ENOSPC/,
  ],
  [
    'unsynced-dropped',
    'warning',
    'events',
    look({
      streams: [stream],
      recent: recent((share) => ({ unsyncedDropped: { events: Math.floor(share * 5) } })),
    }),
    /^5 records of events went/,
  ],
  [
    'upstream-stopped',
    'critical',
    'archive',
    withUpstream({ state: 'stopped', lastError, lagRecords: 9, lagSecondsOldest: 90_000 }),
    /waits for a person: another edge/,
  ],
  [
    'upstream-stalled',
    'warning',
    'archive',
    withUpstream({ state: 'backoff', tries: 9, lagRecords: 9, lastError }),
    /acknowledges nothing, and 9 records wait/,
  ],
  [
    'upstream-stalled',
    'warning',
    'archive',
    withUpstream({ state: 'sending', ackAgeSeconds: 700, lagRecords: 9 }),
    /acknowledges nothing/,
  ],
  [
    'upstream-lagging',
    'warning',
    'archive',
    withUpstream({ state: 'sending', lagRecords: 9, lagSecondsOldest: 3700 }),
    /^9 records wait for archive, the oldest for/,
  ],
  [
    'upstream-lagging',
    'warning',
    'archive',
    look({
      upstreams: [fakeUpstream({ state: 'sending', lagRecords: 4000 })],
      recent: recent((share) => ({ lagRecords: { archive: share * 4000 } })),
    }),
    /more and more for ten minutes/,
  ],
  ['upstream-paused', 'info', 'archive', withUpstream({ state: 'paused', lagRecords: 3 }), /3 records wait/],
  [
    'stream-refused',
    'warning',
    'archive/events',
    withUpstream({
      refused: [
        { stream: 'events', code: 'X', message: 'no topic', hint: 'make it', at: 1, tries: 2, retryAt: null },
      ],
    }),
    /refuses events while it takes others: no topic/,
  ],
  [
    'downlink-stopped',
    'critical',
    'commands',
    look({ downlinks: [fakeDownlink({ state: 'stopped', lastError })] }),
    /stopped/,
  ],
  [
    'downlink-stalled',
    'warning',
    'commands',
    look({ downlinks: [fakeDownlink({ state: 'backoff', tries: 4, answerAgeSeconds: 10_800, lastError })] }),
    /^commands brings nothing down, its topic answered 3 ?h.* ago: another edge/,
  ],
  [
    'downlink-stalled',
    'warning',
    'commands',
    look({ downlinks: [fakeDownlink({ state: 'connecting', tries: 1, answerAgeSeconds: null })] }),
    /^commands brings nothing down$/,
  ],
  ['downlink-paused', 'info', 'commands', look({ downlinks: [fakeDownlink({ state: 'paused' })] }), /paused/],
  [
    'certificate-due',
    'warning',
    'archive',
    withUpstream({ certificate: { until: NOW + 86_400_000, isDue: true } }),
    /ends on 2023-11-15/,
  ],
  [
    'certificate-due',
    'critical',
    'archive',
    withUpstream({ certificate: { until: NOW - 1, isDue: true } }),
    /has ended on/,
  ],
  [
    'certificate-due',
    'warning',
    tls.listener,
    withTls({ certificate: { until: NOW + 86_400_000, isDue: true } }),
    /mqtts:\/\/127.0.0.1:8883 shows its clients ends on 2023-11-15/,
  ],
  [
    'certificate-due',
    'critical',
    `${tls.listener} clientCaFile`,
    withTls({ clientCaFile: '/etc/ca', clientAuthority: { until: NOW - 1, isDue: true } }),
    /an authority whose certificates mqtts:\/\/127.0.0.1:8883 takes from clients has ended/,
  ],
  [
    'certificate-unusable',
    'warning',
    tls.listener,
    withTls({ fault: 'the key is gone' }),
    /goes on with its old certificates: the key is gone/,
  ],
  [
    'clock-untrusted',
    'warning',
    'clock',
    look({}, { clock: { ...fakeStatus.clock, isTrusted: false, evidence: 'nobody sets it' } }),
    /nobody sets it/,
  ],
  [
    'card-life-short',
    'warning',
    'disk',
    look({ wear: { writtenBytes: 1, bytesPerSecond: 1, enduranceBytes: 1, lifeSeconds: 31_557_600 } }),
    /a new card lasts 36\d ?d/,
  ],
  [
    'file-system-unsafe',
    'warning',
    'disk',
    look(
      {},
      { fileSystem: { kind: 'volatile', type: 'tmpfs', mountPoint: '/', warning: 'gone with the power' } },
    ),
    /gone with the power/,
  ],
  ['memory-high', 'warning', 'broker', look({ heldBytes: 1.85e8 }), /of the/],
  ['connection-limit', 'warning', 'broker', withMqtt({ connections: 1000 }), /^1,000 of 1,000/],
  [
    'logins-refused',
    'warning',
    'broker',
    look({ recent: recent((share) => ({ refusedLogins: Math.floor(share * 20) })) }),
    /^20 logins/,
  ],
  [
    'messages-dropped',
    'warning',
    'broker',
    look({ recent: recent((share) => ({ dropped: share })) }),
    /^1 message /,
  ],
  [
    'dead-letters',
    'warning',
    'dead-letters',
    look({ recent: recent((share) => ({ deadLetters: share * 3 })) }),
    /^3 messages/,
  ],
  [
    'table-failed',
    'warning',
    'events',
    look({ streams: [{ ...stream, droppedRecords: 0, table }] }),
    /events cannot be read: no room/,
  ],
  [
    'restart-needed',
    'info',
    'broker',
    look({ needsRestart: ['data', 'log.segmentBytes'] }),
    /data, log\.segmentBytes$/,
  ],
]

describe('an alarm', () => {
  it.each(cases)('%s (%s) of %s', (id, severity, subject, at, summary) => {
    const found = findings(at)
    expect(found).toEqual([
      { id, severity, subject, summary: expect.stringMatching(summary), hint: expect.stringMatching(/\w/) },
    ])
    expect(found[0]!.summary + found[0]!.hint).not.toMatch(/\n|undefined|null|NaN/)
  })

  it('has a case here for each', () => {
    expect(new Set(cases.map(([id]) => id))).toEqual(new Set(Object.keys(ALARMS)))
  })

  it.each([
    ['disk-nearly-full', withSpace({ freeBytes: 3e8 })],
    ['connection-limit', withMqtt({ connections: 950 })],
    ['memory-high', look({ heldBytes: 1.7e8 })],
    [
      'card-life-short',
      look({ wear: { writtenBytes: 1, bytesPerSecond: 1, enduranceBytes: 1, lifeSeconds: 7e7 } }),
    ],
    ['upstream-lagging', withUpstream({ state: 'sending', lagRecords: 9, lagSecondsOldest: 2000 })],
    [
      'commits-slow',
      look({
        recent: recent((share) => ({
          latency: share > 0.97 ? { ...slow, upToMs: [1, 630] } : quiet.latency,
        })),
      }),
    ],
  ] as [AlarmId, AlarmLook][])('%s that is open takes more to close than not to open', (id, near) => {
    expect(findings(near)).toEqual([])
    expect(findings({ ...near, isOpen: () => true }).map((finding) => finding.id)).toEqual([id])
  })

  it('is documented, and nothing else is', () => {
    const text = readFileSync(join(import.meta.dirname, '../../../../docs/operate.md'), 'utf8')
    const documented = [...text.matchAll(/^\| <a id="([a-z-]+)"><\/a>`\1` +\|/gm)].map(([, id]) => id!)
    expect(documented.toSorted()).toEqual(Object.keys(ALARMS).toSorted())
  })
})
