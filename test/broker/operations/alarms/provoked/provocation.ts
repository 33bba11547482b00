/**
 * How the state that an alarm describes is brought about on a broker that runs, and what docs/operate.md has an operator do about it.
 * Its name is the alarm's id; where there are several of one alarm, the id, then ": " and what it is about.
 */
import type { AlarmSeverity } from '../../../../../broker/operations/alarms/alarm.ts'
import type { Edge } from './edge.ts'

export interface Provocation {
  readonly severity: AlarmSeverity
  readonly subject: string | (() => string)
  /** What its line has to say. */
  readonly summary: RegExp
  /** It takes a real Kafka. */
  readonly takesKafka?: boolean
  /** Starts a broker and brings the state about. */
  provoke(): Promise<Edge>
  /** @returns an `Edge`, the one that runs then, where that takes a restart */
  mend(edge: Edge): Promise<unknown>
}
