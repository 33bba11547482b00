/**
 * How many bytes may go over the link in a day or a month. Counted by the calendar of a time zone, and only by a clock that is trusted:
 *
 *   no trusted clock                        the period goes on; what is sent counts into it
 *   first trusted time                      its period is the current one; what was counted before belongs to it
 *   the clock passes the period's end       a new period, from nothing
 *   the clock is before the period          it was set back: nothing happens until it is there again; more than a period before: the
 *                                           period was a wrong clock's; the one that the clock shows takes over what was counted
 *
 * What is remembered is a mark ahead of what was used (`reserve`), so that a crash makes the count too high by a thousandth of the
 * budget at most, and never too low.
 */
import type { BudgetState } from './link-memory.ts'
import { TimeZone } from './local-time.ts'

export interface BudgetOptions {
  readonly bytes: number
  readonly period: 'day' | 'month'
  /** Of the month, 1 to 28. */
  readonly resetDay: number
  readonly timezone: string
  /** What goes when it is used up: nothing, or streams of `urgentPriority` and above. */
  readonly whenUsed: 'hold' | 'urgent'
}

const MARK_SHARE = 1 / 1000
const MARK_BYTES_MIN = 65_536

export class Budget {
  readonly options: BudgetOptions
  readonly key: string
  readonly #zone: TimeZone
  #from: number | null
  #used: number
  /** What the memory says; all up to it may be used without writing it again. */
  #mark: number
  /** The last minute that was looked up in the calendar. */
  #followedMinute = -1

  constructor(options: BudgetOptions, remembered: BudgetState | undefined) {
    this.options = options
    this.key = budgetKey(options)
    this.#zone = new TimeZone(options.timezone)
    this.#from = remembered?.from ?? null
    this.#used = remembered?.used ?? 0
    this.#mark = this.#used
  }

  get used(): number {
    return this.#used
  }

  get left(): number {
    return Math.max(0, this.options.bytes - this.#used)
  }

  get from(): number | null {
    return this.#from
  }

  /** When the next period begins, ms since 1970; null while no trusted clock has told. */
  get resetsAt(): number | null {
    return this.#from === null ? null : this.#next(this.#from)
  }

  /** Follows the calendar. @param now from a trusted clock, ms since 1970; else null */
  follow(now: number | null): void {
    if (now === null || Math.floor(now / 60_000) === this.#followedMinute) return
    this.#followedMinute = Math.floor(now / 60_000)
    const from = this.#start(now)
    if (this.#from === null) this.#from = from
    else if (from > this.#from) this.#begin(from)
    else if (this.#from > this.#next(from)) this.#from = from
  }

  /** @returns whether the memory has to be written before so many bytes more are sent */
  reserve(bytes: number): boolean {
    if (this.#used + bytes <= this.#mark) return false
    this.#mark = this.#used + bytes + Math.max(MARK_BYTES_MIN, Math.ceil(this.options.bytes * MARK_SHARE))
    return true
  }

  spend(bytes: number): void {
    this.#used += bytes
  }

  /** What to remember while bytes may still go. */
  get marked(): BudgetState {
    return { from: this.#from, used: Math.max(this.#mark, this.#used) }
  }

  /** What to remember when nothing goes any more. */
  get exact(): BudgetState {
    return { from: this.#from, used: this.#used }
  }

  #begin(from: number): void {
    this.#from = from
    this.#used = 0
    this.#mark = 0
  }

  #start(now: number): number {
    const { year, month, day } = this.#zone.at(now)
    if (this.options.period === 'day') return this.#zone.dayStart(year, month, day)
    const { resetDay } = this.options
    return this.#zone.dayStart(year, day >= resetDay ? month : month - 1, resetDay)
  }

  #next(from: number): number {
    // an hour into it, so that a day that begins late is that day
    const { year, month, day } = this.#zone.at(from + 3_600_000)
    if (this.options.period === 'day') return this.#zone.dayStart(year, month, day + 1)
    return this.#zone.dayStart(year, month + 1, this.options.resetDay)
  }
}

/** By which its count is remembered: a changed number of bytes keeps it. */
export function budgetKey({ period, resetDay, timezone }: BudgetOptions): string {
  return period === 'day' ? `day/${timezone}` : `month/${resetDay}/${timezone}`
}
