/** How far the wall clock is to be trusted, judged from what is known about it. Pure. */

/**
 * - synchronized: by a time service, in this boot, and not stepped since
 * - rtc: set at boot by a hardware clock with a battery
 * - assumed: nothing here can tell; it is not evidently wrong
 * - untrusted: known not to be synchronized, or evidently wrong
 */
export type Trust = 'synchronized' | 'rtc' | 'assumed' | 'untrusted'

/** Configuration: `always` and `never` ask nothing. */
export type TrustMode = 'auto' | 'always' | 'never'

export interface Judgement {
  readonly trust: Trust
  /** What it rests on, in one clause. */
  readonly evidence: string
}

/** What the machine said; null where there was nobody to ask, or no answer. */
export interface Answers {
  readonly timesyncd: boolean
  /** The kernel's own flag, which chrony, ntpd and others set, by timedatectl. */
  readonly kernel: boolean | null
  readonly chrony: boolean | null
  /** The hardware clock that set the wall clock and agrees with it. */
  readonly rtc: string | null
  /** Programs that could say more have not answered yet. */
  readonly isWaiting: boolean
}

/** What a right clock cannot show: a time before this source was written, ms since 1970. */
export const EARLIEST_TIME = Date.UTC(2026, 0, 1)

/** A clock is evidently wrong once it shows a time this far before the earliest possible one. */
export const EVIDENTLY_WRONG_MS = 60_000

export function isTrusted(trust: Trust): boolean {
  return trust !== 'untrusted'
}

/**
 * @param wall what the clock shows
 * @param earliest the time before which it is evidently wrong
 * @param held it was synchronized, and has not been stepped since: a quartz drifts by seconds a day, so that this outlives a lost
 * link; the kernel forgets it after nine hours
 */
export function judge(answers: Answers, wall: number, earliest: number, held: Judgement | null): Judgement {
  const synchronizedBy = sourceOf(answers)
  if (synchronizedBy !== null) return { trust: 'synchronized', evidence: synchronizedBy }
  if (held !== null) return held
  if (wall < earliest - EVIDENTLY_WRONG_MS) {
    return {
      trust: 'untrusted',
      evidence: `it shows ${isoTime(wall)}, before ${isoTime(earliest)}, which has passed`,
    }
  }
  if (answers.rtc !== null)
    return { trust: 'rtc', evidence: `the hardware clock ${answers.rtc} set it at boot` }
  if (answers.isWaiting) return { trust: 'untrusted', evidence: 'the time service has not answered yet' }
  if (answers.kernel === false || answers.chrony === false) {
    const by = answers.chrony === false ? 'chrony' : 'timedatectl'
    return { trust: 'untrusted', evidence: `${by} does not call it synchronized` }
  }
  return { trust: 'assumed', evidence: 'nothing on this machine tells whether it is synchronized' }
}

function sourceOf({ timesyncd, kernel, chrony }: Answers): string | null {
  if (timesyncd) return 'systemd-timesyncd'
  if (kernel === true) return 'the kernel, by timedatectl'
  return chrony === true ? 'chrony' : null
}

function isoTime(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString()
}
