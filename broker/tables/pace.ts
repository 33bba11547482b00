/**
 * What a table does waits for what the broker is for: while commits are under way and no reader waits, it takes a quarter of the time
 * of its loop. And of all tables one writes at a time: LevelDB holds a write back while it merges, and a thread with it that
 * commits need too.
 */
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'

/** Rest for each unit of work, while commits are under way. */
const REST_FACTOR = 3
/** A commit that is older than this is no sign of another one. */
const BUSY_MS = 100

export class Pace {
  readonly #isAwaited: () => boolean
  #commitAt = Number.NEGATIVE_INFINITY
  #workSince = 0

  /** @param isAwaited whether a reader waits */
  constructor(isAwaited: () => boolean) {
    this.#isAwaited = isAwaited
  }

  /** The log has committed. */
  committed(now: number): void {
    this.#commitAt = now
  }

  /** Work begins, after a rest. */
  begin(): void {
    this.#workSince = performance.now()
  }

  /** Lets others have a turn, and commits more than one. */
  async rest(): Promise<void> {
    const now = performance.now()
    const isBusy = now - this.#commitAt < BUSY_MS && !this.#isAwaited()
    if (isBusy) await delay((now - this.#workSince) * REST_FACTOR)
    else await turn()
    this.begin()
  }
}

/** Work that is done one after another. */
export class OneAtATime {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    return result
  }
}
