/**
 * How long a process was let do what it wanted: an emulated machine beside other work gets a share of the time that passes, and its own clock
 * goes by the wall's. What is waited for is counted in this time, or a machine that is given no processor looks like one that hangs.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** Since it began, ms. */
export interface ThreadTime {
  readonly ran: number
  /** Ready to run, without a processor. */
  readonly waited: number
}

/** Below this share of the time it wants nothing: it waits for a timer, a disk or the network. */
const WANTS_NOTHING = 0.02

export class ServedTime {
  readonly #read: () => ReadonlyMap<string, ThreadTime>
  readonly #now: () => number
  #threads: ReadonlyMap<string, ThreadTime>
  #at: number
  #passed = 0
  #served = 0

  /** @param read its threads by their ids; those that have ended are not among them */
  constructor(read: () => ReadonlyMap<string, ThreadTime>, now: () => number = () => performance.now()) {
    this.#read = read
    this.#now = now
    this.#threads = read()
    this.#at = now()
  }

  static of(pid: number): ServedTime {
    return new ServedTime(() => threadsOf(pid))
  }

  /** Counts what has passed since the last look: often, because threads end. */
  look(): void {
    const [threads, at] = [this.#read(), this.#now()]
    let [ran, waited] = [0, 0]
    for (const [id, thread] of threads) {
      const before = this.#threads.get(id)
      ran += thread.ran - (before?.ran ?? 0)
      waited += thread.waited - (before?.waited ?? 0)
    }
    const passed = at - this.#at
    const wanted = ran + waited
    this.#passed += passed
    this.#served += wanted < passed * WANTS_NOTHING ? passed : passed * (ran / wanted)
    this.#threads = threads
    this.#at = at
  }

  /** By the wall's clock, ms. */
  get passedMs(): number {
    return this.#passed
  }

  /** Of it, what it had all that it wanted of, ms. */
  get servedMs(): number {
    return this.#served
  }
}

/** Of /proc/PID/task/TID/schedstat: ns that it ran, ns that it waited, how often. */
function threadsOf(pid: number): ReadonlyMap<string, ThreadTime> {
  const threads = new Map<string, ThreadTime>()
  try {
    for (const id of readdirSync(`/proc/${pid}/task`)) {
      const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8')
        .split(' ')
        .map(Number)
      threads.set(id, { ran: ran / 1e6, waited: waited / 1e6 })
    }
  } catch {
    // it, or a thread of it, has ended meanwhile: counted at the next look
  }
  return threads
}
