/** Downlinks, below the upstreams of `headwater sync status`. */
import type { DownlinkStatus } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { ago, count, duration } from '../terminal/units.ts'
import { printTrouble } from './trouble.ts'

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
    status.answerAgeSeconds === null ? 'never' : `${duration(status.answerAgeSeconds * 1000)} ago`,
    printable(status.address),
  ])
  printTable(
    out,
    [
      { title: 'DOWNLINK' },
      { title: 'TOPIC' },
      { title: 'STATE', isWhole: true },
      { title: 'LAG', align: 'right' },
      { title: 'DELIVERED', align: 'right' },
      { title: 'PASSED OVER', align: 'right' },
      { title: 'LAST', align: 'right' },
      { title: 'ANSWERED', align: 'right', isExtra: true },
      { title: 'WHERE', isExtra: true },
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
