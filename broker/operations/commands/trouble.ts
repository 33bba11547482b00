/** Why an upstream or a downlink does not go on, and what to do. */
import type { UpstreamStatus } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { ago, duration } from '../terminal/units.ts'

export type Troubled = Pick<UpstreamStatus, 'name' | 'state' | 'since' | 'lastError' | 'tries' | 'retryAt'>

/** An error that is over is not shown. */
export function printTrouble(out: Output, status: Troubled): void {
  const { name, state, since, lastError, tries, retryAt } = status
  const isStopped = state === 'stopped'
  if (lastError === null || (!isStopped && state !== 'backoff' && tries === 0)) return
  const next = isStopped
    ? `stopped ${ago(since)}, until \`headwater sync resume\``
    : `try ${tries}, next in ${duration(Math.max(0, (retryAt ?? 0) - Date.now()))}`
  const text = `${lastError.code}: ${printable(lastError.message)} (${next})`
  out.line(`${out.paint(isStopped ? 'red' : 'yellow', printable(name))}: ${text}`)
  if (lastError.hint !== '') out.line(`  ${printable(lastError.hint)}`)
}
