import { expect, it } from 'vitest'
import type { LogRecord } from '../../../broker/index.ts'
import type { UpstreamConfig } from '../../../sync/config.ts'
import { recordWishes } from '../../../sync/filter/wish.ts'

const record = (offset: number, key: string | null): LogRecord => {
  return { offset, timestamp: 5, key: key === null ? null : Buffer.from(key), value: null, headers: [] }
}

it('tells of a record what the filters of its stream do with it', () => {
  const all = { include: [], exclude: [] }
  const wishOf = recordWishes({
    kind: 'archive',
    name: 'a',
    streams: { include: ['*'], exclude: ['debug*'] },
    filters: [
      { streams: ['telemetry'], keys: { include: ['site/1/*'], exclude: [] }, oneIn: 1, newestPerKey: false },
      { streams: ['tenth'], keys: all, oneIn: 10, newestPerKey: false },
      { streams: ['states'], keys: all, oneIn: 1, newestPerKey: true },
    ],
  } as unknown as UpstreamConfig)
  expect(wishOf('events')).toBeNull()
  const telemetry = wishOf('telemetry')!
  expect(telemetry.mayPassOver).toBeNull()
  expect([record(0, 'site/1/t'), record(1, 'site/2/t'), record(2, null)].map(telemetry.leavesOut)).toEqual([
    false,
    true,
    true,
  ])
  const tenth = wishOf('tenth')!
  const kept = Array.from({ length: 40 }, (_, i) => record(i, 'k')).filter((each) => !tenth.leavesOut(each))
  expect(kept).toHaveLength(4)
  expect(wishOf('states')!.mayPassOver).toMatch(/newest/)
  expect(wishOf('debug-1')!.mayPassOver).toMatch(/does not get/)
})
