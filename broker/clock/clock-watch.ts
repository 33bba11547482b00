/**
 * The time for records, and how far it is to be trusted. A change of boot, of trust, or a step begins an epoch (epoch.ts);
 * clock-state.ts notes them in the log.
 */
import { type Epoch, EpochHistory, isSameClock, type NotedEpoch, STEP_MS_MIN } from './epoch.ts'
import { type Step, StepDetector } from './step-detector.ts'
import type { SystemTime } from './system-time.ts'
import { EARLIEST_TIME, isTrusted, type Judgement, judge, type Trust, type TrustMode } from './trust.ts'
import type { TrustProbes } from './trust-probes.ts'

export interface ClockWatchParts {
  readonly time: SystemTime
  readonly bootId: string
  readonly probes: TrustProbes
  readonly mode: TrustMode
  /** Calls back once, without keeping the process alive. @returns the way to cancel */
  after(ms: number, callback: () => void): () => void
}

/** Handed in by tests; the machine's own: system-clock.ts. */
export type ClockParts = Omit<ClockWatchParts, 'mode'>

export interface ClockChange extends Judgement {
  /** The first judgement of this process. */
  readonly isFirst: boolean
  /** By how much the clock was set since the last change was told, ms; 0 where it was not. */
  readonly steppedMs: number
}

export interface WatchStatus extends Judgement {
  readonly isTrusted: boolean
  readonly bootId: string
  /** Since the start of the process. */
  readonly steps: number
  readonly lastStepMs: number | null
}

/** The clock is looked at this often while it is not trusted, and while it is. */
const LOOK_MS = 10_000
const LOOK_TRUSTED_MS = 600_000
/** Programs are asked this long after the last time, then after twice as long, and so on. */
const ASK_MS_MIN = 10_000
const ASK_MS_MAX = 600_000

const UNKNOWN: Judgement = { trust: 'untrusted', evidence: 'it was not looked at yet' }
const BY_MODE: Readonly<Record<TrustMode, Judgement | null>> = {
  auto: null,
  always: { trust: 'assumed', evidence: 'clock.trust is always' },
  never: { trust: 'untrusted', evidence: 'clock.trust is never' },
}

export class ClockWatch {
  readonly bootId: string
  readonly #time: SystemTime
  readonly #probes: TrustProbes
  readonly #mode: TrustMode
  readonly #after: ClockWatchParts['after']
  readonly #detector: StepDetector
  readonly #history: EpochHistory
  readonly #listeners = new Set<(change: ClockChange) => void>()
  /** The last stamp that was given in the current epoch. */
  #lastStamp = Number.NaN
  #judgement = UNKNOWN
  /** The time before which the clock is evidently wrong. */
  #earliest = EARLIEST_TIME
  /** Synchronized once, and not stepped since. */
  #held: Judgement | null = null
  #steps = 0
  #lastStepMs: number | null = null
  #told: Trust | null = null
  #steppedSinceTold = 0
  /** Monotonic. */
  #askedAt = Number.NEGATIVE_INFINITY
  /** Since the start or the last step. */
  #asks = 0
  #isAsking = false
  #cancel: () => void = () => {}
  #isRunning = false

  constructor({ time, bootId, probes, mode, after }: ClockWatchParts) {
    this.bootId = bootId
    this.#time = time
    this.#probes = probes
    this.#mode = mode
    this.#after = after
    this.#history = new EpochHistory(bootId)
    this.#detector = new StepDetector(time, (step) => this.#stepped(step))
  }

  /**
   * Begins to judge, once the log was read. Until then nothing is trusted.
   * @param last what the log noted last, where it was in this boot
   * @param newest the newest time that a trusted clock gave to a record, ms since 1970: a clock behind it is evidently wrong
   */
  start(last: NotedEpoch | null, newest: number): void {
    this.#isRunning = true
    this.#earliest = Math.max(EARLIEST_TIME, newest)
    this.#detector.look()
    const { difference } = this.#detector
    if (last !== null) this.#goOn(last, difference)
    this.#judgement = this.#judge()
    this.#begin(this.#detector.lastSeenAt, difference)
    this.#tell()
    this.#ask()
    this.#schedule()
  }

