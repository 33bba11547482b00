/**
 * When the link may be used. A schedule is a list of windows in one time zone; it is open while one of them is:
 *
 *   from "22:00" to "06:00" on days        by the clock on the wall; past midnight it belongs to the day on which it began
 *   cron "* 22-23,0-5 * * 1-5"             open in each minute that the expression names (node-cron's form)
 *
 * It is asked about a time and remembers nothing, so that a clock that is set, a restart or a daylight saving change cannot confuse it.
 */
import { DAY_MINUTES, type LocalTime, TimeZone, WEEKDAYS } from './local-time.ts'

export type Weekday = (typeof WEEKDAYS)[number]

export interface TimeWindow {
  readonly days: readonly Weekday[]
  readonly from: string
  readonly to: string
}

export interface CronWindow {
  readonly cron: string
}

export interface ScheduleOptions {
  readonly windows: readonly (TimeWindow | CronWindow)[]
  readonly timezone: string
  /** What goes outside: nothing, or streams of `urgentPriority` and above. */
  readonly outside: 'hold' | 'urgent'
}

/** Answers whether a cron expression names the minute that begins at a time, ms since 1970. */
export type CronMatcher = (minute: number) => boolean

const MINUTE_MS = 60_000

interface Span {
  readonly days: ReadonlySet<number>
  readonly from: number
  /** Past 1440 where it ends on the next day. */
  readonly to: number
}

export class Schedule {
  readonly #zone: TimeZone
  readonly #spans: readonly Span[]
  readonly #crons: readonly CronMatcher[]

  /** @param crons of the cron windows */
  constructor(options: ScheduleOptions, crons: readonly CronMatcher[]) {
    this.#zone = new TimeZone(options.timezone)
    this.#spans = options.windows.flatMap((window) => ('cron' in window ? [] : [spanOf(window)]))
    this.#crons = crons
  }

  isOpen(time: number): boolean {
    const minute = Math.floor(time / MINUTE_MS) * MINUTE_MS
    const local = this.#zone.at(time)
    return this.#spans.some((span) => covers(span, local)) || this.#crons.some((matches) => matches(minute))
  }

  /** When it opens next as far as its from-to windows tell, ms since 1970; null where only cron expressions know. */
  opensAt(time: number): number | null {
    const local = this.#zone.at(time)
    const waits = this.#spans.map((span) => minutesUntil(span, local))
    const soonest = Math.min(...waits)
    if (!Number.isFinite(soonest)) return null
    return Math.floor(time / MINUTE_MS) * MINUTE_MS + soonest * MINUTE_MS
  }
}

function covers({ days, from, to }: Span, { weekday, minute }: LocalTime): boolean {
  if (days.has(weekday) && minute >= from && minute < to) return true
  return days.has((weekday + 6) % 7) && minute + DAY_MINUTES < to
}

function minutesUntil({ days, from }: Span, { weekday, minute }: LocalTime): number {
  for (let ahead = 0; ahead <= 7; ahead++) {
    const wait = ahead * DAY_MINUTES + from - minute
    if (wait > 0 && days.has((weekday + ahead) % 7)) return wait
  }
  return Number.POSITIVE_INFINITY
}

function spanOf({ days, from, to }: TimeWindow): Span {
  const begin = minuteOf(from)
  const end = minuteOf(to)
  return {
    days: new Set((days.length === 0 ? WEEKDAYS : days).map((day) => WEEKDAYS.indexOf(day))),
    from: begin,
    // equal ends are a whole day
    to: end > begin ? end : end + DAY_MINUTES,
  }
}

function minuteOf(text: string): number {
  const [hours, minutes] = text.split(':').map(Number)
  return hours! * 60 + minutes!
}

/** Loads node-cron, which takes 5 MB, where a schedule has a cron window. */
export async function cronMatchers(options: ScheduleOptions): Promise<CronMatcher[]> {
  const expressions = options.windows.flatMap((window) => ('cron' in window ? [window.cron] : []))
  if (expressions.length === 0) return []
  const { createTask } = await import('node-cron')
  const zone = options.timezone === 'system' ? {} : { timezone: options.timezone }
  return expressions.map((expression) => {
    const task = createTask(expression, () => {}, zone)
    return (minute) => task.match(new Date(minute))
  })
}
