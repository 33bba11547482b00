/**
 * Who may use the link now, from the schedule, the budgets and a person's `now`:
 *
 *   schedule open, or overridden by `now`, or the clock is not trusted     everything
 *   schedule closed                                                        nothing, or urgent streams
 *   a budget is used up                                                    nothing, or urgent streams; `now` does not change that
 *
 * A clock that is not trusted closes nothing: data that never leaves the device is worse than data that leaves in the daytime. Budgets
 * go on counting without a clock.
 */
import type { Budget } from './budget.ts'
import type { Schedule, ScheduleOptions } from './schedule.ts'

export type HoldReason = 'schedule' | 'budget'

export interface GateView {
  /** Streams of this priority and above may go: 0 is all, Infinity none. */
  readonly priorityMin: number
  readonly reason: HoldReason | null
  /** When it opens, ms since 1970, as far as is known. */
  readonly until: number | null
}

export interface LinkGateParts {
  readonly schedule: { readonly schedule: Schedule; readonly outside: ScheduleOptions['outside'] } | null
  readonly budgets: readonly Budget[]
  /** Streams of it and above are urgent. */
  readonly urgentPriority: number
  /** ms since 1970; null while the clock is not to be trusted. */
  readonly trustedNow: () => number | null
}

const OPEN: GateView = { priorityMin: 0, reason: null, until: null }

export class LinkGate {
  readonly #parts: LinkGateParts
  /** By a person, until all that waits is upstream. */
  isOverridden = false

  constructor(parts: LinkGateParts) {
    this.#parts = parts
  }

  /** True where it never closes. */
  get isAlwaysOpen(): boolean {
    return this.#parts.schedule === null && this.#parts.budgets.length === 0
  }

  /** Bytes that may still go before a budget is used up. */
  get bytesLeft(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#parts.budgets.map(({ left }) => left))
  }

  /** null where there is no schedule. */
  get isScheduleOpen(): boolean | null {
    const { schedule, trustedNow } = this.#parts
    if (schedule === null) return null
    const now = trustedNow()
    return now === null || schedule.schedule.isOpen(now)
  }

  look(): GateView {
    const { schedule, budgets, urgentPriority, trustedNow } = this.#parts
    const now = trustedNow()
    let view = OPEN
    const close = (rule: 'hold' | 'urgent', reason: HoldReason, until: number | null) => {
      const priorityMin = rule === 'hold' ? Number.POSITIVE_INFINITY : urgentPriority
      if (priorityMin > view.priorityMin) view = { priorityMin, reason, until }
    }
    for (const budget of budgets) {
      budget.follow(now)
      if (budget.left === 0) close(budget.options.whenUsed, 'budget', budget.resetsAt)
    }
    if (schedule !== null && !this.isOverridden && now !== null && !schedule.schedule.isOpen(now)) {
      close(schedule.outside, 'schedule', schedule.schedule.opensAt(now))
    }
    return view
  }
}
