/**
 * Whose packets are handled while more come than there is time for. All of it is done by one thread, a turn of the event loop after the other, and a message
 * needs three or four turns from its socket to its acknowledgement. So what one turn reads has a limit, `TURN_MS`: past it those who bring much wait,
 * in their order, for the turns after it, and those who bring little go on. A flood then makes a flood wait.
 *
 * Who brings little is asked twice: of the connection, and of its user (or address, where it has no name), all of whose connections count together: many
 * connections with little each, or ever new ones, are a flood, too. A user may bring as much as falls to each of those who bring anything. Where all are one
 * user, its connections are told apart by themselves alone.
 */

/** What a turn gives to chunks as they come, and once more to those that wait. */
const TURN_MS = 4
/** Bytes of a chunk beside each of whose packets `PACKET_COST` counts: what goes on in a full turn, a second. */
const LIGHT_PER_SECOND = 64 * 1024
const PACKET_COST = 256
const DECAY_MS = 1000
/** What falls to each is looked at so often: it goes through all of them. */
const FAIR_MS = 100
/** Users and addresses that are remembered; past it those who brought nothing for a while are forgotten, and past twice of it all. */
const OWNERS_MAX = 1000

/** A connection's part in it. */
export interface Reading {
  readonly share: Share
  /** Of whom it belongs to. */
  readonly ofOwner: Share
  /** Handles what it has. */
  run(): void
  /** The same, after it was told to wait. */
  goOn(): void
}

/** What was handled within about a second. */
export class Share {
  #cost = 0
  #since = 0

  add(cost: number): void {
    this.#cost += cost
  }

  /** @param now monotonic, ms */
  cost(now: number): number {
    if (now - this.#since >= DECAY_MS) {
      this.#cost = now - this.#since >= 2 * DECAY_MS ? 0 : this.#cost / 2
      this.#since = now
    }
    return this.#cost
  }
}

export class ReadShares {
  readonly #now: () => number
  readonly #later: (turn: () => void) => void
  readonly #waiting: Reading[] = []
  readonly #owners = new Map<string, Share>()
  /** What falls to each of the owners, a second. */
  #fairCost = 0
  #fairSince = Number.NEGATIVE_INFINITY
  #usedMs = 0
  #isTurn = false

  /** @param later calls after this turn's reads, once */
  constructor(now = () => performance.now(), later: (turn: () => void) => void = setImmediate) {
    this.#now = now
    this.#later = later
  }

  /** @param owner a user, or an address */
  ofOwner(owner: string): Share {
    const known = this.#owners.get(owner)
    if (known !== undefined) return known
    if (this.#owners.size >= OWNERS_MAX) this.#forget()
    const share = new Share()
    this.#owners.set(owner, share)
    return share
  }

  /** Whoever is forgotten keeps its share as long as it is connected, and has another one for new connections. */
  #forget(): void {
    const now = this.#now()
    for (const [owner, share] of this.#owners) if (share.cost(now) === 0) this.#owners.delete(owner)
    if (this.#owners.size >= 2 * OWNERS_MAX) this.#owners.clear()
  }

  /** So much of it was handled. */
  charge({ share, ofOwner }: Reading, bytes: number, packets: number): void {
    const cost = bytes + packets * PACKET_COST
    share.add(cost)
    ofOwner.add(cost)
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
    const isLight = this.#isLight(reading, bytes, now)
    if (isFull && !isLight) {
      this.#waiting.push(reading)
      return false
    }
    reading.run()
    this.#usedMs += this.#now() - now
    return true
  }

  #isLight({ share, ofOwner }: Reading, bytes: number, now: number): boolean {
    const ofAll = ofOwner.cost(now) + bytes
    return share.cost(now) + bytes <= LIGHT_PER_SECOND && ofAll <= Math.max(LIGHT_PER_SECOND, this.#fair(now))
  }

  #fair(now: number): number {
    if (now - this.#fairSince < FAIR_MS) return this.#fairCost
    this.#fairSince = now
    let owners = 0
    let all = 0
    for (const share of this.#owners.values()) {
      const cost = share.cost(now)
      if (cost === 0) continue
      owners++
      all += cost
    }
    // the only one has everything, whatever that becomes until the next look
    this.#fairCost = owners <= 1 ? Number.POSITIVE_INFINITY : all / owners
    return this.#fairCost
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
