/** `headwater sync status|pause|resume|now`: how far upstream is. */
import { ControlClient } from '../control/control-client.ts'
import { ExitCode } from '../exit-codes.ts'
import type { UpstreamStatus } from '../operations.ts'
import type { Output, Style } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { type Column, printTable } from '../terminal/table.ts'
import { ago, count, duration, rate } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'

export type SyncCommand = 'pause' | 'resume' | 'now'

interface Answer {
  readonly upstreams: UpstreamStatus[]
}

export async function runSyncStatus(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const client = await ControlClient.of(await dataDirectoryOf(context, options))
  const { upstreams } = await client.json<Answer>('GET', '/sync/status')
  if (options.json) context.out.json({ upstreams })
  else if (upstreams.length === 0) context.out.line('no upstream is configured')
  else {
    printUpstreams(context.out, upstreams)
    printPositions(context.out, upstreams)
  }
  return upstreams.some(({ state }) => state === 'stopped') ? ExitCode.failed : ExitCode.ok
}

export async function runSyncCommand(
  context: CommandContext,
  command: SyncCommand,
  upstream: string | undefined,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const client = await ControlClient.of(await dataDirectoryOf(context, options))
  const { upstreams } = await client.json<Answer>('POST', `/sync/${command}`, { upstream })
  if (options.json) context.out.json({ upstreams })
  else printUpstreams(context.out, upstreams)
  return ExitCode.ok
}

const STATE_STYLES: Readonly<Record<string, Style>> = {
  idle: 'green',
  sending: 'green',
  backoff: 'yellow',
  paused: 'yellow',
  stopped: 'red',
}

export function printUpstreams(out: Output, upstreams: readonly UpstreamStatus[]): void {
  const columns: Column[] = [
    { title: 'UPSTREAM' },
    { title: 'KIND' },
    { title: 'STATE' },
    { title: 'LAG', align: 'right' },
    { title: 'OLDEST', align: 'right' },
    { title: 'SENT', align: 'right' },
    { title: 'RATE', align: 'right' },
    { title: 'LAST ACK', align: 'right' },
    { title: 'WHERE' },
  ]
  const rows = upstreams.map((status) => [
    printable(status.name),
    status.kind,
    status.state,
    count(status.lagRecords),
    status.lagSecondsOldest === null ? '-' : duration(status.lagSecondsOldest * 1000),
    count(status.sentRecords),
    rate(status.recordsPerSecond),
    ago(status.lastAckAt),
    printable(status.address),
  ])
  printTable(out, columns, rows)
  for (const status of upstreams) printTrouble(out, status)
}

/** Why it does not go on, and what to do. An error that is over is not shown. */
function printTrouble(out: Output, status: UpstreamStatus): void {
  const { name, state, lastError, tries, retryAt } = status
  if (lastError === null || (state !== 'backoff' && state !== 'stopped' && tries === 0)) return
  const style = STATE_STYLES[state] ?? 'yellow'
  const next =
    state === 'stopped'
      ? 'stopped until `headwater sync resume`'
      : `try ${tries}, next in ${duration(Math.max(0, (retryAt ?? Date.now()) - Date.now()))}`
  out.line(
    `${out.paint(style, printable(name))}: ${lastError.code}: ${printable(lastError.message)} (${next})`,
  )
  if (lastError.hint !== '') out.line(`  ${printable(lastError.hint)}`)
}

function printPositions(out: Output, upstreams: readonly UpstreamStatus[]): void {
  const rows = upstreams.flatMap(({ name, partitions }) =>
    partitions.map((state) => [
      printable(name),
      printable(state.stream),
      String(state.partition),
      state.position === null ? 'unknown' : count(state.position),
      count(state.durableOffset),
      count(state.lagRecords),
    ]),
  )
  if (rows.length === 0) return
  out.line()
  printTable(
    out,
    [
      { title: 'UPSTREAM' },
      { title: 'STREAM' },
      { title: 'PARTITION', align: 'right' },
      { title: 'POSITION', align: 'right' },
      { title: 'DURABLE', align: 'right' },
      { title: 'LAG', align: 'right' },
    ],
    rows,
  )
}
