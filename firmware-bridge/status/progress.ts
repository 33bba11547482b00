/**
 * Whether the bridge does what it is there for, from its report asked for again and again: writes of what it must remember, and messages under way to a broker
 * that is connected. A broker that is away, a port that is not there and a disk that fails are told in the report and tried again: no halt.
 */
import type { BridgeReport } from './report.ts'

/** An SD card that tidies up can take tens of seconds for a write. */
export const WRITE_MS_MAX = 60_000
/** Longer than the longest keep-alive takes to end a connection that is dead: one and a half times an hour. */
export const FLIGHT_MS_MAX = 6_000_000

/** When what is under way last changed in anything. */
export interface Seen {
  readonly signs: string
  readonly at: number
}

/**
 * @param at ms of a clock that nobody sets
 * @returns what is to be handed in the next time, and what has come to a halt
 */
export function judgeProgress(
  before: Seen | null,
  { uplink }: Pick<BridgeReport, 'uplink'>,
  at: number,
): { readonly seen: Seen | null; readonly halted: string | null } {
  if (uplink.windowWaitingMs > WRITE_MS_MAX) {
    return { seen: before, halted: `no write came to its end for ${seconds(uplink.windowWaitingMs)} s` }
  }
  if (!uplink.isUp || uplink.inFlight === 0) return { seen: null, halted: null }
  const { accepted, repeated, congested, refused, handedOver, dropped, givenUp } = uplink.counters
  const counted = [accepted, repeated, congested, refused, handedOver, dropped, givenUp]
  const signs = [...counted, uplink.inFlight, uplink.brokerLosses].join(' ')
  const seen = before?.signs === signs ? before : { signs, at }
  const waited = at - seen.at
  const halted =
    waited > FLIGHT_MS_MAX
      ? `${uplink.inFlight} messages are under way for ${seconds(waited)} s without a sign`
      : null
  return { seen, halted }
}

function seconds(ms: number): number {
  return Math.round(ms / 1000)
}
