/** `headwater log verify`: reads every byte of the log and says whether it is what was written. */
import type { VerifiedPartition, VerifyReport } from '../../log/verify.ts'
import { ExitCode } from '../exit-codes.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { bytes, count, plural } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess } from './log-access.ts'
import { progressBar } from './progress-bar.ts'

export async function runLogVerify(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  try {
    const bar = await progressBar(context.err, 'verifying')
    const report = await access.verify((progress) => bar.show(progress), context.signal)
    bar.end()
    if (options.json) context.out.json(report)
    else printReport(context.out, report)
    return report.isWhole ? ExitCode.ok : ExitCode.failed
  } finally {
    await access.close()
  }
}

function byName(a: VerifiedPartition, b: VerifiedPartition): number {
  return a.stream < b.stream ? -1 : a.stream > b.stream ? 1 : a.partition - b.partition
}

function printReport(out: Output, report: VerifyReport): void {
  printTable(
    out,
    [
      { title: 'STREAM' },
      { title: 'PARTITION', align: 'right' },
      { title: 'OFFSETS' },
      { title: 'RECORDS', align: 'right' },
      { title: 'BYTES', align: 'right' },
    ],
    report.partitions
      .toSorted(byName)
      .map(({ stream, partition, fromOffset, toOffset, records, bytes: size }) => [
        printable(stream),
        String(partition),
        `${count(fromOffset)} to ${count(toOffset - 1)}`,
        count(records),
        bytes(size),
      ]),
  )
  out.line()
  for (const { place, commit, reason } of report.problems) {
    out.line(`${out.paint('red', 'fault')}  ${printable(place)} commit ${commit}: ${printable(reason)}`)
  }
  for (const { stream, partition, from, to, reason } of report.holes) {
    const offsets = `offsets ${count(from)} to ${count(to - 1)}`
    out.line(
      `${out.paint('yellow', 'lost')}   ${printable(stream)}/${partition} ${offsets}: ${printable(reason)}`,
    )
  }
  if (report.problemsLeftOut > 0) out.line(`and ${count(report.problemsLeftOut)} more`)
  const checked =
    `${plural(report.records, 'record')} in ${plural(report.batches, 'batch', 'batches')} of ` +
    `${plural(report.commits, 'commit')}, ${plural(report.segments, 'segment')}, ${bytes(report.bytes)}`
  const faults = report.problems.length + report.problemsLeftOut
  out.line(
    report.isWhole
      ? `${out.paint('green', 'whole')}: ${checked}`
      : `${out.paint('red', 'damaged')}: ${plural(faults, 'fault')} in ${checked}`,
  )
}
