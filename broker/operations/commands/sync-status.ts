/** `headwater sync status|pause|resume|now`: how far upstream is. */
import { ControlClient } from '../control/control-client.ts'
import { ExitCode } from '../exit-codes.ts'
import type { DownlinkStatus, UpstreamStatus } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { type Column, printFacts, printTable } from '../terminal/table.ts'
import { bytes, count, duration, localTime, plural, rate } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { printDownlinks } from './downlink-rows.ts'
import { printTrouble } from './trouble.ts'

export type SyncCommand = 'pause' | 'resume' | 'now'

interface Answer {
  readonly upstreams: UpstreamStatus[]
  readonly downlinks: DownlinkStatus[]
}

export async function runSyncStatus(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const client = await ControlClient.of(await dataDirectoryOf(context, options))
  const { upstreams, downlinks } = await client.json<Answer>('GET', '/sync/status')
  if (options.json) context.out.json({ upstreams, downlinks })
  else if (upstreams.length === 0) context.out.line('no upstream is configured')
  else {
    printUpstreams(context.out, upstreams)
    for (const status of upstreams) printDetails(context.out, status)
    printPositions(context.out, upstreams)
  }
  if (!options.json) printDownlinks(context.out, downlinks)
  const isStopped = upstreams.some(waitsForPerson) || downlinks.some(({ state }) => state === 'stopped')
  return isStopped ? ExitCode.failed : ExitCode.ok
}

/** All of it, or a stream of it, goes on only when a person says so. */
export function waitsForPerson({ state, refused }: UpstreamStatus): boolean {
  return state === 'stopped' || refused.some(({ retryAt }) => retryAt === null)
}

export async function runSyncCommand(
  context: CommandContext,
  command: SyncCommand,
  upstream: string | undefined,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const client = await ControlClient.of(await dataDirectoryOf(context, options))
  const { upstreams, downlinks } = await client.json<Answer>('POST', `/sync/${command}`, { upstream })
  if (options.json) context.out.json({ upstreams, downlinks })
  else {
    printUpstreams(context.out, upstreams)
    printDownlinks(context.out, downlinks)
  }
  return ExitCode.ok
}

/** One line an upstream, and why it does not go on where it does not. */
export function printUpstreams(out: Output, upstreams: readonly UpstreamStatus[]): void {
  const columns: Column[] = [
    { title: 'UPSTREAM' },
    { title: 'KIND', isExtra: true },
    { title: 'STATE', isWhole: true },
    { title: 'LAG', align: 'right' },
    { title: 'BYTES', align: 'right' },
    { title: 'OLDEST', align: 'right' },
    { title: 'SENT', align: 'right', isExtra: true },
    { title: 'RATE', align: 'right' },
    { title: 'DRAINED IN', align: 'right' },
    { title: 'LAST ACK', align: 'right', isExtra: true },
    { title: 'WHERE', isExtra: true },
  ]
  const rows = upstreams.map((status) => [
    printable(status.name),
    status.kind,
    status.state,
    count(status.lagRecords),
    status.lagBytes === 0 ? bytes(0) : `~${bytes(status.lagBytes)}`,
    status.lagSecondsOldest === null ? '-' : duration(status.lagSecondsOldest * 1000),
    count(status.sentRecords),
    rate(status.recordsPerSecond),
    status.lagRecords === 0 || status.drainSeconds === null ? '-' : duration(status.drainSeconds * 1000),
    status.ackAgeSeconds === null ? 'never' : `${duration(status.ackAgeSeconds * 1000)} ago`,
    printable(status.address),
  ])
  printTable(out, columns, rows)
  for (const status of upstreams) {
    printTrouble(out, status)
    printRefused(out, status)
    printHold(out, status)
    printCertificateDue(out, status)
  }
}

const HOLDS: Readonly<Record<string, string>> = {
  schedule: 'outside its schedule',
  budget: 'its data budget is used up',
}

