/**
 * When each device is next to be looked at: one heap and one timer for all. A deadline only ever comes nearer (`noLaterThan`); that one has
 * moved away, as a keep alive does with every message, is found when it rings: so a message costs no timer.
 */
import type { Clock } from '../clock.ts'

/** Belongs to one `Deadlines`, which alone writes the two numbers. */
export interface Due {
  /** ms, monotonic. */
  dueAt: number
  /** -1: not waiting. */
  place: number
  /** Its time has come: it is not waiting any more, and may wait again. */
  onDue(now: number): void
}

export class Deadlines {
  readonly #clock: Clock
  readonly #heap: Due[] = []
  #ringsAt = Number.POSITIVE_INFINITY
  #cancel: (() => void) | null = null
  #isRinging = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#heap.length
  }

  noLaterThan(due: Due, at: number): void {
    if (at === Number.POSITIVE_INFINITY || (due.place >= 0 && due.dueAt <= at)) return
    due.dueAt = at
    if (due.place < 0) due.place = this.#heap.push(due) - 1
    this.#up(due.place)
    this.#arm()
  }

  remove(due: Due): void {
    if (due.place < 0) return
    const place = due.place
    due.place = -1
    const last = this.#heap.pop()!
    if (last === due) return
    this.#put(last, place)
    this.#up(place)
    this.#down(last.place)
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = null
    for (const due of this.#heap) due.place = -1
    this.#heap.length = 0
  }

  #arm(): void {
    const next = this.#heap[0]
    if (this.#isRinging || next === undefined) return
    if (this.#cancel !== null && this.#ringsAt <= next.dueAt) return
    this.#cancel?.()
    this.#ringsAt = next.dueAt
    this.#cancel = this.#clock.after(Math.max(next.dueAt - this.#clock.monotonic(), 0), () => this.#ring())
  }

  #ring(): void {
    this.#cancel = null
    const now = this.#clock.monotonic()
    this.#isRinging = true
    // What comes to wait again for this very moment is looked at in the next turn.
    for (let left = this.#heap.length; left > 0; left--) {
      const next = this.#heap[0]
      if (next === undefined || next.dueAt > now) break
      this.remove(next)
      next.onDue(now)
    }
    this.#isRinging = false
    this.#arm()
  }

  #put(due: Due, place: number): void {
    this.#heap[place] = due
    due.place = place
  }

  #up(from: number): void {
    const due = this.#heap[from]!
    let place = from
    while (place > 0) {
      const above = this.#heap[(place - 1) >> 1]!
      if (above.dueAt <= due.dueAt) break
      this.#put(above, place)
      place = (place - 1) >> 1
    }
    this.#put(due, place)
  }

  #down(from: number): void {
    const due = this.#heap[from]!
    let place = from
    for (;;) {
      let child = 2 * place + 1
      if (child >= this.#heap.length) break
      if (child + 1 < this.#heap.length && this.#heap[child + 1]!.dueAt < this.#heap[child]!.dueAt) child++
      if (this.#heap[child]!.dueAt >= due.dueAt) break
      this.#put(this.#heap[child]!, place)
      place = child
    }
    this.#put(due, place)
  }
}
