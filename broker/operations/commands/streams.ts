/** `headwater streams`: what the log holds, by stream and partition. */
import type { CompactionProgress, CompactionReport } from '../../log/compactor.ts'
import { NotRunningError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { StreamReport } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { bytes, count, plural } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess, runningBroker } from './log-access.ts'
import { progressBar } from './progress-bar.ts'

export async function runStreams(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  try {
    const streams = await access.streams()
    if (options.json) context.out.json({ streams })
    else {
      printPartitions(context.out, streams)
      printTables(context.out, streams)
    }
  } finally {
    await access.close()
  }
  return ExitCode.ok
}

interface CompactLine {
  readonly progress?: CompactionProgress
  readonly report?: CompactionReport[]
}

/** `headwater streams compact`: on a running broker, which knows what the configuration says. */
export async function runCompact(
  context: CommandContext,
  stream: string | undefined,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const directory = await dataDirectoryOf(context, options)
  const client = await runningBroker(directory)
  if (client === null) throw new NotRunningError(directory)
  const bar = await progressBar(context.err, 'compacting')
  try {
    for await (const line of client.lines<CompactLine>(
      'POST',
      '/streams/compact',
      { stream },
      context.signal,
    )) {
      if (line.progress !== undefined) bar.show(line.progress)
      if (line.report === undefined) continue
      bar.end()
      if (options.json) context.out.json({ rounds: line.report })
      else for (const text of compactTexts(line.report)) context.out.line(text)
    }
  } finally {
    bar.end()
  }
  return ExitCode.ok
}

function compactTexts(rounds: readonly CompactionReport[]): string[] {
  if (rounds.length === 0) return ['nothing to compact']
  return rounds.map((round) => {
    const removed = `${plural(round.recordsRemoved, 'record')} removed`
    const tombstones =
      round.tombstonesRemoved > 0 ? `, ${plural(round.tombstonesRemoved, 'tombstone')} of them` : ''
    const size = `${bytes(round.bytesBefore)} are now ${bytes(round.bytesAfter)}`
    const rest = round.isComplete ? '' : '; the rest follows'
    return `${round.streams.map(printable).join(', ')}: ${removed}${tombstones}; ${size}${rest}`
  })
}

/** The tables of streams that have one, below the streams; nothing where there are none. */
export function printTables(out: Output, streams: readonly StreamReport[]): void {
  const tables = streams.flatMap(({ table }) => table ?? [])
  if (tables.length === 0) return
  out.line()
  printTable(
    out,
    [
      { title: 'TABLE' },
      { title: 'STATE' },
      { title: 'KEYS', align: 'right' },
      { title: 'LAG', align: 'right' },
      { title: 'BYTES', align: 'right' },
      { title: 'REBUILDS', align: 'right' },
    ],
    tables.map(({ stream, state, reason, appliedPercent, keys, lagRecords, bytes: size, rebuilds }) => [
      printable(stream),
      state === 'building'
        ? `building (${appliedPercent}%)`
        : state === 'failed'
          ? out.paint('red', `failed: ${printable(reason ?? '')}`)
          : state,
      count(keys),
      count(lagRecords),
      bytes(size),
      count(rebuilds),
    ]),
  )
}

function printPartitions(out: Output, streams: readonly StreamReport[]): void {
  if (streams.length === 0) {
    out.line('there is no stream yet')
    return
  }
  const rows = streams.flatMap(({ stream, partitions }) =>
    partitions.map((state) => [
      printable(stream),
      String(state.partition),
      count(state.logStartOffset),
      count(state.durableOffset),
      count(state.records),
    ]),
  )
  printTable(
    out,
    [
      { title: 'STREAM' },
      { title: 'PARTITION', align: 'right' },
      { title: 'LOG START', align: 'right' },
      { title: 'DURABLE', align: 'right' },
      { title: 'RECORDS', align: 'right' },
    ],
    rows,
  )
}
