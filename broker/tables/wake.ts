/** The rest of a loop: until something is raised, also just before, or time is up. */
const TIMER_MS_MAX = 2 ** 31 - 1

export class Wake {
  #isRaised = false
  #end: (() => void) | null = null

  raise(): void {
    this.#isRaised = true
    this.#end?.()
  }

  /** @param ms Infinity is no limit */
  async wait(ms = Number.POSITIVE_INFINITY): Promise<void> {
    if (!this.#isRaised && ms > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#end = resolve
        if (ms < TIMER_MS_MAX) timer = setTimeout(resolve, ms)
      })
      clearTimeout(timer)
      this.#end = null
    }
    this.#isRaised = false
  }
}
