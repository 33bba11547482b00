/**
 * A cap on bytes a second. Tokens come steadily, up to `burstBytes`; what was sent is taken afterwards, when it is known, and may leave
 * a debt: then nothing is sent until it is paid. Together with rounds that are no larger than a second's worth there are no waves.
 */
import type { Clock } from '../clock.ts'

export interface BandwidthOptions {
  readonly bytesPerSecond: number
  readonly burstBytes: number
}

/** A round takes this long at the cap, at most. */
const ROUND_SECONDS = 1

export class TokenBucket {
  readonly options: BandwidthOptions
  readonly #clock: Clock
  #tokens: number
  #at: number

  constructor(options: BandwidthOptions, clock: Clock) {
    this.options = options
    this.#clock = clock
    this.#tokens = options.burstBytes
    this.#at = clock.monotonic()
  }

  /** The largest round that keeps the flow even. */
  get roundBytesMax(): number {
    return Math.max(1, Math.floor(this.options.bytesPerSecond * ROUND_SECONDS))
  }

  /** How long to wait before something is sent, ms; 0 when it may go. */
  waitMs(): number {
    this.#refill()
    if (this.#tokens > 0) return 0
    return Math.ceil(((1 - this.#tokens) * 1000) / this.options.bytesPerSecond)
  }

  spend(bytes: number): void {
    this.#refill()
    this.#tokens -= bytes
  }

  #refill(): void {
    const now = this.#clock.monotonic()
    const earned = ((now - this.#at) * this.options.bytesPerSecond) / 1000
    this.#tokens = Math.min(this.options.burstBytes, this.#tokens + earned)
    this.#at = now
  }
}
