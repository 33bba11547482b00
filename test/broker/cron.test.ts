/** A clock that jumps: a Pi has no battery, and is put right when it has reached a time server. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { startCron } from '../../broker/cron.ts'

const START = Date.UTC(2026, 0, 1, 12, 0, 3, 500)
const DAY_MS = 86_400_000
const JUMP_MS = 20_000 * DAY_MS

let end: () => void
let times: string[]

beforeEach(async () => {
  vi.useFakeTimers({ now: START })
  times = []
  end = await startCron('*/10 * * * * *', 'UTC', () => times.push(new Date().toISOString().slice(11)))
})
afterEach(() => {
  end()
  vi.useRealTimers()
})

it('a schedule comes at its times, each once, until it is ended', () => {
  vi.advanceTimersByTime(26_500)
  expect(times).toEqual(['12:00:10.000Z', '12:00:20.000Z', '12:00:30.000Z'])
  end()
  vi.advanceTimersByTime(60_000)
  expect(times.length).toBe(3)
})

it('what a clock that was put forward left out is not made up for, however much it is', () => {
  vi.setSystemTime(START + JUMP_MS)
  vi.advanceTimersByTime(26_500)
  expect(times).toEqual(['12:00:08.500Z', '12:00:10.000Z', '12:00:20.000Z', '12:00:30.000Z'])
})

it('a clock that was put back has the times of then', () => {
  vi.setSystemTime(START - 30 * DAY_MS)
  vi.advanceTimersByTime(26_500)
  expect(times).toEqual(['12:00:10.000Z', '12:00:20.000Z', '12:00:30.000Z'])
})

it('a schedule has the time zone that is named', async () => {
  const called: string[] = []
  const stop = await startCron('0 0 14 * * *', 'Europe/Berlin', () => called.push(new Date().toISOString()))
  vi.advanceTimersByTime(DAY_MS)
  stop()
  expect(called).toEqual(['2026-01-01T13:00:00.000Z'])
})
