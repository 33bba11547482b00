import { describe, expect, it } from 'vitest'
import {
  liveBytesFrom,
  type PlannedStream,
  planRemovals,
  planRetention,
  type RemovalOptions,
  type RetentionInput,
} from '../../../broker/log/retention-plan.ts'
import { newSegment, type Segment } from '../../../broker/log/segment.ts'
import { DEFAULT_POLICY, type StreamPolicy } from '../../../broker/log/stream-policy.ts'

/** Segment n of a row in which each has 10 records of 10 bytes of every partition named. */
function segment(n: number, ids: readonly number[], more: Partial<Segment> = {}): Segment {
  const summaries = ids.map((id) => ({
    id,
    firstOffset: n * 10,
    nextOffset: n * 10 + 10,
    records: 10,
    bytes: 100,
    maxTimestamp: 0,
  }))
  const bytes = 100 * ids.length
  return {
    ...newSegment(String(n), n * 5 + 1),
    lastCommit: n * 5 + 5,
    isSealed: true,
    bytes,
    summaries,
    ...more,
  }
}

function stream(
  name: string,
  ids: readonly number[],
  policy: Partial<StreamPolicy>,
  floor = Infinity,
): PlannedStream {
  const partitions = ids.map((id) => ({ id, logStartOffset: 0, floor }))
  return { name, policy: { ...DEFAULT_POLICY, ...policy }, partitions }
}

function plan(input: Partial<RetentionInput>) {
  const { starts, dropped, evicted, bytes } = planRetention({
    sealed: [],
    activeBytes: new Map(),
    streams: [],
    now: 1_000_000,
    bytesToFree: 0,
    ...input,
  })
  return { starts: [...starts], dropped: [...dropped], evicted: [...evicted], bytes }
}

const NOTHING = { starts: [], dropped: [], evicted: [], bytes: 0 }
const FOUR = [0, 1, 2, 3].map((n) => segment(n, [7], { sealedAt: n * 1000 }))

describe('retention by size', () => {
  it('takes the oldest segments as long as the newest bytes asked for are left, the active ones counted', () => {
    const streams = [stream('s', [7], { retentionBytes: 250 })]
    expect(plan({ sealed: FOUR, streams })).toEqual({ ...NOTHING, starts: [[7, 10]], bytes: 100 })
    expect(plan({ sealed: FOUR, streams, activeBytes: new Map([[7, 160]]) }).starts).toEqual([[7, 30]])
    expect(plan({ sealed: FOUR.slice(2), streams })).toEqual(NOTHING)
  })

  it('counts what all partitions hold, and takes of all of them together', () => {
    const sealed = [0, 1, 2, 3].map((n) => segment(n, [7, 8]))
    const { starts } = plan({ sealed, streams: [stream('s', [7, 8], { retentionBytes: 350 })] })
    expect(starts).toEqual([
      [7, 20],
      [8, 20],
    ])
  })

  it('counts nothing below the log start', () => {
    const moved = stream('s', [7], { retentionBytes: 250 })
    const partitions = [{ id: 7, logStartOffset: 20, floor: Infinity }]
    expect(plan({ sealed: FOUR, streams: [{ ...moved, partitions }] })).toEqual(NOTHING)
  })
})

describe('retention by time', () => {
  const streams = [stream('s', [7], { retentionMs: 5000 })]

  it('takes what was sealed longer ago, and nothing of a segment sealed just so long ago', () => {
    expect(plan({ sealed: FOUR, streams, now: 6000 }).starts).toEqual([[7, 10]])
    expect(plan({ sealed: FOUR, streams, now: 6001 }).starts).toEqual([[7, 20]])
  })

  it('stands still while no clock is to be trusted, and for segments without a date', () => {
    expect(plan({ sealed: FOUR, streams, now: null })).toEqual(NOTHING)
    expect(plan({ sealed: [segment(0, [7]), ...FOUR.slice(1)], streams, now: 1e9 })).toEqual(NOTHING)
  })

  it('does not jump over an older segment that has to stay', () => {
    const held = [stream('s', [7], { retentionMs: 5000 }, 5)]
    expect(plan({ sealed: FOUR, streams: held, now: 1e9 })).toEqual(NOTHING)
  })
})

