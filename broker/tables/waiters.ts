/** Readers that wait until a table has applied what was durable when they asked. */

/** By partition: the offsets that have to be applied. */
export type Until = ReadonlyMap<number, number>

interface Waiter {
  readonly until: Until
  readonly reached: () => void
  readonly failed: (error: Error) => void
}

/** Readers that wait at one time. */
const WAITERS_MAX = 10_000
const TIMER_MS_MAX = 2 ** 31 - 1

export class Waiters {
  readonly #waiters = new Set<Waiter>()

  get isEmpty(): boolean {
    return this.#waiters.size === 0
  }

  /**
   * @param limitMs Infinity is no limit
   * @param refused the error when time is up, or when there are too many already
   * @param then runs within `answer`: nothing has changed in between
   * @param signal refuses before that
   */
  wait(
    until: Until,
    limitMs: number,
    refused: () => Error,
    then: () => void,
    signal?: AbortSignal,
  ): Promise<void> {
    if (this.#waiters.size >= WAITERS_MAX || signal?.aborted) return Promise.reject(refused())
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const aborted = () => failed(refused())
      const end = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', aborted)
        this.#waiters.delete(waiter)
      }
      const failed = (error: Error) => {
        end()
        reject(error)
      }
      const waiter: Waiter = {
        until,
        failed,
        reached: () => {
          try {
            then()
          } catch (error) {
            failed(error as Error)
            return
          }
          end()
          resolve()
        },
      }
      if (limitMs <= TIMER_MS_MAX) timer = setTimeout(() => failed(refused()), Math.max(0, limitMs))
      signal?.addEventListener('abort', aborted)
      this.#waiters.add(waiter)
    })
  }

  /** @param next by partition: all below it is applied */
  answer(next: readonly number[]): void {
    for (const waiter of this.#waiters) if (hasReached(next, waiter.until)) waiter.reached()
  }

  fail(error: Error): void {
    for (const waiter of this.#waiters) waiter.failed(error)
  }
}

export function hasReached(next: readonly number[], until: Until): boolean {
  for (const [partition, offset] of until) if (next[partition]! < offset) return false
  return true
}
