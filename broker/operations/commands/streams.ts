/** `headwater streams`: what the log holds, by stream and partition. */
import { ExitCode } from '../exit-codes.ts'
import type { StreamReport } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { count } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess } from './log-access.ts'

export async function runStreams(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  try {
    const streams = await access.streams()
    if (options.json) context.out.json({ streams })
    else printPartitions(context.out, streams)
  } finally {
    await access.close()
  }
  return ExitCode.ok
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