describe('what upstream has not got', () => {
  it('stays whatever the retention says, and goes up to there', () => {
    const kept = (floor: number) => [stream('s', [7], { retentionBytes: 1, retentionMs: 1 }, floor)]
    expect(plan({ sealed: FOUR, streams: kept(0) })).toEqual(NOTHING)
    expect(plan({ sealed: FOUR, streams: kept(29) }).starts).toEqual([[7, 20]])
    expect(plan({ sealed: FOUR, streams: kept(30) }).starts).toEqual([[7, 30]])
  })

  it('goes where the stream says drop-oldest, and each such record is counted once', () => {
    const streams = [stream('s', [7, 8], { retentionBytes: 1, unsynced: 'drop-oldest' }, 13)]
    const sealed = [0, 1, 2].map((n) => segment(n, [7, 8]))
    const result = plan({ sealed, streams })
    expect(result.starts).toEqual([
      [7, 20],
      [8, 20],
    ])
    expect(result.dropped).toEqual([['s', 2 * 7]])
  })
})

describe('a disk that needs room', () => {
  const sealed = [0, 1, 2].map((n) => segment(n, [1, 2, 3]))
  const streams = (floors: [number, number, number], unsynced: StreamPolicy['unsynced'] = 'keep') => [
    stream('high', [1], { priority: 9, unsynced }, floors[0]),
    stream('low', [2], { priority: 1, unsynced }, floors[1]),
    stream('middle', [3], { priority: 5, unsynced }, floors[2]),
  ]

  it('takes nothing of a segment of which more stays than the disk has room for', () => {
    const input = { sealed, bytesToFree: 1000 }
    const one = [...streams([0, 30, 0]).slice(1), stream('high', [1], { deletes: false })]
    expect(plan({ ...input, streams: one, liveBytesMax: 199 })).toEqual(NOTHING)
    expect(plan({ ...input, streams: one, liveBytesMax: 200 }).starts).toEqual([[2, 30]])
    // what goes with it counts: of all three nothing is left
    const all = streams([0, 0, 0], 'drop-oldest')
    expect(plan({ ...input, streams: all, liveBytesMax: 0 }).starts).toHaveLength(3)
    const older = [segment(0, [1, 2]), segment(1, [2])]
    const reached = { ...input, sealed: older, streams: one, liveBytesMax: 0 }
    expect(plan(reached).starts, 'older ones go with one that makes room').toEqual([[2, 20]])
  })

  it('takes what every upstream has, the lowest priority first, the oldest of it first, no more than it needs', () => {
    const all = streams([Infinity, Infinity, Infinity])
    expect(plan({ sealed, streams: all, bytesToFree: 150 })).toEqual({
      starts: [[2, 20]],
      dropped: [],
      evicted: [['low', 200]],
      bytes: 200,
    })
    expect(plan({ sealed, streams: all, bytesToFree: 400 }).evicted).toEqual([
      ['low', 300],
      ['middle', 100],
    ])
  })

  it('takes what a higher one has upstream before what a lower one has not', () => {
    const result = plan({ sealed, streams: streams([Infinity, 0, 10], 'drop-oldest'), bytesToFree: 600 })
    expect(result.evicted).toEqual([
      ['middle', 100],
      ['high', 300],
      ['low', 200],
    ])
    expect(result.dropped).toEqual([['low', 20]])
  })

  it('takes nothing that upstream has not got from a stream that keeps it, nor from one that is only compacted', () => {
    expect(plan({ sealed, streams: streams([0, 0, 0]), bytesToFree: 1e9 })).toEqual(NOTHING)
    const compacted = [stream('c', [1], { deletes: false, compacts: true, unsynced: 'drop-oldest' })]
    expect(plan({ sealed, streams: compacted, bytesToFree: 1e9 })).toEqual(NOTHING)
  })
})

