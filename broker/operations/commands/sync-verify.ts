/**
 * `headwater sync verify`: reads back what upstream holds and says whether it is the log. How that is done is sync's, which the
 * command line hands in.
 */
import type { UpstreamEntry } from '../../config/schema.ts'
import { type LogIdentity, type PartitionState, partitionKey } from '../../log/source.ts'
import { UnknownUpstreamError, UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { StreamReport } from '../operations.ts'
import { parseFrom, placesOf } from '../reading.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { count, plural } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, loadedConfig } from './context.ts'
import { firstOffset } from './first-offset.ts'
import { type LogAccess, openLogAccess, type RememberedPositions } from './log-access.ts'
import { progressBar } from './progress-bar.ts'

export interface SyncVerifyOptions extends ConfigOptions {
  readonly stream?: string | undefined
  readonly partition?: number | undefined
  readonly from: string
  /** Bytes a second, in the place of the upstream's cap. */
  readonly bandwidth?: number | undefined
  readonly json: boolean
}

export interface ComparedFault {
  readonly records: number
  readonly ranges: readonly { readonly from: number; readonly to: number }[]
  readonly rangesLeftOut: number
}

export interface ComparedPartition {
  readonly stream: string
  readonly partition: number
  readonly fromOffset: number
  readonly toOffset: number
  readonly compared: number
  readonly missing: ComparedFault
  readonly duplicated: ComparedFault
  readonly outOfOrder: ComparedFault
  readonly different: ComparedFault
  readonly unknown: ComparedFault
  readonly notCompared: {
    readonly goneFromEdge: number
    readonly dropped: number
    readonly excused: number
    readonly leftOut: number
    readonly notSent: number
    readonly contentUnknown: number
  }
  readonly reasons: readonly string[]
}

/** One upstream in `headwater sync verify --json`. */
export interface ComparedUpstream {
  readonly upstream: string
  readonly kind: string
  readonly address: string
  readonly partitions: readonly ComparedPartition[]
  readonly strangers: { readonly otherEdges: number; readonly otherLogs: number; readonly unmarked: number }
  readonly isWhole: boolean
}

/** The log, as the comparison reads it. */
export interface ComparedLog {
  readonly identity: LogIdentity
  partitions(): Promise<readonly PartitionState[]>
  read(stream: string, partition: number, offset: number): Promise<readonly Buffer[]>
}

export interface Comparison {
  /** All by `partitionKey`. */
  readonly positions: ReadonlyMap<string, number>
  readonly only: ReadonlySet<string>
  readonly from: ReadonlyMap<string, number>
}

export interface SyncVerifyParts {
  readonly remembered: RememberedPositions
  verify(
    entry: UpstreamEntry,
    log: ComparedLog,
    comparison: Comparison,
    onProgress: (progress: { readonly recordsDone: number; readonly recordsTotal: number }) => void,
    signal: AbortSignal,
  ): Promise<ComparedUpstream>
}

export async function runSyncVerify(
  context: CommandContext,
  upstream: string | undefined,
  options: SyncVerifyOptions,
  parts: SyncVerifyParts,
): Promise<number> {
  const { config } = await loadedConfig(context, options)
  const entries = config.upstreams.filter(({ name }) => (upstream ?? name) === name)
  if (entries.length === 0) {
    throw new UnknownUpstreamError(
      upstream ?? '',
      config.upstreams.map(({ name }) => name),
    )
  }
  const access = await openLogAccess(context, config.data)
  const reports: ComparedUpstream[] = []
  try {
    for (const entry of entries) reports.push(await verifyOne(context, entry, access, options, parts))
  } finally {
    await access.close()
  }
  if (options.json) context.out.json({ isWhole: reports.every(({ isWhole }) => isWhole), upstreams: reports })
  else for (const report of reports) printReport(context.out, report)
  return reports.every(({ isWhole }) => isWhole) ? ExitCode.ok : ExitCode.failed
}

async function verifyOne(
  context: CommandContext,
  entry: UpstreamEntry,
  access: LogAccess,
  options: SyncVerifyOptions,
  parts: SyncVerifyParts,
): Promise<ComparedUpstream> {
  const log: ComparedLog = {
    identity: await access.identity(),
    partitions: async () => statesOf(await access.streams()),
    read: (stream, partition, offset) => access.batches(stream, partition, offset),
  }
  // The end of the comparison is fixed here: what is acknowledged later is not part of it.
  const positions = await access.acknowledged(entry.name, parts.remembered)
  const { only, from } = await selection(context, access, options)
  const bar = await progressBar(context.err, `comparing ${entry.name}`, (records) =>
    plural(records, 'offset'),
  )
  try {
    return await parts.verify(
      entry,
      log,
      { positions, only, from },
      ({ recordsDone, recordsTotal }) => bar.show({ bytesDone: recordsDone, bytesTotal: recordsTotal }),
      context.signal,
    )
  } finally {
    bar.end()
  }
}

function statesOf(streams: readonly StreamReport[]): PartitionState[] {
  return streams.flatMap(({ stream, partitions }) =>
    partitions.map(({ partition, logStartOffset, durableOffset }) => {
      return { stream, partition, logStartOffset, durableOffset }
    }),
  )
}

/** Which partitions, and where to begin in each. @throws UsageError, UnknownStreamError, UnknownPartitionError */
async function selection(
  context: CommandContext,
  access: LogAccess,
  options: SyncVerifyOptions,
): Promise<{ only: Set<string>; from: Map<string, number> }> {
  const { stream, from: text } = options
  const partition = options.partition ?? null
  if (partition !== null && stream === undefined) {
    throw new UsageError('--partition is of one stream', 'add --stream')
  }
  const states = statesOf(await access.streams())
  const from = parseFrom(text)
  const log = {
    partitions: () => states,
    streams: () => [...new Set(states.map((state) => state.stream))].map((name) => ({ stream: name })),
    offsetForTime: (name: string, index: number) => firstOffset(access, name, index, text, context.signal),
  }
  const only = new Set<string>()
  const begin = new Map<string, number>()
  for (const name of stream === undefined ? log.streams().map((each) => each.stream) : [stream]) {
    for (const place of await placesOf(log, { stream: name, partition, from, follow: false })) {
      const key = partitionKey(place.stream, place.partition)
      only.add(key)
      begin.set(key, place.first)
    }
  }
  return { only, from: begin }
}

// -- printing -------------------------------------------------------------------------------------------------------

const FAULTS = [
  ['missing', 'missing', 'red'],
  ['duplicated', 'duplicated', 'red'],
  ['outOfOrder', 'out of order', 'red'],
  ['different', 'different', 'red'],
  ['unknown', 'not of this log', 'red'],
] as const

function printReport(out: Output, report: ComparedUpstream): void {
  out.line(out.paint('bold', `${printable(report.upstream)}  ${report.kind}  ${printable(report.address)}`))
  printTable(
    out,
    [
      { title: 'STREAM' },
      { title: 'PARTITION', align: 'right' },
      { title: 'OFFSETS' },
      { title: 'THE SAME', align: 'right' },
      { title: 'MISSING', align: 'right' },
      { title: 'DUPLICATED', align: 'right' },
      { title: 'NOT COMPARED', align: 'right' },
    ],
    report.partitions.map((partition) => [
      printable(partition.stream),
      String(partition.partition),
      partition.toOffset > partition.fromOffset
        ? `${count(partition.fromOffset)} to ${count(partition.toOffset - 1)}`
        : 'none',
      count(partition.compared),
      count(partition.missing.records),
      count(partition.duplicated.records),
      count(Object.values(partition.notCompared).reduce((sum, records) => sum + records, 0)),
    ]),
  )
  out.line()
  for (const partition of report.partitions) {
    printFaults(out, partition)
    printNotCompared(out, partition)
  }
  printStrangers(out, report)
  const total = (pick: (partition: ComparedPartition) => number) =>
    report.partitions.reduce((sum, partition) => sum + pick(partition), 0)
  const told = FAULTS.map(([field, words]) => [total((each) => each[field].records), words] as const)
    .filter(([records, words]) => records > 0 || words === 'missing' || words === 'duplicated')
    .map(([records, words]) => `${count(records)} ${words}`)
  const same = plural(
    total(({ compared }) => compared),
    'record',
  )
  const verdict = report.isWhole ? out.paint('green', 'whole') : out.paint('red', 'faulty')
  out.line(`${verdict}: ${told.join(', ')}; ${same} the same on both sides`)
}

function printFaults(out: Output, partition: ComparedPartition): void {
  for (const [field, words, style] of FAULTS) {
    const { ranges, rangesLeftOut } = partition[field]
    for (const { from, to } of ranges) {
      const offsets = to - from === 1 ? `offset ${count(from)}` : `offsets ${count(from)} to ${count(to - 1)}`
      out.line(`${out.paint(style, words)}  ${printable(partition.stream)}/${partition.partition} ${offsets}`)
    }
    if (rangesLeftOut > 0) out.line(`and ${plural(rangesLeftOut, 'more range')} ${words}`)
  }
}

function printNotCompared(out: Output, { stream, partition, notCompared, reasons }: ComparedPartition): void {
  const { goneFromEdge, dropped, excused, leftOut, notSent, contentUnknown } = notCompared
  const place = `${printable(stream)}/${partition}`
  const tell = (records: number, why: string) => {
    if (records > 0) out.line(`not compared  ${place} ${plural(records, 'record')}: ${why}`)
  }
  tell(goneFromEdge, 'upstream has them, retention or compaction removed them here')
  tell(dropped, 'removed here before they were sent')
  tell(excused, `not upstream, perhaps because ${printable(reasons.join('; '))}`)
  tell(leftOut, "left out by this upstream's filters")
  tell(notSent, 'not acknowledged when the comparison began')
  tell(contentUnknown, 'they came so late that their content was not at hand any more')
}

function printStrangers(out: Output, { strangers }: ComparedUpstream): void {
  const { otherEdges, otherLogs, unmarked } = strangers
  const parts = [
    ...(otherEdges > 0 ? [`${plural(otherEdges, 'record')} of other edges`] : []),
    ...(otherLogs > 0 ? [`${plural(otherLogs, 'record')} of other logs of this edge`] : []),
    ...(unmarked > 0 ? [`${plural(unmarked, 'record')} that do not say where they are from`] : []),
  ]
  if (parts.length > 0) out.line(`passed over: ${parts.join(', ')}`)
}
