/** Work that is done again and again until someone ends it. */
import { setTimeout as delay } from 'node:timers/promises'

/** The least time between two reports: a broker has more to do than to tell about itself. */
export const INTERVAL_SECONDS_MIN = 0.2

/** @returns false once it is to end */
export async function nextInterval(seconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(Math.max(seconds, INTERVAL_SECONDS_MIN) * 1000, undefined, { signal })
    return true
  } catch {
    return false
  }
}

/** A signal that aborts with another one, and by itself: for keys that end a command. */
export function endable(signal: AbortSignal): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController()
  return { signal: AbortSignal.any([signal, controller.signal]), end: () => controller.abort() }
}
