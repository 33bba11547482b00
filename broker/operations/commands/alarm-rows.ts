/** Open alarms, for people. */
import type { Alarm, AlarmSeverity } from '../alarms/alarm.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { duration } from '../terminal/units.ts'

const COLOURS = { critical: 'red', warning: 'yellow', info: 'dim' } as const satisfies Record<
  AlarmSeverity,
  string
>

/** Two lines each: what is wrong, and what to do. */
export function printAlarms(out: Output, alarms: readonly Alarm[], now: number = Date.now()): void {
  if (alarms.length === 0) return
  out.line()
  for (const { id, severity, summary, hint, since } of alarms) {
    const age = duration(Math.max(0, now - since))
    out.line(`${out.paint(COLOURS[severity], `${severity} ${id}`)}  ${printable(summary)} (for ${age})`)
    out.line(`  ${out.paint('dim', printable(hint))}`)
  }
}
