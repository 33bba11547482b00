/** Asks again where an answer says that nothing happened yet. */
import type { Clock } from '../clock.ts'
import { WireAnswerError } from './wire.ts'

export interface Patience {
  readonly answers: ReadonlySet<string>
  readonly msMax: number
}

/** The coordinator is loading, moving, or finishing this producer's last transaction: the same request is safe. */
export const COORDINATOR_ANSWERS: ReadonlySet<string> = new Set([
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'CONCURRENT_TRANSACTIONS',
])

const FIRST_PAUSE_MS = 1
const PAUSE_MS_MAX = 100

/**
 * @param moved is called before a new try when the coordinator has moved
 * @throws the last answer when patience ends, any other error at once
 */
export async function patiently<T>(
  clock: Clock,
  patience: Patience,
  ask: () => Promise<T>,
  moved: () => Promise<void> = async () => {},
): Promise<T> {
  const until = clock.monotonic() + patience.msMax
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, PAUSE_MS_MAX)) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof WireAnswerError) || !patience.answers.has(error.answer)) throw error
      if (clock.monotonic() + pause > until) throw error
      await new Promise<void>((resolve) => clock.after(pause, resolve))
      if (error.answer === 'NOT_COORDINATOR' || error.answer === 'COORDINATOR_NOT_AVAILABLE') await moved()
    }
  }
}
