/** A table is waited for as long as it is brought on, which can take minutes, and not for ever where it fails. */
import type { TableStatus } from './table-status.ts'

const LOOK_MS = 100

/**
 * @param failingMsMax so long a table may fail, one try after another, before the work's signal is raised
 * @param signal raises it as well
 */
export async function whileItGoesOn<T>(
  table: { status(): TableStatus },
  failingMsMax: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const failing = new AbortController()
  let since: number | null = null
  const timer = setInterval(() => {
    since = table.status().reason === null ? null : (since ?? performance.now())
    if (since !== null && performance.now() - since >= failingMsMax) failing.abort()
  }, LOOK_MS)
  try {
    return await work(signal === undefined ? failing.signal : AbortSignal.any([failing.signal, signal]))
  } finally {
    clearInterval(timer)
  }
}
