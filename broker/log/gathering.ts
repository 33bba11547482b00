/**
 * Whether the next commit waits for those whom the last one has acknowledged.
 *
 * Publishers that have so many messages in flight send when they are acknowledged. Once they are in two commits they stay in two: one half is synced
 * while the other collects, and each sync takes half of what is in flight.
 *
 *     apart       |--- A ---|--- B ---|--- A ---|--- B ---|--- A ---|
 *     together    |--- A ---|--- B ---|b|--- A, B ---|ab|--- A, B ---|      b: what B is acknowledged leaves, its next messages come
 *
 * It can be seen: during the sync of B as many records came as were in A, and then nothing more. Then those of B are waited for, once, a half longer than
 * those of A took to come. From then on both are in one commit, and the first of them that comes back waits for the others for as long. Where the
 * processor is what takes the time they come until the end of the sync, and apart is better. Publishers that send when they like do not come back:
 * after a wait in vain twice as many commits as before go without.
 */
import { type Clock, systemClock } from '../timers.ts'

/** Time, as a chain's writer sees it; a test hands in its own. */
export interface Pace extends Pick<Clock, 'monotonic' | 'after'> {
  /** Calls back after what the event loop has to do now. */
  soon(callback: () => void): void
}

export const systemPace: Pace = { ...systemClock, soon: (callback) => void setImmediate(callback) }

/** Who takes longer to come back is not waited for. */
const GATHER_MS_MAX = 20
/** Of the sync: so long nobody came any more. */
const QUIET_SHARE = 1 / 3
/** How far two numbers of records differ that are taken for the same publishers'. */
const DIFFERENCE_SHARE = 1 / 8
/** How much longer is waited than the others took. */
const PATIENCE = 1.5
/** Of those waited for: so many are a success. */
const SUCCESS_SHARE = 3 / 4
/** Commits without a wait after waits in vain. */
const SKIPS_MAX = 256
/** Timers are a millisecond apart. */
const TIMER_MS = 1

export interface Waiting {
  readonly records: number
}

export class Gathering {
  readonly #pace: Pace
  /** Commits that ended since the writer was idle: each but the first began at the end of the one before. */
  #commits = 0
  #startedAt = 0
  #endedAt = 0
  #endedBefore = 0
  #begunAt = 0
  #records = 0
  #recordsBefore = 0
  /** The last turn of the event loop in which something was appended. */
  #appendedAt = 0
  #isMarking = false
  /** How long all took to come back when they were in one commit; 0: they are not. */
  #togetherMs = 0
  #skips = 0
  #skipsNext = 1

  constructor(pace: Pace) {
    this.#pace = pace
  }

  /** The writer was idle. */
  begin(): void {
    this.#commits = 0
    this.#begunAt = this.#pace.monotonic()
  }

  /** Since the writer was idle, or a commit came to its end. */
  get sinceMs(): number {
    return this.#pace.monotonic() - Math.max(this.#begunAt, this.#endedAt)
  }

  /** Something was appended while a commit is under way. */
  appended(): void {
    if (this.#isMarking) return
    this.#isMarking = true
    this.#pace.soon(() => {
      this.#isMarking = false
      this.#appendedAt = this.#pace.monotonic()
    })
  }

  /** A commit goes to the disk. */
  started(): void {
    this.#startedAt = this.#pace.monotonic()
  }

  /** It is there; its listeners are called after this. */
  ended(records: number): void {
    this.#commits++
    this.#endedBefore = this.#endedAt
    this.#endedAt = this.#pace.monotonic()
    this.#recordsBefore = this.#records
    this.#records = records
  }

  /** @param open what waits for the next commit: it grows meanwhile */
  async wait(open: Waiting): Promise<void> {
    const until = this.#commits === 0 ? this.#untilTogether() : this.#untilOthers(open)
    if (until === 0) return
    const before = open.records
    const target = this.#commits === 0 ? this.#records : before + this.#records
    let now = this.#pace.monotonic()
    while (open.records < target && now < until) {
      await this.#pause(until - now)
      now = this.#pace.monotonic()
    }
    const needed = Math.max(0, target - before) * SUCCESS_SHARE
    const tookMs = now - this.#endedAt
    // where they take longer than the sync it is better that one half comes while the other is synced
    const isWorth = tookMs <= this.#endedAt - this.#startedAt
    if (isWorth && open.records - before >= needed) this.#came(tookMs)
    else this.#stayedAway()
  }

  #came(ms: number): void {
    this.#togetherMs = Math.max(ms, this.#togetherMs * (1 - DIFFERENCE_SHARE))
    this.#skipsNext = 1
  }

  #stayedAway(): void {
    this.#togetherMs = 0
    this.#skips = this.#skipsNext
    this.#skipsNext = Math.min(2 * this.#skipsNext, SKIPS_MAX)
  }

  /** @returns when all that the last commit acknowledged should be back; 0: nobody is to be waited for */
  #untilTogether(): number {
    if (this.#togetherMs === 0) return 0
    const until = this.#endedAt + Math.min(this.#togetherMs * PATIENCE, GATHER_MS_MAX)
    if (this.#pace.monotonic() < until) return until
    this.#togetherMs = 0
    return 0
  }

  /** The same where others have come during the sync. */
  #untilOthers(open: Waiting): number {
    if (this.#commits < 2 || this.#records === 0 || this.#isMarking) return 0
    const syncMs = this.#endedAt - this.#startedAt
    const cameMs = this.#appendedAt - this.#endedBefore
    const isQuiet = this.#endedAt - this.#appendedAt >= syncMs * QUIET_SHARE
    const difference = Math.abs(open.records - this.#recordsBefore)
    const areTheSame = difference <= this.#recordsBefore * DIFFERENCE_SHARE
    if (cameMs <= 0 || cameMs > GATHER_MS_MAX || !isQuiet || !areTheSame) return 0
    if (this.#skips === 0) return this.#endedAt + Math.min(cameMs * PATIENCE, syncMs)
    this.#skips--
    return 0
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (ms > TIMER_MS) this.#pace.after(TIMER_MS, resolve)
      else this.#pace.soon(resolve)
    })
  }
}
