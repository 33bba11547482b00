/**
 * Holds a reader to a cap on bytes a second (token-bucket.ts): one request at a time, as large as a second's worth at most, and
 * none while there is a debt.
 */
import type { Clock } from '../clock.ts'
import { type BandwidthOptions, TokenBucket } from './token-bucket.ts'

/** Whoever is told to end does so within this time. */
const SLICE_MS = 200

export class Pacer {
  readonly #clock: Clock
  readonly #bucket: TokenBucket
  #turn: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(bandwidth: BandwidthOptions, clock: Clock) {
    this.#clock = clock
    this.#bucket = new TokenBucket(bandwidth, clock)
  }

  /** What one request should bring at most. */
  get bytesMax(): number {
    return this.#bucket.roundBytesMax
  }

  /** One behind the other. @param bytesSince what went over the link for it */
  async take<T>(ask: () => Promise<T>, bytesSince: () => number): Promise<T> {
    const turn = this.#turn.then(async () => {
      await this.wait()
      try {
        return await ask()
      } finally {
        this.#bucket.spend(bytesSince())
      }
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  spend(bytes: number): void {
    this.#bucket.spend(bytes)
  }

  /** Until something may go. */
  async wait(): Promise<void> {
    for (let ms = this.#bucket.waitMs(); ms > 0 && !this.#isClosed; ms = this.#bucket.waitMs()) {
      await new Promise<void>((resolve) => this.#clock.after(Math.min(ms, SLICE_MS), resolve))
    }
  }

  /** Nobody waits any more. */
  close(): void {
    this.#isClosed = true
  }
}
