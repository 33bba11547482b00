/**
 * A log line that clients can cause is limited: at once the first time, then at most one in ten seconds of its kind, with the
 * number of those left out. A disk that is full must not be filled by lines about it.
 */
import type { LogSink } from './log-sink.ts'

const EVERY_MS = 10_000
/** Kinds remembered; the oldest is forgotten first. */
const KINDS_MAX = 1_000

export class LimitedLog {
  readonly #log: LogSink
  readonly #now: () => number
  readonly #kinds = new Map<string, { loggedAt: number; leftOut: number }>()

  /** @param now ms, of any origin */
  constructor(log: LogSink, now: () => number = () => performance.now()) {
    this.#log = log
    this.#now = now
  }

  /** @param kind lines of one kind are limited together */
  warn(kind: string, message: string, fields: Record<string, unknown>): void {
    const seen = this.#kinds.get(kind)
    const now = this.#now()
    if (seen !== undefined && now - seen.loggedAt < EVERY_MS) {
      seen.leftOut++
      return
    }
    this.#log.warn(
      message,
      seen !== undefined && seen.leftOut > 0 ? { ...fields, leftOut: seen.leftOut } : fields,
    )
    this.#kinds.delete(kind)
    this.#kinds.set(kind, { loggedAt: now, leftOut: 0 })
    if (this.#kinds.size > KINDS_MAX) {
      const oldest = this.#kinds.keys().next().value
      if (oldest !== undefined) this.#kinds.delete(oldest)
    }
  }
}
