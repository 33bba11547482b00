import { describe, expect, it } from 'vitest'
import {
  type CompactionInput,
  PURGED,
  planCompaction,
  stepsAfter,
} from '../../../broker/log/compaction-plan.ts'
import { newSegment, type Segment } from '../../../broker/log/segment.ts'
import { DEFAULT_POLICY } from '../../../broker/log/stream-policy.ts'

/** Segment n has commits 10n+1 to 10n+10 and offsets 10n to 10n+9 of partition 1, 100 bytes. */
function segment(n: number): Segment {
  const summary = {
    id: 1,
    firstOffset: n * 10,
    nextOffset: n * 10 + 10,
    records: 10,
    bytes: 100,
    maxTimestamp: 0,
  }
  return {
    ...newSegment(String(n), n * 10 + 1),
    lastCommit: n * 10 + 10,
    isSealed: true,
    summaries: [summary],
  }
}

function plan(more: Partial<CompactionInput> & { floor?: number; tombstoneMs?: number }) {
  const policy = { ...DEFAULT_POLICY, deletes: false, compacts: true, tombstoneMs: more.tombstoneMs ?? 1000 }
  const partitions = [{ id: 1, logStartOffset: 0, floor: more.floor ?? Number.POSITIVE_INFINITY }]
  return planCompaction({
    sealed: [0, 1, 2, 3].map(segment),
    streams: [{ name: 's', policy, partitions }],
    cleaned: undefined,
    dirtyShare: 0.5,
    isForced: false,
    now: 10_000,
    ...more,
  }).map(({ cleanTo, toCommit, tombstonesTo }) => ({ cleanTo, toCommit, tombstonesTo }))
}

describe('a plan for compaction', () => {
  it('takes all sealed segments of a stream that was never compacted', () => {
    expect(plan({})).toEqual([{ cleanTo: 0, toCommit: 40, tombstonesTo: 0 }])
  })

  it('waits until enough is dirty, unless it is forced, and has nothing to do where nothing is', () => {
    const cleaned = { s: [[30, 9999]] as const }
    expect(plan({ cleaned })).toEqual([])
    expect(plan({ cleaned, dirtyShare: 0.25 })).toEqual([{ cleanTo: 30, toCommit: 40, tombstonesTo: 0 }])
    expect(plan({ cleaned, isForced: true })).toEqual([{ cleanTo: 30, toCommit: 40, tombstonesTo: 0 }])
    expect(plan({ cleaned: { s: [[40, 9999]] }, isForced: true })).toEqual([])
    expect(plan({ sealed: [] })).toEqual([])
  })

  it('ends before the first segment that an upstream has not got whole', () => {
    expect(plan({ floor: 29 })).toEqual([{ cleanTo: 0, toCommit: 20, tombstonesTo: 0 }])
    expect(plan({ floor: 30 })).toEqual([{ cleanTo: 0, toCommit: 30, tombstonesTo: 0 }])
    expect(plan({ floor: 0 })).toEqual([])
  })

  it('lets tombstones go once what they hid has been gone for their delay, by a trusted clock', () => {
    const steps = (now: number | null, steps: [number, number | null][]) =>
      plan({ now, cleaned: { s: steps } })
    expect(steps(10_999, [[40, 10_000]])).toEqual([])
    expect(steps(11_000, [[40, 10_000]])).toEqual([{ cleanTo: 40, toCommit: 40, tombstonesTo: 40 }])
    expect(steps(null, [[40, 10_000]])).toEqual([])
    expect(steps(11_000, [[40, null]])).toEqual([])
    expect(steps(11_000, [[40, PURGED]])).toEqual([])
    const two = [
      [20, 9000],
      [40, 10_500],
    ] as [number, number][]
    expect(steps(11_000, two)).toEqual([{ cleanTo: 40, toCommit: 40, tombstonesTo: 20 }])
  })
})

describe('what is written down after a round', () => {
  it('is how far it came and when, and which tombstones are gone', () => {
    expect(stepsAfter([], { toCommit: 10, tombstonesTo: 0 }, 5)).toEqual([[10, 5]])
    expect(stepsAfter([[10, 5]], { toCommit: 20, tombstonesTo: 10 }, null)).toEqual([
      [10, PURGED],
      [20, null],
    ])
    expect(stepsAfter([[10, 5]], { toCommit: 10, tombstonesTo: 0 }, 9)).toEqual([[10, 5]])
  })

  it('stays short, and no tombstone goes sooner for it', () => {
    let steps: [number, number | null][] = []
    for (let n = 1; n <= 100; n++)
      steps = stepsAfter(steps, { toCommit: n, tombstonesTo: 0 }, n * 10) as never
    expect(steps.length).toBe(16)
    for (let n = 1; n <= 100; n++) {
      const step = steps.find(([commit]) => commit >= n)!
      expect(step[1]).toBeGreaterThanOrEqual(n * 10)
    }
    const gone = stepsAfter(steps, { toCommit: 100, tombstonesTo: 90 }, 0)
    expect(gone.filter(([, at]) => at === PURGED)).toHaveLength(1)
  })
})
