/**
 * Whose packets are handled while more come than there is time for. All of it is done by one thread, a turn of the event loop after the other, and a message
 * needs three or four turns from its socket to its acknowledgement. So what one turn reads has a limit, `TURN_MS`: past it those who bring much wait,
 * in their order, for the turns after it, and those who bring little (`LIGHT_PER_SECOND`) go on. A flood then makes a flood wait.
 */

/** What a turn gives to chunks as they come, and once more to those that wait. */
const TURN_MS = 4
/** Bytes of a chunk beside each of whose packets `PACKET_COST` counts: what goes on in a full turn, a second. */
const LIGHT_PER_SECOND = 64 * 1024
const PACKET_COST = 256
const DECAY_MS = 1000

/** A connection's part in it. */
export interface Reading {
  readonly share: Share
  /** Handles what it has. */
  run(): void
  /** The same, after it was told to wait. */
  goOn(): void
}

/** What was handled for one connection within about a second. */
export class Share {
  #cost = 0
  #since = 0

  add(bytes: number, packets: number): void {
    this.#cost += bytes + packets * PACKET_COST
  }

  /** @param more bytes that it brings now @param now monotonic, ms */
  isLight(more: number, now: number): boolean {
    if (now - this.#since >= DECAY_MS) {
      this.#cost = now - this.#since >= 2 * DECAY_MS ? 0 : this.#cost / 2
      this.#since = now
    }
    return this.#cost + more <= LIGHT_PER_SECOND
  }
}

export class ReadShares {
  readonly #now: () => number
  readonly #later: (turn: () => void) => void
  readonly #waiting: Reading[] = []
  #usedMs = 0
  #isTurn = false

  /** @param later calls after this turn's reads, once */
  constructor(now = () => performance.now(), later: (turn: () => void) => void = setImmediate) {
    this.#now = now
    this.#later = later
  }

  /**
   * Handles what a connection has, now or in a later turn.
   * @param bytes that have just come
   * @returns false: it waits, and `goOn` is called
   */
  read(reading: Reading, bytes: number): boolean {
    if (!this.#isTurn) {
      this.#isTurn = true
      this.#later(() => this.#endTurn())
    }
    const now = this.#now()
    const isFull = this.#usedMs >= TURN_MS || this.#waiting.length > 0
    const isLight = reading.share.isLight(bytes, now)
    if (isFull && !isLight) {
      this.#waiting.push(reading)
      return false
    }
    reading.run()
    this.#usedMs += this.#now() - now
    return true
  }

  #endTurn(): void {
    const began = this.#now()
    let next = 0
    while (next < this.#waiting.length && (next === 0 || this.#now() - began < TURN_MS)) {
      this.#waiting[next++]!.goOn()
    }
    this.#waiting.splice(0, next)
    this.#usedMs = 0
    this.#isTurn = this.#waiting.length > 0
    if (this.#isTurn) this.#later(() => this.#endTurn())
  }
}
