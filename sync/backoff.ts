/** How long to wait before the next try: doubling, with jitter so that a fleet does not come back in step, to a cap. */

export interface BackoffOptions {
  readonly firstMs: number
  readonly msMax: number
}

/**
 * @param tries failures in a row, from 1
 * @param slow the reason will not pass in a second: the cap at once
 * @param random from [0, 1)
 * @returns ms, between half of the step and all of it
 */
export function backoffMs(options: BackoffOptions, tries: number, slow: boolean, random: number): number {
  const step = slow ? options.msMax : Math.min(options.msMax, options.firstMs * 2 ** Math.min(tries - 1, 30))
  return Math.round(step * (0.5 + random / 2))
}

export interface RoundSizeOptions {
  readonly bytesMin: number
  readonly bytesMax: number
  /** A round that takes longer is too large for its link: it would hold a transaction open. */
  readonly msTarget: number
}

/** Bytes of the next round: doubled while rounds are quick, halved when one took too long or timed out. */
export function nextRoundBytes(options: RoundSizeOptions, bytes: number, tookMs: number): number {
  if (tookMs > options.msTarget) return Math.max(options.bytesMin, Math.floor(bytes / 2))
  if (tookMs < options.msTarget / 4) return Math.min(options.bytesMax, bytes * 2)
  return bytes
}
