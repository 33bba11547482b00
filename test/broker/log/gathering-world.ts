/** A chain's writer in time that only the simulation lets pass: a disk with a fixed sync, and publishers of several kinds. */
import { Gathering, type Pace } from '../../../broker/log/gathering.ts'
import type { Random } from '../../support/random.ts'

/** What a turn of the event loop takes, ms. */
const TURN_MS = 0.005

export interface Simulated {
  readonly syncMs: number
  /** Of the one thread, for each record that comes. */
  readonly recordMs: number
  readonly random: Random
  /** Without it each commit begins at once. */
  readonly isGathering: boolean
}

interface Event {
  readonly at: number
  readonly number: number
  readonly run: () => void
}

export class GatheringWorld implements Pace {
  readonly #options: Simulated
  readonly #gathering = new Gathering(this)
  #events: Event[] = []
  #numbers = 0
  #now = 1000
  /** The thread does one thing at a time. */
  #busyUntil = 0
  #isRunning = false
  #open: (() => void)[] = []
  /** By commit: its records. */
  readonly commits: number[] = []
  waits = 0
  /** From a record's coming to its acknowledgement, ms. */
  readonly latencies: number[] = []

  constructor(options: Simulated) {
    this.#options = options
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    this.#at(this.#now + ms, callback)
    return () => {}
  }

  soon(callback: () => void): void {
    this.#at(this.#now + TURN_MS, callback)
  }

  /** A publisher that keeps so many in flight, and needs `turnMs` from acknowledgements to its next messages. */
  closedLoop(window: number, turnMs: (random: Random) => number): void {
    let free = 0
    const send = (count: number) => this.#bring(count, acknowledged)
    const acknowledged = () => {
      free++
      if (free > 1) return
      this.after(turnMs(this.#options.random), () => {
        const count = free
        free = 0
        send(count)
      })
    }
    // half of its window a little later: as it comes where a commit begins between two reads
    const first = Math.ceil(window / 2)
    this.after(0, () => send(first))
    if (window > first) this.after(this.#options.syncMs / 3, () => send(window - first))
  }

  /** Comes at random, so many a millisecond, whether or not it is acknowledged. */
  paced(perMs: number): void {
    const next = () => {
      const gapMs = -Math.log(1 - this.#options.random.next()) / perMs
      this.after(gapMs, () => {
        this.#bring(1, () => {})
        next()
      })
    }
    next()
  }

  /** Lets so much time pass. */
  async run(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      const event = this.#take()
      if (event === undefined || event.at > end) return
      this.#now = Math.max(this.#now, event.at)
      event.run()
      // what was promised goes on
      for (let i = 0; i < 8; i++) await Promise.resolve()
    }
  }

  #at(at: number, run: () => void): void {
    this.#events.push({ at, number: this.#numbers++, run })
  }

  #take(): Event | undefined {
    let first = 0
    for (let i = 1; i < this.#events.length; i++) {
      const [one, other] = [this.#events[i]!, this.#events[first]!]
      if (one.at < other.at || (one.at === other.at && one.number < other.number)) first = i
    }
    return this.#events.splice(first, 1)[0]
  }

  #bring(count: number, acknowledged: () => void): void {
    this.#busyUntil = Math.max(this.#now, this.#busyUntil) + count * this.#options.recordMs
    this.#at(this.#busyUntil, () => {
      const came = this.#now
      for (let i = 0; i < count; i++) {
        this.#open.push(() => {
          this.latencies.push(this.#now - came)
          acknowledged()
        })
      }
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isRunning) {
      this.#gathering.appended()
      return
    }
    this.#isRunning = true
    this.#gathering.begin()
    this.soon(() => void this.#write())
  }

  async #write(): Promise<void> {
    while (this.#open.length > 0) {
      if (this.#options.isGathering) {
        const open = this.#open
        const from = this.#now
        await this.#gathering.wait({
          get records() {
            return open.length
          },
        })
        if (this.#now > from) this.waits++
      }
      const taken = this.#open.splice(0)
      this.#gathering.started()
      await new Promise<void>((resolve) => this.after(this.#options.syncMs, resolve))
      this.commits.push(taken.length)
      this.#gathering.ended(taken.length)
      for (const acknowledge of taken) acknowledge()
    }
    this.#isRunning = false
  }
}