  /** What a record is stamped with, ms since 1970. */
  now(): number {
    const wall = this.#time.wall()
    // within a millisecond the clock was not stepped
    if (wall === this.#lastStamp) return wall
    const stamp = this.#detector.look(wall)
    this.#lastStamp = stamp
    this.#history.use()
    return stamp
  }

  isTrusted(): boolean {
    return isTrusted(this.#judgement.trust)
  }

  /** ms since 1970; null while the clock is not trusted: what depends on time then stands still. */
  trustedNow(): number | null {
    const wall = this.#detector.look()
    return this.isTrusted() ? wall : null
  }

  /** What the clock of the current epoch shows now: without a step that nobody has seen yet. */
  reading(): number {
    return this.#detector.monotonic() + this.#detector.difference
  }

  /** The epochs after the one that was noted last. */
  epochsSince(last: NotedEpoch | null): readonly Epoch[] {
    return this.#history.since(last)
  }

  /** Calls back when the trust has changed or the clock was stepped, once it is clear what to think of it. */
  onChange(listener: (change: ClockChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  status(): WatchStatus {
    return {
      ...this.#judgement,
      isTrusted: this.isTrusted(),
      bootId: this.bootId,
      steps: this.#steps,
      lastStepMs: this.#lastStepMs,
    }
  }

  close(): void {
    this.#isRunning = false
    this.#cancel()
    this.#probes.close()
  }

  /** What the process before this one knew of the clock. */
  #goOn(last: NotedEpoch, difference: number): void {
    const isSame = isSameClock({ bootId: this.bootId, difference }, last)
    if (isSame && last.trust === 'synchronized') {
      const evidence = 'it was before, in this boot, and was not stepped since'
      this.#held = { trust: 'synchronized', evidence }
    } else if (!isSame || !isTrusted(last.trust)) {
      // nobody knows whether what the time service's file says came before the clock was set or after it: the kernel does
      this.#probes.stepped(this.reading())
    }
  }

  // -- judging ------------------------------------------------------------------------------------------------------

  #judge(): Judgement {
    const wall = this.reading()
    const judgement = BY_MODE[this.#mode] ?? judge(this.#probes.look(wall), wall, this.#earliest, this.#held)
    if (judgement.trust === 'synchronized') this.#held = judgement
    return judgement
  }

  #stepped({ ms, seenAt, lastSeenAt, difference, differenceBefore }: Step): void {
    if (!this.#isRunning) return
    this.#steps++
    this.#lastStepMs = Math.round(ms)
    this.#steppedSinceTold += ms
    // what a trusted clock has shown has passed
    if (this.isTrusted()) this.#earliest = Math.max(this.#earliest, lastSeenAt + differenceBefore)
    this.#held = null
    this.#probes.stepped(lastSeenAt + difference)
    this.#judgement = this.#judge()
    this.#begin(seenAt, differenceBefore)
    this.#asks = 0
    this.#tell()
    this.#schedule()
  }

  #reconsider(): void {
    const before = this.#judgement.trust
    this.#judgement = this.#judge()
    const { lastSeenAt, difference } = this.#detector
    if (this.#judgement.trust !== before) this.#begin(lastSeenAt, difference)
    this.#tell()
  }

  #begin(at: number, differenceBefore: number): void {
    this.#history.begin(this.#judgement.trust, at, this.#detector.difference, differenceBefore)
    // the next record is the first of the epoch
    this.#lastStamp = Number.NaN
  }

  #tell(): void {
    const { trust, evidence } = this.#judgement
    // what programs say may change it in a moment
    if (this.#mode === 'auto' && !isTrusted(trust) && !this.#probes.isSettled) return
    const steppedMs = Math.abs(this.#steppedSinceTold) > STEP_MS_MIN ? Math.round(this.#steppedSinceTold) : 0
    if (trust === this.#told && steppedMs === 0) return
    const change = { trust, evidence, isFirst: this.#told === null, steppedMs }
    this.#told = trust
    this.#steppedSinceTold = 0
    for (const listener of this.#listeners) listener(change)
  }

  // -- looking now and then -----------------------------------------------------------------------------------------

  #schedule(): void {
    this.#cancel()
    if (!this.#isRunning || this.#mode !== 'auto') return
    const lookMs = this.isTrusted() ? LOOK_TRUSTED_MS : LOOK_MS
    const ms = Math.min(lookMs, Math.max(0, this.#msToNextAsk()))
    this.#cancel = this.#after(ms, () => {
      this.#detector.look()
      this.#reconsider()
      this.#ask()
      this.#schedule()
    })
  }

  /** Nothing is asked about a clock that is synchronized, until it is stepped. */
  #msToNextAsk(): number {
    const isWanted = this.#probes.hasPrograms && this.#judgement.trust !== 'synchronized'
    if (!isWanted || this.#isAsking) return Number.POSITIVE_INFINITY
    const doubled = Math.min(ASK_MS_MIN * 2 ** Math.max(0, this.#asks - 1), ASK_MS_MAX)
    const gap = this.isTrusted() && this.#asks > 0 ? ASK_MS_MAX : doubled
    return this.#askedAt + gap - this.#detector.monotonic()
  }

  #ask(): void {
    if (this.#mode !== 'auto' || this.#msToNextAsk() > 0) return
    this.#isAsking = true
    void this.#probes.ask().then(() => {
      this.#isAsking = false
      this.#askedAt = this.#detector.monotonic()
      this.#asks++
      if (!this.#isRunning) return
      this.#detector.look()
      this.#reconsider()
      this.#schedule()
    })
  }
}
