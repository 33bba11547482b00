/** What an operator should know of, and what to do about it. */
import type { AlarmId } from './catalogue.ts'

export type AlarmSeverity = 'critical' | 'warning' | 'info'

/** What is wrong at one look. */
export interface Finding {
  readonly id: AlarmId
  readonly severity: AlarmSeverity
  /** What it is about: an upstream, a stream; `broker`, `log`, `disk` or `clock` where it is about all of it. */
  readonly subject: string
  /** One line. */
  readonly summary: string
  /** What to do. */
  readonly hint: string
}

export interface Alarm extends Omit<Finding, 'id'> {
  /** One of the catalogue, a stable word. */
  readonly id: string
  /** ms since 1970 */
  readonly since: number
}
