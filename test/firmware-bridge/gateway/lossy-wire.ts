/** The radio between a device and the gateway: drops, copies and delays, and keeps the order of each direction of one device. */
import type { Random } from '../../support/random.ts'
import type { FakeClock } from './fakes.ts'

export interface Faults {
  /** Of each packet, 0 to 1. */
  loss: number
  copies: number
  delayMsMax: number
}

export class LossyWire {
  readonly #clock: FakeClock
  readonly #random: Random
  readonly #faults: Faults
  readonly #deliver: (bytes: Buffer) => void
  #lastAt = 0

  constructor(clock: FakeClock, random: Random, faults: Faults, deliver: (bytes: Buffer) => void) {
    this.#clock = clock
    this.#random = random
    this.#faults = faults
    this.#deliver = deliver
  }

  send(bytes: Buffer): void {
    const { loss, copies } = this.#faults
    if (this.#random.next() < loss) return
    this.#carry(bytes)
    if (this.#random.next() < copies) this.#carry(bytes)
  }

  #carry(bytes: Buffer): void {
    const now = this.#clock.monotonic()
    const at = Math.max(now + this.#random.between(1, this.#faults.delayMsMax), this.#lastAt)
    this.#lastAt = at
    this.#clock.after(at - now, () => this.#deliver(bytes))
  }
}
