import { expect, it } from 'vitest'
import { TimeZone } from '../../../sync/link/local-time.ts'
import { cronMatchers, Schedule, type ScheduleOptions } from '../../../sync/link/schedule.ts'

const schedule = (windows: ScheduleOptions['windows'], timezone = 'Europe/Berlin') =>
  new Schedule({ windows, timezone, outside: 'hold' }, [])
const at = (text: string) => Date.parse(text)
const night = { from: '22:00', to: '06:00', days: [] }

it('is open from its first minute to before its last, by the clock on the wall', () => {
  const day = schedule([{ from: '09:00', to: '17:00', days: [] }])
  expect(day.isOpen(at('2026-01-05T07:59:59Z'))).toBe(false)
  expect(day.isOpen(at('2026-01-05T08:00:00Z'))).toBe(true)
  expect(day.isOpen(at('2026-01-05T15:59:59Z'))).toBe(true)
  expect(day.isOpen(at('2026-01-05T16:00:00Z'))).toBe(false)
  // in summer an hour earlier by UTC
  expect(day.isOpen(at('2026-07-06T07:00:00Z'))).toBe(true)
  expect(day.isOpen(at('2026-07-06T15:00:00Z'))).toBe(false)
})

it('past midnight a window belongs to the day on which it began', () => {
  const friday = schedule([{ ...night, days: ['fri'] }])
  expect(friday.isOpen(at('2026-01-09T21:30:00Z'))).toBe(true)
  expect(friday.isOpen(at('2026-01-10T04:30:00Z'))).toBe(true)
  expect(friday.isOpen(at('2026-01-10T05:00:00Z'))).toBe(false)
  expect(friday.isOpen(at('2026-01-10T21:30:00Z'))).toBe(false)
  expect(friday.isOpen(at('2026-01-09T04:30:00Z'))).toBe(false)
})

it('equal ends are a whole day, and one open window is enough', () => {
  const weekend = schedule([{ from: '00:00', to: '00:00', days: ['sat', 'sun'] }, night])
  expect(weekend.isOpen(at('2026-01-10T12:00:00Z'))).toBe(true)
  expect(weekend.isOpen(at('2026-01-12T12:00:00Z'))).toBe(false)
  expect(weekend.isOpen(at('2026-01-12T23:00:00Z'))).toBe(true)
})

it('tells when it opens next', () => {
  expect(schedule([night]).opensAt(at('2026-01-05T12:34:56Z'))).toBe(at('2026-01-05T21:00:00Z'))
  const monday = schedule([{ from: '08:00', to: '09:00', days: ['mon'] }])
  expect(monday.opensAt(at('2026-01-05T09:30:00Z'))).toBe(at('2026-01-12T07:00:00Z'))
  expect(
    new Schedule({ windows: [{ cron: '* 1 * * *' }], timezone: 'UTC', outside: 'hold' }, []).opensAt(0),
  ).toBe(null)
})

it('a cron expression names the minutes in which it is open, in its time zone', async () => {
  const options: ScheduleOptions = {
    windows: [{ cron: '* 22-23,0-5 * * 1-5' }],
    timezone: 'Europe/Berlin',
    outside: 'hold',
  }
  const nights = new Schedule(options, await cronMatchers(options))
  expect(nights.isOpen(at('2026-01-05T21:00:00Z'))).toBe(true)
  expect(nights.isOpen(at('2026-01-05T21:30:30.500Z'))).toBe(true)
  expect(nights.isOpen(at('2026-01-05T05:00:00Z'))).toBe(false)
  expect(nights.isOpen(at('2026-01-10T22:30:00Z'))).toBe(false)
})

it('a local day begins at midnight there, or when the clock has passed it', () => {
  const berlin = new TimeZone('Europe/Berlin')
  expect(berlin.dayStart(2026, 1, 5)).toBe(at('2026-01-04T23:00:00Z'))
  expect(berlin.dayStart(2026, 7, 5)).toBe(at('2026-07-04T22:00:00Z'))
  expect(berlin.dayStart(2026, 13, 1)).toBe(at('2026-12-31T23:00:00Z'))
  expect(new TimeZone('Pacific/Kiritimati').dayStart(2026, 1, 5)).toBe(at('2026-01-04T10:00:00Z'))
  expect(new TimeZone('Pacific/Pago_Pago').dayStart(2026, 1, 5)).toBe(at('2026-01-05T11:00:00Z'))
  // Lebanon puts its clocks forward at midnight
  expect(new TimeZone('Asia/Beirut').dayStart(2026, 3, 29)).toBe(at('2026-03-28T22:00:00Z'))
  expect(berlin.at(at('2026-01-04T23:00:00Z'))).toEqual({
    year: 2026,
    month: 1,
    day: 5,
    weekday: 1,
    minute: 0,
  })
})
