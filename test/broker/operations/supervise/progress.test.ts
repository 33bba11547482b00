import { describe, expect, test } from 'vitest'
import {
  COMMIT_MS_MAX,
  judgeProgress,
  NOTHING_SEEN,
  type ProgressFacts,
  type Seen,
  UPSTREAM_MS_MAX,
} from '../../../../broker/operations/supervise/progress.ts'

type Upstream = ProgressFacts['upstreams'][number]

function log(more: Partial<ProgressFacts['log']> = {}): ProgressFacts['log'] {
  return { condition: 'open', waitingMs: 0, space: { isFull: false }, ...more }
}

function upstream(more: Partial<Upstream> = {}): Upstream {
  return {
    name: 'cloud',
    kind: 'kafka',
    state: 'sending',
    since: 1000,
    lagRecords: 5,
    sentRecords: 10,
    filteredRecords: 0,
    passedOverRecords: 0,
    skippedRecords: 0,
    wireBytes: 900,
    tries: 0,
    stalls: 0,
    link: { hold: null, bandwidth: null, schedule: null, budgets: [] },
    ...more,
  }
}

/** What is said of these looks, one a minute, at the last of them. */
function judged(looks: readonly ProgressFacts[], everyMs = 60_000): string | null {
  let seen: Seen = NOTHING_SEEN
  let halted: string | null = null
  looks.forEach((facts, index) => {
    const result = judgeProgress(seen, facts, index * everyMs)
    seen = result.seen
    halted = result.halted
  })
  return halted
}

const MINUTES = Math.floor(UPSTREAM_MS_MAX / 60_000) + 2
const forLong = (of: (minute: number) => Upstream) =>
  judged(Array.from({ length: MINUTES }, (_, minute) => ({ log: log(), upstreams: [of(minute)] })))

describe('the log', () => {
  test('at rest, or with commits that take their time, gets on', () => {
    expect(judged([{ log: log(), upstreams: [] }])).toBeNull()
    expect(judged([{ log: log({ waitingMs: COMMIT_MS_MAX }), upstreams: [] }])).toBeNull()
  })

  test('has come to a halt when appends wait and no commit comes to its end', () => {
    const facts = { log: log({ waitingMs: COMMIT_MS_MAX + 1000 }), upstreams: [] }
    expect(judged([facts])).toBe('no commit for 61 s while appends wait')
  })

  test('on a disk that is known to be full, or to fail, is in hand already', () => {
    const waitingMs = COMMIT_MS_MAX * 10
    expect(judged([{ log: log({ waitingMs, space: { isFull: true } }), upstreams: [] }])).toBeNull()
    expect(judged([{ log: log({ waitingMs, condition: 'failed' }), upstreams: [] }])).toBeNull()
  })
})

describe('an upstream', () => {
  test('with records that wait and nothing that changes has come to a halt', () => {
    expect(forLong(() => upstream())).toMatch(/^upstream cloud is sending for [0-9]+ s without a sign$/)
    expect(forLong(() => upstream({ state: 'recovering' }))).toContain('recovering')
  })

  test('is given as long as its replicator gives a call', () => {
    const facts = { log: log(), upstreams: [upstream()] }
    expect(judged([facts, facts], UPSTREAM_MS_MAX)).toBeNull()
    expect(judged([facts, facts], UPSTREAM_MS_MAX + 1)).not.toBeNull()
  })

  test.each([
    ['sends records', (minute: number) => ({ sentRecords: minute })],
    ['leaves records out', (minute: number) => ({ filteredRecords: minute })],
    ['passes records over', (minute: number) => ({ passedOverRecords: minute })],
    ['moves bytes', (minute: number) => ({ wireBytes: minute })],
    ['ends stuck calls', (minute: number) => ({ stalls: minute })],
    ['tries again', (minute: number) => ({ tries: minute })],
    ['changes its state', (minute: number) => ({ since: minute })],
  ])('that %s gets on', (_what, change) => {
    expect(forLong((minute) => upstream(change(minute)))).toBeNull()
  })

  test.each(['idle', 'backoff', 'held', 'paused', 'stopped', 'closed'])(
    'that is %s waits for something else',
    (state) => {
      expect(forLong(() => upstream({ state }))).toBeNull()
    },
  )

  test('without anything to send gets on', () => {
    expect(forLong(() => upstream({ lagRecords: 0 }))).toBeNull()
  })

  test('that waits for its share of the bandwidth gets on', () => {
    const bandwidth = { bytesPerSecond: 1, burstBytes: 1, isWaiting: true }
    expect(forLong(() => upstream({ link: { ...upstream().link, bandwidth } }))).toBeNull()
  })

  test('on a disk is not mended by another process', () => {
    expect(forLong(() => upstream({ kind: 'archive' }))).toBeNull()
  })

  test('is not taken for one that had come to a halt before it was idle', () => {
    const looks = Array.from({ length: MINUTES }, (_, minute) => ({
      log: log(),
      upstreams: [upstream(minute === MINUTES - 2 ? { state: 'idle' } : {})],
    }))
    expect(judged(looks)).toBeNull()
  })

  test('beside one that gets on is found', () => {
    const looks = Array.from({ length: MINUTES }, (_, minute) => ({
      log: log(),
      upstreams: [upstream({ name: 'a', sentRecords: minute }), upstream({ name: 'b' })],
    }))
    expect(judged(looks)).toMatch(/^upstream b /)
  })
})
