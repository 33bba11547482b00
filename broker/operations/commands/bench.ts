/** `headwater bench`: what this device can do: its disk, the log on it, and, where a topic is named, the running broker. */
import { formatListenAddress } from '../../config/address.ts'
import { ControlClient } from '../control/control-client.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type Appended, measureAppend, RECORD_BYTES } from '../measure/append.ts'
import { cardYears, yearsText } from '../measure/card-life.ts'
import { measureFsync } from '../measure/fsync.ts'
import type { Latencies } from '../measure/latencies.ts'
import { measurePublish, type Published } from '../measure/publish.ts'
import type { StatusReport } from '../operations.ts'
import { nearestExisting } from '../probes.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { bytes, count, milliseconds, rate } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, loadedConfig } from './context.ts'
import { progressBar } from './progress-bar.ts'

export type BenchOptions = ConfigOptions & {
  readonly json: boolean
  readonly yes: boolean
  /** Without one the broker is left alone. */
  readonly topic?: string
  readonly connections: number
  readonly inFlight: number
  readonly payload: number
  readonly seconds: number
  readonly user?: string
  readonly passwordFile?: string
  /** What a card takes in its life, in bytes. */
  readonly endurance: number
}

const FSYNCS = 200
const FSYNC_BYTES = 4096
const COMMIT_SIZES = [1, 10, 100, 1000] as const
/** Of each size. */
const APPEND = { msMax: 2000, bytesMax: 4_194_304 }
/** A record of its own commit dirties a page in the log and one in its index. */
const WRITTEN_MAX = FSYNCS * FSYNC_BYTES + COMMIT_SIZES.length * APPEND.bytesMax * 3

export interface BenchReport {
  readonly place: string
  readonly fsyncMs: Latencies
  readonly append: readonly Appended[]
  /** null where no topic was named. */
  readonly publish: (Published & { readonly topic: string; readonly connections: number }) | null
  /** Of a card of that endurance, at one message a second; null where the kernel does not tell what was written. */
  readonly cardYears: number | null
  readonly enduranceBytes: number
}

export async function runBench(context: CommandContext, options: BenchOptions): Promise<number> {
  const { config } = await loadedConfig(context, options)
  const place = await nearestExisting(config.data)
  const url = options.topic === undefined ? null : await brokerUrl(config.data)
  if (!(await isConfirmed(context, options, place))) {
    context.err.line('nothing was done')
    return ExitCode.failed
  }
  const { signal } = context
  const disk = await measureDisk(context, place)
  const { topic, connections, seconds } = options
  const publish =
    topic === undefined || url === null || signal.aborted
      ? null
      : await measureBroker(context, options, url, topic)
  if (signal.aborted) {
    context.err.line('ended before the end; what was written is removed')
    return ExitCode.failed
  }
  const single = disk.append[0]!
  const perMessage = single.bytesPerCommit
  const report: BenchReport = {
    place,
    ...disk,
    publish: publish === null ? null : { topic: topic!, connections, ...publish },
    cardYears: perMessage === null || perMessage === 0 ? null : cardYears(perMessage, 1, options.endurance),
    enduranceBytes: options.endurance,
  }
  if (options.json) context.out.json(report)
  else printReport(context.out, report, seconds)
  return ExitCode.ok
}

/** Over TCP without TLS: what is measured is the broker. @throws NotRunningError, UsageError */
async function brokerUrl(dataDirectory: string): Promise<string> {
  const client = await ControlClient.of(dataDirectory)
  const { broker } = await client.json<StatusReport>('GET', '/status')
  const plain = broker!.mqtt.listeners.find((listener) => !listener.includes('://'))
  if (plain !== undefined) return `mqtt://${plain.replace(/^(0\.0\.0\.0|\[::\])/, '127.0.0.1')}`
  throw new UsageError(
    'every listener of the broker has TLS or WebSocket',
    `add one for this machine: mqtt.listeners: [{ address: ${formatListenAddress({ host: '127.0.0.1', port: 1883 })} }]`,
  )
}

async function isConfirmed(
  { confirm, err }: CommandContext,
  { yes, topic }: BenchOptions,
  place: string,
): Promise<boolean> {
  if (yes || confirm === undefined) return true
  err.line(
    `It writes up to ${bytes(WRITTEN_MAX)} in ${place} and removes them; a card wears a little with each time.`,
  )
  if (topic !== undefined)
    err.line(`It then publishes real records to ${printable(topic)}, which stay in the log and go upstream.`)
  return confirm('Begin?')
}

