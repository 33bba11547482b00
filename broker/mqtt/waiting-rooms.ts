/** Who waits until a chain of the log has room: in the order in which they came, and not for ever while the disk stays full. */
import type { Chain } from '../log/chain.ts'

/** While the disk is full a message waits this long for room; then its sender is told to come again. */
const FULL_WAIT_MS = 10_000
const FULL_CHECK_MS = 1_000

export interface WaitingLimits {
  /** Bytes that wait while the disk is full, at most: senders whose connection ended come again, with the same. */
  readonly waitingBytesMax?: number
  readonly fullWaitMs?: number
}

export interface Waiting {
  readonly bytes: number
  readonly since: number
  /** It goes on with more while the chain has room: a connection with the rest of what was read. */
  readonly keepsTurn: boolean
  enter(): void
  refuse(): void
}

/** Those that wait for one chain, oldest first. */
interface Room {
  readonly waiting: Waiting[]
  bytes: number
}

export class WaitingRooms {
  readonly #bytesMax: number
  readonly #waitMs: number
  readonly #rooms = new Map<Chain, Room>()
  /** Whoever is let in just now goes on with more of the same, and does not queue up behind itself. */
  #turnOf: Chain | null = null

  constructor({ waitingBytesMax, fullWaitMs }: WaitingLimits) {
    this.#bytesMax = waitingBytesMax ?? Number.POSITIVE_INFINITY
    this.#waitMs = fullWaitMs ?? FULL_WAIT_MS
  }

  /** The chain has room, and nobody who came before waits for it. */
  letsIn(chain: Chain): boolean {
    if (chain.admission.isFull) return false
    return this.#rooms.size === 0 || this.#turnOf === chain || !this.#rooms.has(chain)
  }

  wait(chain: Chain, waiting: Waiting): void {
    let room = this.#rooms.get(chain)
    if (chain.admission.isHeld && (room?.bytes ?? 0) + waiting.bytes > this.#bytesMax) {
      waiting.refuse()
      return
    }
    if (room !== undefined) {
      room.bytes += waiting.bytes
      room.waiting.push(waiting)
      return
    }
    room = { waiting: [waiting], bytes: waiting.bytes }
    this.#rooms.set(chain, room)
    void this.#letIn(chain, room)
  }

  async #letIn(chain: Chain, room: Room): Promise<void> {
    const check = setInterval(() => this.#refuseLate(chain, room), Math.min(FULL_CHECK_MS, this.#waitMs))
    check.unref()
    while (room.waiting.length > 0) {
      await chain.admission.drained()
      let next = 0
      while (next < room.waiting.length && !chain.admission.isFull) {
        const waiting = room.waiting[next++]
        room.bytes -= waiting.bytes
        this.#turnOf = waiting.keepsTurn ? chain : null
        waiting.enter()
        this.#turnOf = null
      }
      room.waiting.splice(0, next)
    }
    clearInterval(check)
    this.#rooms.delete(chain)
  }

  /** Those that have waited long enough for a disk that stays full. */
  #refuseLate(chain: Chain, room: Room): void {
    if (!chain.admission.isHeld) return
    const now = performance.now()
    const late = room.waiting.findIndex(({ since }) => now - since < this.#waitMs)
    for (const waiting of room.waiting.splice(0, late < 0 ? room.waiting.length : late)) {
      room.bytes -= waiting.bytes
      waiting.refuse()
    }
  }
}
