/** How long to wait before the next try: doubling to a cap, with jitter so that many do not come back in step. */
export interface Backoff {
  readonly firstMs: number
  readonly msMax: number
}

/**
 * @param tries failures in a row, from 1
 * @param random from [0, 1)
 * @returns ms, between half of the step and all of it
 */
export function backoffMs({ firstMs, msMax }: Backoff, tries: number, random: number): number {
  const step = Math.min(msMax, firstMs * 2 ** Math.min(tries - 1, 30))
  return Math.round(step * (0.5 + random / 2))
}
