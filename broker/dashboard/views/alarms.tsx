/** What wants a person's attention, the worst first, each with what to do. */
import type { Alarm } from '../api/types.ts'
import { Icon, type IconName } from '../parts/icon.tsx'
import { Prose } from '../parts/prose.tsx'
import { ago, exactTime } from '../text/units.ts'
import { visible } from '../text/visible.ts'

const SEVERITIES = ['critical', 'warning', 'info'] as const
const ICONS: Readonly<Record<Alarm['severity'], IconName>> = {
  critical: 'cross',
  warning: 'warning',
  info: 'info',
}

export function Alarms({ alarms, now }: { alarms: readonly Alarm[]; now: number }) {
  if (alarms.length === 0) {
    return (
      <section class="card alarms calm" id="alarms" aria-label="Alarms">
        <p>
          <Icon name="ok" /> No alarms.
        </p>
      </section>
    )
  }
  const sorted = [...alarms].sort(
    (a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || b.since - a.since,
  )
  return (
    <section class="card alarms" id="alarms" aria-labelledby="alarms-title">
      <h2 id="alarms-title">Alarms</h2>
      <ul>
        {sorted.map((alarm) => (
          <li key={`${alarm.id} ${alarm.subject}`} class={`alarm ${alarm.severity}`}>
            <Icon name={ICONS[alarm.severity]} />
            <div>
              <p class="alarm-head">
                <b>{alarm.severity}</b> <code>{visible(alarm.id)}</code>
                {alarm.subject !== '' && <span class="subject">{visible(alarm.subject)}</span>}
                <time dateTime={isoOf(alarm.since)} title={exactTime(alarm.since)}>
                  {ago(alarm.since, now)}
                </time>
              </p>
              <p>
                <Prose text={alarm.summary} />
              </p>
              {alarm.hint !== '' && (
                <p class="hint">
                  <Prose text={alarm.hint} />
                </p>
              )}
            </div>
          </li>
        ))}
      </ul>
    </section>
  )
}

function isoOf(at: number): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? '' : date.toISOString()
}
