/** The clock, for people. */
import type { ClockStatus } from '../clock/chain-clocks.ts'
import type { ClockChange } from '../clock/clock-watch.ts'
import { duration } from './terminal/units.ts'

const STATES = {
  synchronized: 'synchronized',
  rtc: 'trusted',
  assumed: 'taken as it is',
  untrusted: 'not to be trusted',
} as const

/** What the clock not being trusted means. */
const CONSEQUENCE = 'retention by time stands still, and what is recorded now is marked'

/** A line for the log; null where a start finds nothing to say. */
export function clockChangeText({ trust, evidence, isFirst, steppedMs }: ClockChange): string | null {
  const state = `${STATES[trust]} (${evidence})`
  if (steppedMs !== 0) return `the clock was stepped by ${signed(steppedMs)}; it is now ${state}`
  if (trust === 'untrusted') return `the clock is ${state}: ${CONSEQUENCE}`
  return isFirst ? null : `the clock is now ${state}`
}

/** A line for `headwater status`; null where the clock is fine. */
export function clockStatusText({ isTrusted, trust, evidence }: ClockStatus): string | null {
  return isTrusted ? null : `${STATES[trust]} (${evidence}): ${CONSEQUENCE}`
}

function signed(ms: number): string {
  const size = Math.abs(ms)
  return `${ms < 0 ? '-' : '+'}${size < 10_000 ? `${(size / 1000).toFixed(1)} s` : duration(size)}`
}
