/** What sessions are opened with. */
import type { EventLog } from '../../log/event-log.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk } from '../../storage/store.ts'
import type { SessionRules } from './away-review.ts'
import type { SessionLimits } from './limits.ts'
import type { MessageOfRecord } from './message-loader.ts'
import type { ClockSource } from './session-clock.ts'
import type { TopicHub } from './topic-hub.ts'
import type { PublishWill } from './wills.ts'

export interface SessionsOptions {
  readonly disk: Disk
  /** The data directory. */
  readonly data: string
  readonly log: EventLog
  readonly hub: TopicHub
  readonly sink: LogSink
  readonly limits?: Partial<SessionLimits>
  readonly clock: ClockSource & {
    /** ms since 1970, the clock that gives messages and records their timestamps. */
    now(): number
  }
  readonly messageOf: MessageOfRecord
  readonly publishWill: PublishWill
  /** Without them everybody may do everything. */
  readonly rules?: SessionRules
  /** Calls back again and again, without keeping the process alive. @returns the way to stop */
  readonly every?: (ms: number, callback: () => void) => () => void
}

/** As `SessionsOptions.every`. */
export function everyMs(ms: number, callback: () => void): () => void {
  const timer = setInterval(callback, ms)
  timer.unref()
  return () => clearInterval(timer)
}