/** A state that time alone ends, and what goes all the same. */
function printHold(out: Output, { name, state, link: { hold, bandwidth } }: UpstreamStatus): void {
  const waits = state === 'paused' ? ['paused until `headwater sync resume`'] : []
  if (hold !== null) {
    const until = hold.until === null ? '' : ` until ${localTime(hold.until)}`
    const urgent =
      hold.urgentPriority === null ? '' : `; streams of priority ${hold.urgentPriority} and above go`
    waits.push(`${HOLDS[hold.reason] ?? hold.reason}${until}${urgent}`)
  }
  if (bandwidth?.isWaiting) waits.push(`kept to ${bytes(bandwidth.bytesPerSecond)}/s`)
  for (const wait of waits) out.line(`${out.paint('yellow', printable(name))}: ${wait}`)
}

/** What ends the link on a day that is known, unless a person acts. */
function printCertificateDue(out: Output, { name, certificate }: UpstreamStatus): void {
  if (certificate === null || !certificate.isDue) return
  const left = certificate.until - Date.now()
  const when = left < 0 ? `expired ${duration(-left)} ago` : `expires in ${duration(left)}`
  const text = `this device's certificate ${when}, on ${localTime(certificate.until)}`
  out.line(`${out.paint(left < 0 ? 'red' : 'yellow', printable(name))}: ${text}`)
  out.line(
    '  put a new one and its key into the files that tls.certFile and tls.keyFile name; no restart is needed',
  )
}

/** What is not in the table: what was left out, and what the link bears. Nothing where there is nothing to tell. */
export function printDetails(out: Output, status: UpstreamStatus): void {
  const { link } = status
  const facts: [string, string][] = []
  const left = [
    [status.filteredRecords, 'left out by filters'],
    [status.passedOverRecords, 'passed over for newer ones of their keys'],
    [status.skippedRecords, 'gone by retention before they were sent'],
  ] as const
  const leftOut = left.filter(([records]) => records > 0).map(([records, why]) => `${count(records)} ${why}`)
  if (leftOut.length > 0) facts.push(['not sent', leftOut.join(', ')])
  if (status.bytesPerSecond > 0) facts.push(['rate', `${bytes(status.bytesPerSecond)}/s of records`])
  if (status.wireBytes !== null)
    facts.push([
      'link',
      `${bytes(status.wireBytes)} since the start, for ${bytes(status.sentBytes)} of records`,
    ])
  if (link.bandwidth !== null) {
    const { bytesPerSecond, burstBytes } = link.bandwidth
    facts.push(['bandwidth', `at most ${bytes(bytesPerSecond)}/s, ${bytes(burstBytes)} at once`])
  }
  if (link.schedule !== null) {
    const passed = link.schedule.isOverridden ? ', passed over by `headwater sync now`' : ''
    facts.push(['schedule', `${link.schedule.isOpen ? 'open' : 'closed'}${passed}`])
  }
  for (const { period, bytes: budget, usedBytes, resetsAt } of link.budgets) {
    const resets =
      resetsAt === null ? ', no trusted clock has told the period' : `, anew ${localTime(resetsAt)}`
    facts.push(['budget', `${bytes(usedBytes)} of ${bytes(budget)} used this ${period}${resets}`])
  }
  if (status.certificate !== null)
    facts.push(['certificate', `good until ${localTime(status.certificate.until)}`])
  if (status.stalls > 0)
    facts.push(['stalls', plural(status.stalls, 'call that did not end', 'calls that did not end')])
  if (facts.length === 0) return
  out.line()
  out.line(out.paint('bold', printable(status.name)))
  printFacts(out, facts)
}

/** Streams that are left out while the others go on. */
function printRefused(out: Output, { name, state, lastError, refused }: UpstreamStatus): void {
  const isFailing = state === 'backoff' || state === 'stopped'
  for (const { stream, code, message, hint, tries, retryAt } of refused) {
    // It is what the upstream itself fails with, and has been said.
    if (isFailing && lastError?.message === message) continue
    const next =
      retryAt === null
        ? 'until `headwater sync resume`'
        : `try ${tries}, next in ${duration(Math.max(0, retryAt - Date.now()))}`
    const what = `stream ${printable(stream)} is left out: ${code}: ${printable(message)} (${next})`
    out.line(`${out.paint(retryAt === null ? 'red' : 'yellow', printable(name))}: ${what}`)
    if (hint !== '') out.line(`  ${printable(hint)}`)
  }
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
