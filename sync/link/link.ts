/** One upstream's link: who may use it and how much, and what of that outlives a restart. */
import type { LinkStatus, LogSink } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { Budget, type BudgetOptions, budgetKey } from './budget.ts'
import { type GateView, LinkGate } from './link-gate.ts'
import { type LinkMemory, type LinkState, NOTHING_REMEMBERED } from './link-memory.ts'
import { type LinkHints, LinkWatch } from './link-probe.ts'
import { LoopShare, type LoopTimes } from './loop-share.ts'
import { cronMatchers, Schedule, type ScheduleOptions } from './schedule.ts'
import { type BandwidthOptions, TokenBucket } from './token-bucket.ts'

export interface LinkOptions {
  readonly bandwidth?: BandwidthOptions | undefined
  readonly schedule?: ScheduleOptions | undefined
  readonly budgets: readonly BudgetOptions[]
  readonly urgentPriority: number
}

export interface LinkDeps {
  readonly name: string
  readonly clock: Clock
  readonly sink: LogSink
  /** Without it nothing outlives the process. */
  readonly memory?: LinkMemory | undefined
  /** ms since 1970; null while the clock is not to be trusted. Without it the clock is trusted. */
  readonly trustedNow?: (() => number | null) | undefined
  /** Without them a backoff is waited to its end. */
  readonly hints?: LinkHints | undefined
  /** Without it a drain takes what it gets. */
  readonly loop?: LoopTimes | undefined
}

export const UNLIMITED: LinkOptions = { budgets: [], urgentPriority: 8 }

export class Link {
  readonly #deps: LinkDeps
  readonly #options: LinkOptions
  readonly #gate: LinkGate
  readonly #bucket: TokenBucket | null
  readonly #budgets: readonly Budget[]
  readonly #share: LoopShare | null
  #paused: boolean
  /** What was counted of `Upstream.wireBytes`. */
  #meteredBytes = 0
  #isProbeBelieved = true

  private constructor(
    options: LinkOptions,
    deps: LinkDeps,
    schedule: Schedule | null,
    remembered: LinkState,
  ) {
    this.#deps = deps
    this.#options = options
    const { clock, trustedNow = () => clock.now(), loop } = deps
    this.#bucket = options.bandwidth === undefined ? null : new TokenBucket(options.bandwidth, clock)
    this.#budgets = options.budgets.map((budget) => {
      return new Budget(budget, remembered.budgets[budgetKey(budget)])
    })
    this.#gate = new LinkGate({
      schedule: schedule === null ? null : { schedule, outside: options.schedule!.outside },
      budgets: this.#budgets,
      urgentPriority: options.urgentPriority,
      trustedNow,
    })
    this.#share = loop === undefined ? null : new LoopShare(clock, loop)
    this.#paused = remembered.paused
  }

  static async open(options: LinkOptions, deps: LinkDeps): Promise<Link> {
    const remembered = await (deps.memory?.load(deps.name) ?? NOTHING_REMEMBERED)
    const { schedule } = options
    const open = schedule === undefined ? null : new Schedule(schedule, await cronMatchers(schedule))
    return new Link(options, deps, open, remembered)
  }

  static unlimited(deps: LinkDeps): Link {
    return new Link(UNLIMITED, deps, null, NOTHING_REMEMBERED)
  }

  get isPaused(): boolean {
    return this.#paused
  }

  /** Who may use it now. */
  look(): GateView {
    return this.#gate.look()
  }

  /** True where time alone changes nothing. */
  get isAlwaysOpen(): boolean {
    return this.#gate.isAlwaysOpen
  }

  /** By a person: the schedule is passed over until `override` is taken back. */
  set isOverridden(isOverridden: boolean) {
    this.#gate.isOverridden = isOverridden
  }

  async setPaused(isPaused: boolean): Promise<void> {
    this.#paused = isPaused
    await this.#save(false)
  }

  /** How long nothing may be sent, ms: the cap on its bandwidth. */
  waitMs(): number {
    return this.#bucket?.waitMs() ?? 0
  }

  /** @param bytes of a round, as the upstream would bear it @returns as the link does */
  roundBytes(bytes: number): number {
    const { roundBytesMax = bytes } = this.#bucket ?? {}
    const busyBytesMax = this.#share?.roundBytesMax ?? bytes
    return Math.max(1, Math.min(bytes, roundBytesMax, busyBytesMax, this.#roundBytesLeft(bytes)))
  }

  /** Before so many bytes are sent. */
  async reserve(bytes: number): Promise<void> {
    const isDue = this.#budgets.map((budget) => budget.reserve(bytes)).includes(true)
    if (isDue) await this.#saveBudgets(false)
  }

  /**
   * After a call upstream.
   * @param wireBytes `Upstream.wireBytes`, or undefined where it does not count @param bytes that the call would have sent
   */
  spend(wireBytes: number | undefined, bytes: number): void {
    const spent = wireBytes === undefined ? bytes : wireBytes - this.#meteredBytes
    this.#meteredBytes = wireBytes ?? 0
    if (spent <= 0) return
    this.#bucket?.spend(spent)
    for (const budget of this.#budgets) budget.spend(spent)
  }

  /** After a round of a backlog: leaves the loop to others. */
  async yield(tookMs: number, wait: (ms: number) => Promise<void>): Promise<void> {
    await this.#share?.yield(tookMs, wait)
  }

  /** For one backoff; null where nothing can tell that the link came back. */
  watch(): LinkWatch | null {
    const { hints } = this.#deps
    return hints === undefined ? null : new LinkWatch(hints, this.#isProbeBelieved)
  }

  /** The probe said that the place answers: it is believed again once the place has served. */
  believed(isProbeBelieved: boolean): void {
    this.#isProbeBelieved = isProbeBelieved
  }

  status(): LinkStatus {
    const { priorityMin, reason, until } = this.#gate.look()
    const isOpen = this.#gate.isScheduleOpen
    const { bandwidth } = this.#options
    const urgentPriority = Number.isFinite(priorityMin) ? priorityMin : null
    return {
      hold: reason === null ? null : { reason, until, urgentPriority },
      bandwidth:
        bandwidth === undefined ? null : { ...bandwidth, isWaiting: (this.#bucket?.waitMs() ?? 0) > 0 },
      schedule: isOpen === null ? null : { isOpen, isOverridden: this.#gate.isOverridden },
      budgets: this.#budgets.map(({ options, used, resetsAt }) => ({
        period: options.period,
        bytes: options.bytes,
        usedBytes: used,
        resetsAt,
      })),
    }
  }

  async close(): Promise<void> {
    if (this.#budgets.length > 0) await this.#saveBudgets(true)
  }

  /** The last round before a budget is used up is no larger than what is left. */
  #roundBytesLeft(bytes: number): number {
    const left = this.#gate.bytesLeft
    return left === 0 ? bytes : left
  }

  async #save(isExact: boolean): Promise<void> {
    const budgets = Object.fromEntries(
      this.#budgets.map((budget) => [budget.key, isExact ? budget.exact : budget.marked]),
    )
    await this.#deps.memory?.save(this.#deps.name, { paused: this.#paused, budgets })
  }

  /** A link whose budget cannot be remembered is used all the same: the count is right until the next start. */
  async #saveBudgets(isExact: boolean): Promise<void> {
    const { name, sink } = this.#deps
    await this.#save(isExact).catch((error) => {
      sink.warn(`upstream ${name}: what its budgets have used is not remembered: ${String(error)}`)
    })
  }
}
