/**
 * Time limits of connections, to the half second: one timer for all of them, and nothing to do when a packet comes. Who is due tells whether it
 * really is: a connection that has been heard of since takes its next turn.
 */

export const TICKS_PER_SECOND = 2
export const TICK_MS = 1000 / TICKS_PER_SECOND
/** Longer times come around more than once. */
const SLOTS = 512

export interface Timed {
  /** @returns after how many ticks to ask again; 0: never */
  due(now: number): number
}

/** One and a half times as long as the client said [MQTT-3.1.2-22]. */
export function keepAliveTicks(keepAliveSeconds: number): number {
  // what was heard within a tick counts from its beginning
  return keepAliveSeconds === 0
    ? Number.POSITIVE_INFINITY
    : Math.ceil(keepAliveSeconds * 1.5 * TICKS_PER_SECOND) + 1
}

export class TimerWheel {
  /** Ticks since the start. */
  now = 0
  readonly #slots: Map<Timed, number>[] = Array.from({ length: SLOTS }, () => new Map())
  readonly #slotOf = new Map<Timed, number>()
  #timer: NodeJS.Timeout | undefined

  get count(): number {
    return this.#slotOf.size
  }

  /** @param ticks at least 1; an earlier time of the same one is forgotten */
  set(timed: Timed, ticks: number): void {
    this.clear(timed)
    const at = this.now + Math.max(1, Math.ceil(ticks))
    const slot = at % SLOTS
    this.#slots[slot]!.set(timed, at)
    this.#slotOf.set(timed, slot)
  }

  clear(timed: Timed): void {
    const slot = this.#slotOf.get(timed)
    if (slot === undefined) return
    this.#slots[slot]!.delete(timed)
    this.#slotOf.delete(timed)
  }

  tick(): void {
    this.now++
    const slot = this.#slots[this.now % SLOTS]!
    for (const [timed, at] of [...slot]) {
      // another one's turn may have cleared it
      if (at > this.now || slot.get(timed) !== at) continue
      this.clear(timed)
      const next = timed.due(this.now)
      if (next > 0) this.set(timed, next)
    }
  }

  start(): void {
    let last = performance.now()
    this.#timer = setInterval(() => {
      // a busy event loop ticks late: time is what passed, not how often this was called
      const passed = Math.floor((performance.now() - last) / TICK_MS)
      last += passed * TICK_MS
      for (let i = 0; i < Math.min(passed, SLOTS); i++) this.tick()
    }, TICK_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
