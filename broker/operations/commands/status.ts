/** `headwater status`: how the broker is, and what it holds; once, or again and again. */
import { DataDirectoryError, errorLine, NoLogError } from '../../errors.ts'
import type { SessionsStatus } from '../../mqtt/session/sessions-status.ts'
import { clockStatusText } from '../clock-text.ts'
import type { ControlClient } from '../control/control-client.ts'
import { NotRunningError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { BrokerStatus, StatusReport, StreamReport } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { pageOf } from '../terminal/page.ts'
import { printable } from '../terminal/printable.ts'
import { Screen } from '../terminal/screen.ts'
import { printFacts, printTable } from '../terminal/table.ts'
import { bytes, count, duration, milliseconds, plural } from '../terminal/units.ts'
import { printAlarms } from './alarm-rows.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { nextInterval } from './intervals.ts'
import { openLogAccess, runningBroker } from './log-access.ts'
import { certificateText, refusedText, spaceText } from './status-words.ts'
import { printTables } from './streams.ts'
import { printUpstreams, waitsForPerson } from './sync-status.ts'

const WATCH_SECONDS = 2
const NOTHING_THERE =
  'there is no log in it: `headwater start` makes one; another directory is named with --data or --config'
const NOT_RUNNING: StatusReport = { running: false, broker: null, streams: [], upstreams: [] }

export type StatusOptions = ConfigOptions & {
  readonly json: boolean
  /** Seconds between two reports; true for the usual ones. */
  readonly watch?: number | boolean
}

export async function runStatus(context: CommandContext, options: StatusOptions): Promise<number> {
  const directory = await dataDirectoryOf(context, options)
  const { watch = false } = options
  if (watch !== false) {
    return watchStatus(context, directory, options.json, watch === true ? WATCH_SECONDS : watch)
  }
  const client = await runningBroker(directory)
  if (client === null) return statusWithout(context, directory, options.json)
  const report = await client.json<StatusReport>('GET', '/status')
  if (options.json) context.out.json(report)
  else printStatus(context.out, directory, report)
  return exitCodeOf(report)
}

/** Of a log that no broker runs on: what it holds, where that can be seen. */
async function statusWithout(context: CommandContext, directory: string, isJson: boolean): Promise<number> {
  let streams: StreamReport[] = []
  let why = ''
  try {
    streams = await storedStreams(context, directory)
  } catch (error) {
    if (!(error instanceof DataDirectoryError)) throw error
    why = error instanceof NoLogError ? NOTHING_THERE : `what it holds is not shown: ${errorLine(error)}`
  }
  const report = { ...NOT_RUNNING, streams }
  if (isJson) context.out.json(report)
  else {
    printStatus(context.out, directory, report)
    if (why !== '') context.out.line(printable(why))
  }
  return exitCodeOf(report)
}

function exitCodeOf(report: StatusReport): number {
  if (!report.running) return ExitCode.notRunning
  return isHealthy(report) ? ExitCode.ok : ExitCode.failed
}

/**
 * On a terminal the report stays in its place; in a pipe one comes after the other. Where no broker runs the data directory is left alone: the
 * next `start` has to have it for itself.
 */
async function watchStatus(
  { out, signal }: CommandContext,
  directory: string,
  isJson: boolean,
  seconds: number,
): Promise<number> {
  const screen = out.canRedraw && !isJson ? new Screen(out) : null
  let report = NOT_RUNNING
  try {
    do {
      report = await reportNow(await runningBroker(directory))
      if (isJson) out.line(JSON.stringify(report))
      else if (screen === null) {
        printStatus(out, directory, report)
        out.line()
      } else screen.show(pageOf(out, (page) => printWatched(page, directory, report, seconds)))
    } while (await nextInterval(seconds, signal))
  } finally {
    screen?.close()
  }
  return exitCodeOf(report)
}

async function reportNow(client: ControlClient | null): Promise<StatusReport> {
  if (client === null) return NOT_RUNNING
  try {
    return await client.json<StatusReport>('GET', '/status')
  } catch (error) {
    // it ended in between
    if (error instanceof NotRunningError) return NOT_RUNNING
    throw error
  }
}

function printWatched(out: Output, directory: string, report: StatusReport, seconds: number): void {
  const time = new Date().toLocaleTimeString(undefined, { hour12: false })
  out.line(out.paint('dim', `${time}, every ${seconds} s until Ctrl-C`))
  printStatus(out, directory, report)
}

/** A log that does not take records, or an upstream or a stream of it that waits for a person. One that is merely away is not a fault. */
function isHealthy({ broker, streams, upstreams }: StatusReport): boolean {
  return (
    streams.every(({ table }) => table?.state !== 'failed') &&
    broker?.log.condition === 'open' &&
    !broker.log.space.isFull &&
    !upstreams.some(waitsForPerson)
  )
}

async function storedStreams(context: CommandContext, directory: string): Promise<StreamReport[]> {
  const access = await openLogAccess(context, directory)
  try {
    return await access.streams()
  } finally {
    await access.close()
  }
}

function printStatus(
  out: Output,
  directory: string,
  { broker, streams, upstreams, alarms = [] }: StatusReport,
): void {
  if (broker === null) {
    out.line(`${out.paint('bold', 'headwater')} is not running on ${directory}`)
  } else {
    const up = duration(Date.now() - broker.startedAt)
    const state =
      broker.log.condition === 'open' ? out.paint('green', 'is running') : out.paint('red', 'is ailing')
    out.line(`${out.paint('bold', `headwater ${broker.version}`)} ${state} (pid ${broker.pid}, up ${up})`)
    printFacts(out, brokerFacts(out, broker))
    printAlarms(out, alarms)
  }
  if (streams.length > 0) {
    const hasDropped = streams.some(({ droppedRecords }) => droppedRecords > 0)
    out.line()
    printTable(
      out,
      [
        { title: 'STREAM' },
        { title: 'PARTITIONS', align: 'right' },
        { title: 'RECORDS', align: 'right' },
        { title: 'BYTES', align: 'right' },
        ...(hasDropped ? [{ title: 'DROPPED UNSYNCED', align: 'right' as const }] : []),
      ],
      streams.map(({ stream, partitions, records, bytes: size, droppedRecords }) => [
        printable(stream),
        String(partitions.length),
        count(records),
        bytes(size),
        ...(hasDropped ? [count(droppedRecords)] : []),
      ]),
    )
  }
  printTables(out, streams)
  if (upstreams.length > 0) {
    out.line()
    printUpstreams(out, upstreams)
  }
}

function sessionsText({ sessions, stored, subscriptions, queued, retained }: SessionsStatus): string {
  const counts = `${count(sessions)}, ${count(stored)} of them stay; ${plural(subscriptions, 'subscription')}`
  return `${counts}, ${count(queued)} queued, ${count(retained)} retained`
}

function brokerFacts(out: Output, broker: BrokerStatus) {
  const { edge, incarnation, dataDirectory, fileSystem, mqtt, ingress, log, clock } = broker
  const facts: [string, string][] = [
    ['edge', `${edge} (incarnation ${incarnation})`],
    ['data', dataDirectory],
    ['mqtt', `${mqtt.listeners.join(', ')}; ${connectionsText(mqtt)}`],
    ...mqtt.tls.map((tls): [string, string] => ['certificate', certificateLine(out, tls)]),
    ['sessions', sessionsText(mqtt.sessions)],
    ['taken', takenText(ingress)],
    ['log', `${bytes(log.storedBytes)} in ${plural(log.segments, 'segment')}; ${commitText(log)}`],
    ['disk', spaceText(log.space)],
  ]
  if (fileSystem.warning !== null) facts.push(['disk', out.paint('yellow', printable(fileSystem.warning))])
  const refused = refusedText(mqtt.traffic, ingress)
  if (refused !== '') facts.push(['refused', out.paint('yellow', refused)])
  const recovered = recoveryText(broker)
  if (recovered !== '') facts.push(['recovery', out.paint('yellow', recovered)])
  const evicted = Object.entries(log.retention.evictedBytes)
  if (evicted.length > 0) {
    const parts = evicted.map(([stream, size]) => `${bytes(size)} of ${printable(stream)}`)
    facts.push([
      'evicted',
      out.paint('yellow', `${parts.join(', ')} before their time: the disk needed room`),
    ])
  }
  if (log.space.isFull) {
    facts.push([
      'full',
      out.paint(
        'red',
        'nothing new is taken until there is room: let upstream catch up, raise log.disk, or free some of the disk',
      ),
    ])
  }
  const wrong = clockStatusText(clock)
  if (wrong !== null) facts.push(['clock', out.paint('yellow', wrong)])
  if (log.condition !== 'open') {
    facts.push(['fault', out.paint('red', `the log takes no records: ${log.reason ?? log.condition}`)])
  }
  return facts
}

function certificateLine(out: Output, tls: BrokerStatus['mqtt']['tls'][number]): string {
  const text = certificateText(tls)
  const isWell = !tls.certificate.isDue && tls.clientAuthority?.isDue !== true && tls.fault === null
  return isWell ? text : out.paint('yellow', text)
}

function connectionsText({ connections, connecting, connectionsMax }: BrokerStatus['mqtt']): string {
  const others = connecting > 0 ? `, and ${count(connecting)} on which nobody has logged in yet` : ''
  return `${count(connections)} of ${count(connectionsMax)} connections${others}`
}

function takenText({ received, receivedBytes, unrouted, repetitions }: BrokerStatus['ingress']): string {
  const parts = [`${plural(received, 'message')} (${bytes(receivedBytes)}) since the start`]
  if (unrouted > 0) parts.push(`${count(unrouted)} that no stream takes, passed on only`)
  if (repetitions > 0) parts.push(`${count(repetitions)} QoS 2 repetitions`)
  return parts.join('; ')
}

/** How many comes last: a narrow screen may cut that. */
function commitText(log: BrokerStatus['log']): string {
  const { commits, failedCommits, failedRecords, commitMsP50, commitMsP99 } = log
  return [
    ...(failedCommits > 0
      ? [`${plural(failedCommits, 'failed commit')} of ${plural(failedRecords, 'record')}`]
      : []),
    ...(commits > 0 ? [`commits p50 ${milliseconds(commitMsP50)}, p99 ${milliseconds(commitMsP99)}`] : []),
    `${plural(commits, 'commit')} since the start`,
  ].join('; ')
}

function recoveryText({ dataRecovery, log: { recovery } }: BrokerStatus): string {
  const parts: string[] = []
  const { identityRestored, identityReplaced, factsSalvaged, factsMissing, factsDamaged, restoresCleared } =
    dataRecovery
  if (restoresCleared > 0) parts.push('an unfinished restore removed')
  if (identityReplaced > 0) parts.push('identity lost, a new incarnation')
  if (identityRestored > 0) parts.push('headwater.json restored from its copy')
  if (factsSalvaged > 0) parts.push('damaged facts salvaged')
  if (factsMissing > 0) parts.push('facts missing, made anew')
  if (factsDamaged > 0) parts.push(`${plural(factsDamaged, 'damaged fact')} passed over`)
  if (recovery.tornTails > 0) {
    parts.push(
      `${plural(recovery.tornTails, 'torn tail')} dropped (${bytes(recovery.tornBytes)}, never acknowledged)`,
    )
  }
  if (recovery.faults > 0) parts.push(`${plural(recovery.faults, 'fault')}, see headwater log verify`)
  if (recovery.leftovers > 0) parts.push(`${plural(recovery.leftovers, 'leftover')} removed`)
  if (recovery.rebuiltIndexes > 0)
    parts.push(`${plural(recovery.rebuiltIndexes, 'index', 'indexes')} rebuilt`)
  if (recovery.rebuiltManifests > 0)
    parts.push(`${plural(recovery.rebuiltManifests, 'manifest or catalog', 'manifests or catalogs')} rebuilt`)
  if (recovery.salvagedSegments > 0) {
    const lost =
      recovery.lostOffsets > 0 ? `at most ${plural(recovery.lostOffsets, 'record')} lost` : 'nothing lost'
    parts.push(`${plural(recovery.salvagedSegments, 'damaged segment')} salvaged, ${lost}, see quarantine/`)
  }
  return parts.join('; ')
}
