/** The schedule of compaction over reloads, a clock that jumps, and a stop. */
import { getTasks } from 'node-cron'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { defaultConfig } from '../../../broker/config/load.ts'
import { CompactionSchedule } from '../../../broker/operations/compaction-schedule.ts'
import { streamConfig } from '../../support/stream-config.ts'
import { RecordingSink } from '../log/support.ts'

const START = Date.UTC(2026, 0, 1, 12, 0, 3, 500)
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

const withSchedule = (schedule: string) => {
  const config = defaultConfig('/data')
  config.streams = [streamConfig({ name: 'states', cleanup: 'compact' })]
  config.log.compaction.schedule = schedule
  return config
}

let runs: number
let schedule: CompactionSchedule
beforeEach(() => {
  vi.useFakeTimers({ now: START })
  runs = 0
  schedule = new CompactionSchedule(async () => void runs++, new RecordingSink())
})
afterEach(() => {
  schedule.close()
  vi.useRealTimers()
})

test('a reload that the stop overtakes leaves no timer that keeps the process', async () => {
  const before = getTasks().size
  const followed = schedule.follow(withSchedule('*/10 * * * *'))
  schedule.close()
  await followed
  await schedule.follow(withSchedule('*/20 * * * *'))
  expect(getTasks().size).toBe(before)
  expect(vi.getTimerCount()).toBe(0)
})

test('of two reloads at the same time the last one counts', async () => {
  const both = [schedule.follow(withSchedule('* * * * *')), schedule.follow(withSchedule('0 0 1 1 *'))]
  await Promise.all(both)
  await vi.advanceTimersByTimeAsync(5 * MINUTE_MS)
  expect(runs).toBe(0)
  expect(vi.getTimerCount()).toBe(1)
})

test('of three at the same time, the first and the last alike, one is left', async () => {
  const often = withSchedule('* * * * *')
  await Promise.all([often, withSchedule('0 0 1 1 *'), often].map((config) => schedule.follow(config)))
  expect(vi.getTimerCount()).toBe(1)
})

test('a schedule that could not be started is tried again by the next reload, not taken for the one that runs', async () => {
  const impossible = withSchedule('0 0 31 2 *')
  await expect(schedule.follow(impossible)).rejects.toThrow('impossible day')
  await expect(schedule.follow(impossible)).rejects.toThrow('impossible day')
})

test('a clock that was put forward by half a century makes one run, and no stall', async () => {
  await schedule.follow(withSchedule('* * * * *'))
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  expect(runs).toBe(1)
  vi.setSystemTime(START + 20_000 * DAY_MS)
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  expect(runs).toBe(3)
})

test('a clock that was put back by a month has its runs at the times of then', async () => {
  await schedule.follow(withSchedule('*/2 * * * *'))
  vi.setSystemTime(START - 30 * DAY_MS)
  await vi.advanceTimersByTimeAsync(4 * MINUTE_MS)
  expect(runs).toBe(2)
})

test('a run that is not over when the next is due is not joined by another', async () => {
  let end = () => {}
  const slow = new CompactionSchedule(() => {
    runs++
    return new Promise<void>((resolve) => {
      end = resolve
    })
  }, new RecordingSink())
  await slow.follow(withSchedule('* * * * *'))
  await vi.advanceTimersByTimeAsync(5 * MINUTE_MS)
  expect(runs).toBe(1)
  end()
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  expect(runs).toBe(2)
  slow.close()
  end()
})
