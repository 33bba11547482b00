/** What tests of the bridge share: a log that is kept, a clock that runs fast, and waiting for a condition. */
import { vi } from 'vitest'
import type { LogSink } from '../../broker/log-sink.ts'
import { type Clock, systemClock } from '../../firmware-bridge/clock.ts'

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
}

export class RecordingLog implements LogSink {
  readonly lines: LogLine[] = []
  info(message: string): void {
    this.lines.push({ level: 'info', message })
  }
  warn(message: string): void {
    this.lines.push({ level: 'warn', message })
  }
  error(message: string): void {
    this.lines.push({ level: 'error', message })
  }
  matching(text: string): LogLine[] {
    return this.lines.filter(({ message }) => message.includes(text))
  }
}

/** Waits are this much shorter than the program asks for. */
const HASTE = 20

export const hastyClock: Clock = {
  ...systemClock,
  after: (ms, callback) => systemClock.after(ms / HASTE, callback),
}

/** Time that stands still until it is moved. */
export class ManualClock implements Clock {
  #now = 1_700_000_000_000
  #timers: { readonly at: number; readonly callback: () => void }[] = []

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer)
    }
  }

  /** Waits that are under way, ms. */
  get waits(): number[] {
    return this.#timers.map(({ at }) => at - this.#now)
  }

  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#timers = this.#timers.filter((each) => each !== next)
      this.#now = Math.max(this.#now, next.at)
      next.callback()
    }
    this.#now = end
  }
}

export const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 10 })
