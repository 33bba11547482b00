/** One direction of a serial line that loses, damages, repeats, delays, splits and merges. Bytes keep their order, as a wire's do. */
import type { Random } from '../../support/random.ts'

export interface Weather {
  /** Of frames. */
  readonly lost: number
  readonly repeated: number
  /** Of bits. */
  readonly flipped: number
  readonly delayMsMax: number
}

export class BadWire {
  readonly #random: Random
  readonly #weather: Weather
  readonly #under: { at: number; bytes: Buffer }[] = []
  #last = 0
  lost = 0
  flipped = 0

  constructor(random: Random, weather: Weather) {
    this.#random = random
    this.#weather = weather
  }

  put(now: number, frame: Buffer): void {
    const { lost, repeated, delayMsMax } = this.#weather
    if (this.#random.next() < lost) {
      this.lost++
      return
    }
    const times = this.#random.next() < repeated ? 2 : 1
    for (let time = 0; time < times; time++) {
      const bytes = this.#damaged(frame)
      // one frame in eight comes in two pieces
      const cut = this.#random.next() < 1 / 8 ? this.#random.between(1, bytes.length) : bytes.length
      for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        this.#last = Math.max(this.#last, now + this.#random.between(0, delayMsMax))
        if (piece.length > 0) this.#under.push({ at: this.#last, bytes: piece })
      }
    }
  }

  /** All that has arrived until now, in one piece. */
  take(now: number): Buffer {
    const arrived: Buffer[] = []
    while (this.#under.length > 0 && this.#under[0]!.at <= now) arrived.push(this.#under.shift()!.bytes)
    return Buffer.concat(arrived)
  }

  /** What is under way goes nowhere: the plug was pulled. */
  clear(): void {
    this.#under.length = 0
  }

  #damaged(frame: Buffer): Buffer {
    const bytes = Buffer.from(frame)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      if (this.#random.next() >= this.#weather.flipped) continue
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      this.flipped++
    }
    return bytes
  }
}
