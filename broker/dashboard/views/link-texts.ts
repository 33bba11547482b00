/** What holds an upstream's link back, and what else is to be known of it, in words. */
import type { UpstreamStatus } from '../api/types.ts'
import { bytes, count, duration, minuteText } from '../text/units.ts'

/** Names and texts, for a list. */
export function linkTexts(upstream: UpstreamStatus, now: number): [string, string][] {
  const { hold, bandwidth, schedule, budgets } = upstream.link
  const texts: [string, string][] = []
  if (hold !== null) texts.push(['Held', holdText(hold, now)])
  if (schedule !== null) {
    texts.push([
      'Schedule',
      schedule.isOverridden ? 'overridden until all is sent' : schedule.isOpen ? 'open' : 'closed',
    ])
  }
  if (bandwidth !== null) {
    const waits = bandwidth.isWaiting ? ', waits for its share' : ''
    texts.push(['Bandwidth', `at most ${bytes(bandwidth.bytesPerSecond)}/s${waits}`])
  }
  for (const budget of budgets) {
    const reset = budget.resetsAt === null ? '' : `, anew in ${duration(Math.max(0, budget.resetsAt - now))}`
    texts.push([`Budget a ${budget.period}`, `${bytes(budget.usedBytes)} of ${bytes(budget.bytes)}${reset}`])
  }
  if (upstream.certificate !== null) {
    const { until, isDue } = upstream.certificate
    texts.push(['Certificate', `until ${minuteText(until)}${isDue ? ', time for a new one' : ''}`])
  }
  const left: [string, number][] = [
    ['Left out by filters', upstream.filteredRecords],
    ['Passed over for newer ones', upstream.passedOverRecords],
    ['Gone before they were sent', upstream.skippedRecords],
    ['Calls that stalled', upstream.stalls],
  ]
  for (const [name, value] of left) if (value > 0) texts.push([name, count(value)])
  return texts
}

function holdText(
  { reason, until, urgentPriority }: NonNullable<UpstreamStatus['link']['hold']>,
  now: number,
): string {
  const end = until === null ? '' : `, for ${duration(Math.max(0, until - now))} more`
  const urgent =
    urgentPriority === null ? '' : `; streams of priority ${urgentPriority} and above go all the same`
  return `${reason}${end}${urgent}`
}
