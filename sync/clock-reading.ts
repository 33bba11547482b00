/** What this device's clock shows, and how far it can be believed: a certificate's validity is judged by it. */
import { EARLIEST_TIME, type Trust } from '../broker/index.ts'

export interface ClockReading {
  /** ms since 1970 */
  readonly now: number
  readonly trust: Trust
  /** What the trust rests on, in one clause. */
  readonly evidence: string
}

export type ReadClock = () => ClockReading

/** Where nobody watches the clock. */
export const unwatchedClock: ReadClock = () => ({
  now: Date.now(),
  trust: 'assumed',
  evidence: 'nothing tells whether it is synchronized',
})

/**
 * Whether something that has not begun by this clock speaks against the clock, not against it: a clock without a battery starts
 * in the past. One that was synchronized, or that a hardware clock set, is believed.
 */
export function isClockSuspect({ now, trust }: ClockReading): boolean {
  return now < EARLIEST_TIME || trust === 'untrusted' || trust === 'assumed'
}

/** For people, in UTC, to the second. */
export function timeText(time: number): string {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString().replace(/\.\d+Z$/, 'Z')
}
