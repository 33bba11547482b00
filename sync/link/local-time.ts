/** What a wall clock shows in a time zone, and back. All of it from the time zone database of the runtime. */

export interface LocalTime {
  readonly year: number
  /** 1 to 12 */
  readonly month: number
  readonly day: number
  /** 0 is Sunday. */
  readonly weekday: number
  /** Since local midnight, by the clock on the wall. */
  readonly minute: number
}

export const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
export const DAY_MINUTES = 1440
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

export class TimeZone {
  readonly #format: Intl.DateTimeFormat

  /** @param name such as Europe/Berlin, or `system` @throws RangeError for one that is not known */
  constructor(name: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      ...(name === 'system' ? {} : { timeZone: name }),
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    })
  }

  /** @param time ms since 1970 */
  at(time: number): LocalTime {
    const parts: Record<string, number> = {}
    for (const { type, value } of this.#format.formatToParts(time)) parts[type] = Number(value)
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = parts
    const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay()
    return { year, month, day, weekday, minute: hour * 60 + minute }
  }

  /**
   * When a local day begins, ms since 1970: at midnight, or at the first minute after it where a clock that is put forward leaves
   * midnight out.
   * @param month 1 to 12, or beyond, as `Date.UTC` takes it
   */
  dayStart(year: number, month: number, day: number): number {
    const wanted = Date.UTC(year, month - 1, day)
    const target = new Date(wanted)
    const isBefore = (time: number) => {
      const local = this.at(time)
      return Date.UTC(local.year, local.month - 1, local.day) < target.getTime()
    }
    // zones lie within 14 hours of UTC: the first minute of the day is found by halving
    let before = wanted - DAY_MS
    let after = wanted + DAY_MS
    while (after - before > MINUTE_MS) {
      const middle = before + Math.floor((after - before) / 2 / MINUTE_MS) * MINUTE_MS
      if (isBefore(middle)) before = middle
      else after = middle
    }
    return after
  }
}
