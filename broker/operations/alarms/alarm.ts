/** What an operator should know of, and what to do about it. */

export type AlarmSeverity = 'critical' | 'warning' | 'info'

export interface Alarm {
  /** A stable word; docs/operate.md has them all. */
  readonly id: string
  readonly severity: AlarmSeverity
  /** What it is about: an upstream, a stream; `broker`, `log` or `disk` where it is about all of it. */
  readonly subject: string
  /** One line. */
  readonly summary: string
  /** What to do. */
  readonly hint: string
  /** ms since 1970 */
  readonly since: number
}
