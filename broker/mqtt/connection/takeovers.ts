/**
 * Clients that have one client id end each other's connections [MQTT-3.1.4-3], and come back, for as long as nobody looks. Once it happens again
 * and again, who comes has to wait before it takes over: the fight costs next to nothing, and each of them has the broker for a while. Nobody is refused for
 * it, since a device whose old connection has not been given up yet looks the same.
 *
 *     heat   one more with each takeover, one less every COOL_SECONDS
 *     delay  none below HEAT_FREE, then 1, 2, 4 and at most 8 seconds; none where nobody is to be taken over from
 */
import type { LimitedLog } from '../../limited-log.ts'
import { TICKS_PER_SECOND, type Timed, type TimerWheel } from './timer-wheel.ts'

const COOL_SECONDS = 10
const HEAT_FREE = 3
/** 8 s: below what clients wait for a CONNACK (10 s and more). */
const DOUBLINGS_MAX = 3
/** A fight that is over is forgotten within a minute. */
const HEAT_MAX = HEAT_FREE + DOUBLINGS_MAX + 1
/** Client ids whose heat is known; that of the one that was quiet longest is forgotten. */
const HEATS_MAX = 10_000

/** Who has a client id, or asks for it. */
export interface Holder {
  readonly user: string | null
  readonly address: string
}

export class Takeovers {
  readonly #wheel: TimerWheel
  readonly #limited: LimitedLog
  /** All by client id. */
  readonly #holders = new Map<string, Holder>()
  readonly #heats = new Map<string, { level: number; at: number }>()
  readonly #waiting = new Map<string, Turn>()

  constructor(wheel: TimerWheel, limited: LimitedLog) {
    this.#wheel = wheel
    this.#limited = limited
  }

  /**
   * Asked before a session is. At most one client waits for each id, the last that came, as it would be without a delay.
   * @returns false where another one has come meanwhile
   */
  turn(clientId: string, asking: Holder): true | Promise<boolean> {
    const holder = this.#holders.get(clientId)
    // the id of another user: it will be refused, and must not disturb those who may have it
    if (holder === undefined || (holder.user !== null && holder.user !== asking.user)) return true
    const seconds = delayOf(this.#heatOf(clientId))
    if (seconds === 0) return true
    this.#limited.warn(
      'takeover',
      "clients with one client id end each other's connections again and again: give each an id of its own",
      { client: clientId, from: asking.address, other: holder.address, waitsSeconds: seconds },
    )
    this.#end(clientId, false)
    return new Promise((resolve) => {
      const turn = new Turn(resolve, () => this.#end(clientId, true))
      this.#waiting.set(clientId, turn)
      this.#wheel.set(turn, seconds * TICKS_PER_SECOND)
    })
  }

  entered(clientId: string, holder: Holder): void {
    this.#holders.set(clientId, holder)
  }

  /** Its connection has ended: who waits for the id need not wait any more. */
  left(clientId: string, holder: Holder): void {
    if (this.#holders.get(clientId) !== holder) return
    this.#holders.delete(clientId)
    this.#end(clientId, true)
  }

  /** The one who has the id lost it to another one. */
  takenOver(clientId: string): void {
    const level = Math.min(HEAT_MAX, this.#heatOf(clientId) + 1)
    this.#heats.delete(clientId)
    this.#heats.set(clientId, { level, at: this.#wheel.now })
    if (this.#heats.size <= HEATS_MAX) return
    const quietest = this.#heats.keys().next().value
    if (quietest !== undefined) this.#heats.delete(quietest)
  }

  #heatOf(clientId: string): number {
    const heat = this.#heats.get(clientId)
    if (heat === undefined) return 0
    const left = heat.level - (this.#wheel.now - heat.at) / (COOL_SECONDS * TICKS_PER_SECOND)
    return Math.max(0, left)
  }

  #end(clientId: string, isNext: boolean): void {
    const turn = this.#waiting.get(clientId)
    if (turn === undefined) return
    this.#waiting.delete(clientId)
    this.#wheel.clear(turn)
    turn.resolve(isNext)
  }
}

/** Of one who waits. */
class Turn implements Timed {
  readonly resolve: (isNext: boolean) => void
  readonly #onDue: () => void

  constructor(resolve: (isNext: boolean) => void, onDue: () => void) {
    this.resolve = resolve
    this.#onDue = onDue
  }

  due(): number {
    this.#onDue()
    return 0
  }
}

/** @returns seconds */
function delayOf(heat: number): number {
  const doublings = Math.floor(heat) - HEAT_FREE
  return doublings < 0 ? 0 : 2 ** Math.min(doublings, DOUBLINGS_MAX)
}