async function measureDisk({ err, signal }: CommandContext, place: string) {
  const bar = await progressBar(err, 'fsync', (times) => `${times} times`)
  let fsyncMs: Latencies
  try {
    fsyncMs = await measureFsync(place, FSYNCS, signal, (done) =>
      bar.show({ bytesDone: done, bytesTotal: FSYNCS }),
    )
  } finally {
    bar.end()
  }
  const append: Appended[] = []
  const sizes = await progressBar(err, 'appending', (of) => `${of} commit sizes`)
  try {
    for (const [at, size] of COMMIT_SIZES.entries()) {
      sizes.show({ bytesDone: at, bytesTotal: COMMIT_SIZES.length })
      append.push(await measureAppend(place, size, APPEND, signal))
    }
  } finally {
    sizes.end()
  }
  return { fsyncMs, append }
}

async function measureBroker(
  { err, signal }: CommandContext,
  { connections, inFlight, payload, seconds, user, passwordFile }: BenchOptions,
  url: string,
  topic: string,
): Promise<Published> {
  const bar = await progressBar(err, 'publishing', (all) => `${all} s`)
  try {
    const load = { url, topic, connections, inFlight, payloadBytes: payload, seconds }
    const login = { user: user ?? null, passwordFile: passwordFile ?? null }
    return await measurePublish({ ...load, ...login }, signal, (done) =>
      bar.show({ bytesDone: Math.min(Math.floor(done), seconds), bytesTotal: seconds }),
    )
  } finally {
    bar.end()
  }
}

function precise(ms: number): string {
  return ms < 1 ? `${ms.toFixed(2)} ms` : milliseconds(ms)
}

function printReport(out: Output, report: BenchReport, seconds: number): void {
  const { fsyncMs, append, publish } = report
  const right = (title: string) => ({ title, align: 'right' as const })
  out.line(`${out.paint('bold', 'disk')}  ${report.place}`)
  const columns = [{ title: 'WHAT' }, right('RATE'), right('P50'), right('P90'), right('P99'), right('MAX')]
  const latencies = ({ p50, p90, p99, max }: Latencies) => [p50, p90, p99, max].map(precise)
  const fsync = ['fsync of 4 kB', rate(1000 / Math.max(fsyncMs.p50, 0.001)), ...latencies(fsyncMs)]
  const rows = append.map(({ recordsPerCommit, recordsPerSecond, commitMs }) => [
    `commits of ${count(recordsPerCommit)} x ${RECORD_BYTES} B`,
    `${rate(recordsPerSecond)}`,
    ...latencies(commitMs),
  ])
  printTable(out, columns, [fsync, ...rows])
  if (publish !== null) {
    out.line()
    out.line(
      `${out.paint('bold', 'broker')}  ${printable(publish.topic)}, ${count(publish.connections)} connections, ${seconds} s`,
    )
    printTable(out, columns, [
      ['PUBLISH to PUBACK', rate(publish.messagesPerSecond), ...latencies(publish.ackMs)],
    ])
  }
  out.line()
  for (const line of meaning(report)) out.line(line)
}

/** What the figures mean for a plant. */
function meaning({ fsyncMs, append, publish, cardYears: years, enduranceBytes }: BenchReport): string[] {
  const largest = append.at(-1)!
  const lines = [
    `One message waits ${precise(fsyncMs.p50)} for its acknowledgement, as a rule; many at once share an fsync: ` +
      `up to ${count(largest.recordsPerSecond)} records a second.`,
  ]
  if (publish !== null) {
    lines.push(
      `${count(publish.messages)} messages were published and acknowledged; the load is made on this machine, and takes its share.`,
    )
  }
  if (years !== null) {
    const each = append[0]!.bytesPerCommit!
    lines.push(
      `A message alone in its commit writes about ${bytes(each)}, the file system's journal left out: at 1 message a second a card that takes ` +
        `${bytes(enduranceBytes)} in its life lasts ${yearsText(years)}, at 10 ${yearsText(years / 10)}.`,
    )
  }
  return lines
}
