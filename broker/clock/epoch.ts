/** A stretch of time through which the wall clock ran alike: one boot, one trust, no step. */
import { isTrusted, type Trust } from './trust.ts'

/** A wall clock that moved against the monotonic one by more than this was stepped; by less, it was slewed or drifted. */
export const STEP_MS_MIN = 500

export interface Epoch {
  readonly bootId: string
  readonly trust: Trust
  /** Wall clock minus monotonic clock when it began, whole ms. */
  readonly difference: number
  /** Monotonic, ms since the boot: no two epochs of a boot have the same. */
  readonly beganAt: number
  /** What the clock as it ran before showed at that moment; null where this process had not used it before. */
  readonly before: number | null
}

/** What a chain's notes keep of the last one (clock-state.ts). */
export type NotedEpoch = Omit<Epoch, 'before'>

/** Epochs of this process remembered for chains that have had no commit since. */
const EPOCHS_MAX = 64
/** `beganAt` is kept to the microsecond. */
const TICKS_PER_MS = 1000
const NONE: readonly Epoch[] = []

/** The epochs of this process, without those in which nothing happened. */
export class EpochHistory {
  readonly #bootId: string
  readonly #epochs: Epoch[] = []
  /** A record was stamped in the current epoch, or a chain has noted it. */
  #isUsed = false
  /** Wall minus monotonic of the epoch before the current one, at its end. */
  #differenceBefore: number | null = null

  constructor(bootId: string) {
    this.#bootId = bootId
  }

  /** @param differenceBefore wall minus monotonic until now */
  begin(trust: Trust, at: number, difference: number, differenceBefore: number): void {
    const current = this.#epochs.at(-1)
    let before: number | null = current === undefined ? null : differenceBefore
    // a trusted one corrects what was before it, used or not
    if (current !== undefined && !this.#isUsed && (!isTrusted(current.trust) || isTrusted(trust))) {
      this.#epochs.pop()
      before = this.#differenceBefore
    }
    const ticks = Math.round(at * TICKS_PER_MS)
    const beganAt = Math.max(ticks, (current?.beganAt ?? 0) * TICKS_PER_MS + 1) / TICKS_PER_MS
    this.#epochs.push({
      bootId: this.#bootId,
      trust,
      difference: Math.round(difference),
      beganAt,
      before: before === null ? null : Math.round(beganAt + before),
    })
    this.#differenceBefore = before
    this.#isUsed = false
    if (this.#epochs.length > EPOCHS_MAX) this.#epochs.shift()
  }

  /** A record was stamped. */
  use(): void {
    this.#isUsed = true
  }

  /** Those after the one that was noted last; they stay as they are from then on. */
  since(last: NotedEpoch | null): readonly Epoch[] {
    const epochs = this.#epochs
    const current = epochs.at(-1)
    if (current === undefined) return NONE
    const isNoted = (epoch: Epoch) => epoch.beganAt === last?.beganAt && epoch.bootId === last.bootId
    if (isNoted(current)) return NONE
    let from = epochs.findLastIndex(isNoted) + 1
    if (from === 0 && last !== null && continues(epochs[0]!, last)) from = 1
    if (from < epochs.length) this.#isUsed = true
    return epochs.slice(from)
  }
}

/** The first epoch of a process goes on with the last one of the process before it. */
function continues(first: Epoch, last: NotedEpoch): boolean {
  return first.before === null && first.trust === last.trust && isSameClock(first, last)
}

/** The same boot, and no step in between. */
export function isSameClock(
  one: Pick<Epoch, 'bootId' | 'difference'>,
  other: Pick<Epoch, 'bootId' | 'difference'>,
): boolean {
  return one.bootId === other.bootId && Math.abs(one.difference - other.difference) <= STEP_MS_MIN
}
