/** Downlinks, below the upstreams of `headwater sync status`. */
import type { DownlinkStatus } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { ago, count, duration } from '../terminal/units.ts'

/** Prints nothing where there is none. */
export function printDownlinks(out: Output, downlinks: readonly DownlinkStatus[]): void {
  if (downlinks.length === 0) return
  out.line()
  const rows = downlinks.map((status) => [
    printable(status.name),
    printable(status.topic),
    status.state,
    count(status.lagRecords),
    count(status.delivered),
    count(passedOver(status)),
    ago(status.lastDeliveredAt),
    printable(status.address),
  ])
  printTable(
    out,
    [
      { title: 'DOWNLINK' },
      { title: 'TOPIC' },
      { title: 'STATE' },
      { title: 'LAG', align: 'right' },
      { title: 'DELIVERED', align: 'right' },
      { title: 'PASSED OVER', align: 'right' },
      { title: 'LAST', align: 'right' },
      { title: 'WHERE' },
    ],
    rows,
  )
  for (const status of downlinks) {
    printPassedOver(out, status)
    printTrouble(out, status)
  }
}

function passedOver(status: DownlinkStatus): number {
  return Object.values(status.passedOver).reduce((sum, records) => sum + records, 0)
}

function printPassedOver(out: Output, status: DownlinkStatus): void {
  const parts = Object.entries(status.passedOver)
    .filter(([, records]) => records > 0)
    .map(([why, records]) => `${why} ${count(records)}`)
  if (status.unacknowledged > 0) parts.push(`not acknowledged in time ${count(status.unacknowledged)}`)
  if (status.lost > 0) parts.push(`gone before they were read ${count(status.lost)}`)
  if (parts.length > 0) out.line(`${printable(status.name)}: ${parts.join(', ')}`)
}

/** Why it does not go on, and what to do. An error that is over is not shown. */
function printTrouble(out: Output, { name, state, lastError, tries, retryAt }: DownlinkStatus): void {
  if (lastError === null) return
  const next =
    state === 'stopped'
      ? 'stopped until `headwater sync resume`'
      : `try ${tries}, next in ${duration(Math.max(0, (retryAt ?? Date.now()) - Date.now()))}`
  const style = state === 'stopped' ? 'red' : 'yellow'
  out.line(
    `${out.paint(style, printable(name))}: ${lastError.code}: ${printable(lastError.message)} (${next})`,
  )
  if (lastError.hint !== '') out.line(`  ${printable(lastError.hint)}`)
}