describe('removing what is dead', () => {
  const remove = (sealed: Segment[], starts: Record<number, number>, more: Partial<RemovalOptions> = {}) =>
    planRemovals(sealed, {
      liveBytesOf: (candidate) => liveBytesFrom(candidate, (id) => starts[id] ?? 0),
      spanMsOf: () => Infinity,
      deadShare: 0.5,
      segmentBytes: 1000,
      ...more,
    }).map(({ segments, isEmpty }) => [segments.map(({ id }) => id).join('+'), isEmpty])

  it('removes segments of which nothing is left as they are', () => {
    expect(remove(FOUR, { 7: 20 })).toEqual([
      ['0', true],
      ['1', true],
    ])
    expect(remove(FOUR, { 7: 19 })).toEqual([['0', true]])
  })

  it('writes those anew of which half is dead, neighbours together as far as they fit', () => {
    const sealed = [0, 1, 2, 3].map((n) => segment(n, [1, 2]))
    expect(remove(sealed, { 1: 30 })).toEqual([['0+1+2', false]])
    expect(remove(sealed, { 1: 30 }, { segmentBytes: 200 })).toEqual([
      ['0+1', false],
      ['2', false],
    ])
    expect(remove(sealed, { 1: 30 }, { deadShare: 0.6 })).toEqual([])
  })

  describe('takes rewritten neighbours of about its size along once there are many', () => {
    const rewritten = (n: number, bytes: number) => {
      const whole = segment(n, [2], { isRewritten: true })
      return { ...whole, summaries: whole.summaries.map((summary) => ({ ...summary, bytes })) }
    }
    const fresh = segment(9, [1, 2])
    const before = (sizes: readonly number[]) => [...sizes.map((bytes, i) => rewritten(i + 1, bytes)), fresh]
    const seven = [10, 10, 10, 10, 10, 10, 200]

    it('so that small segments do not gather, and a byte is copied a few times at most', () => {
      expect(remove(before(seven), { 1: 100 })).toEqual([['1+2+3+4+5+6+7+9', false]])
      expect(remove(before(seven.slice(1)), { 1: 100 }), 'six are left').toEqual([['9', false]])
    })

    it('and then those that are as large as all of these', () => {
      const larger = [600, 600, 600, 600, 600, 600, 600]
      const sealed = [...larger, ...seven.map(() => 100)].map((bytes, i) => rewritten(i + 1, bytes))
      const ids = sealed.map(({ id }) => id).join('+')
      const last = segment(20, [1, 2])
      expect(remove([...sealed, last], { 1: 1000 }, { segmentBytes: 10_000 })).toEqual([
        [`${ids}+${last.id}`, false],
      ])
    })

    it('but none that is larger, none as it was first written, and no more than a segment holds', () => {
      expect(remove(before([201, ...seven.slice(1)]), { 1: 100 })).toEqual([['9', false]])
      const whole = [1, 2, 3, 4, 5, 6, 7].map((n) => segment(n, [2]))
      expect(remove([...whole, fresh], { 1: 100 })).toEqual([['9', false]])
      expect(remove(before(seven), { 1: 100 }, { segmentBytes: 300 })).toEqual([['9', false]])
    })
  })

  it('puts none into two removals', () => {
    const sealed = [segment(0, [1, 2], { isRewritten: true }), segment(1, [1, 2]), segment(2, [1, 2])]
    expect(remove(sealed, { 1: 30 }, { segmentBytes: 150 })).toEqual([
      ['0', false],
      ['1', false],
      ['2', false],
    ])
  })

  it('keeps apart what expires at times that are too far apart', () => {
    const sealed = [0, 1].map((n) => segment(n, [1, 2], { sealedAt: n * 1000 }))
    expect(remove(sealed, { 1: 20 }, { spanMsOf: () => 999 })).toEqual([
      ['0', false],
      ['1', false],
    ])
    expect(remove(sealed, { 1: 20 }, { spanMsOf: () => 1000 })).toEqual([['0+1', false]])
  })
})
