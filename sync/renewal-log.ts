/** What is said of credentials that changed and cannot be used, and when they can. */
import type { HeadwaterError, LogSink } from '../broker/index.ts'
import type { Clock } from './clock.ts'
import { FailureLog } from './failure-log.ts'

export interface RenewalListener {
  /** A connection could not be replaced; the old one goes on (renewal-looks.ts). */
  readonly onRenewFailed: (error: unknown) => void
  /** One of which that was told has been replaced. */
  readonly onRenewed: () => void
}

export function renewalLog(
  upstream: string,
  sink: LogSink,
  clock: Clock,
  named: (error: unknown) => HeadwaterError,
): RenewalListener {
  const who = `upstream ${upstream} goes on with its old credentials, new ones cannot be used yet`
  const failures = new FailureLog(sink, clock, who)
  return {
    onRenewFailed: (error) => failures.failed(named(error), 1),
    onRenewed() {
      if (!failures.isTold) return
      failures.recovered(0)
      sink.info(`upstream ${upstream} uses its new credentials`)
    },
  }
}
