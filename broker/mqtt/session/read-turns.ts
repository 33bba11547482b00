/**
 * Reads of retained messages, which any subscription asks for: some at a time, the others in the order in which they came. Node has a few threads for all that
 * waits for a disk or hashes a password (`UV_THREADPOOL_SIZE` of the start script), and serves them in order: many new subscribers would have the next
 * commit, and with it every publisher, wait behind their reads.
 */

/** With two checks of passwords and two commits all of the start script's threads. */
export const READS_AT_ONCE = 4

export class ReadTurns {
  readonly #atOnce: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(atOnce = READS_AT_ONCE) {
    this.#atOnce = atOnce
  }

  async take<T>(read: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running++
    try {
      return await read()
    } finally {
      // the place goes to the next one, who must not be overtaken
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}
