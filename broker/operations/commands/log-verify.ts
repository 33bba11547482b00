/** `headwater log verify`: reads every byte of the log and says whether it is what was written. */
import type { VerifiedPartition } from '../../log/verify.ts'
import { ExitCode } from '../exit-codes.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { bytes, count, plural } from '../terminal/units.ts'
import type { FullReport, VerifiedTable } from '../verifying.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess } from './log-access.ts'
import { verifyBars } from './progress-bar.ts'

export async function runLogVerify(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  try {
    const bar = await verifyBars(context.err, 'verifying')
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

function printReport(out: Output, report: FullReport): void {
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
  for (const table of report.tables) printTableFaults(out, table)
  const tables =
    report.tables.length === 0
      ? ''
      : `; ${plural(report.tables.length, 'table')} of ${plural(keysOf(report.tables), 'key')}`
  const checked =
    `${plural(report.records, 'record')} in ${plural(report.batches, 'batch', 'batches')} of ` +
    `${plural(report.commits, 'commit')}, ${plural(report.segments, 'segment')}, ${bytes(report.bytes)}${tables}`
  const inTables = report.tables.reduce(
    (sum, table) => sum + Math.max(table.missing + table.extra + table.different, table.isWhole ? 0 : 1),
    0,
  )
  const faults = report.problems.length + report.problemsLeftOut + inTables
  out.line(
    report.isWhole
      ? `${out.paint('green', 'whole')}: ${checked}`
      : `${out.paint('red', 'damaged')}: ${plural(faults, 'fault')} in ${checked}`,
  )
}

function keysOf(tables: readonly VerifiedTable[]): number {
  return tables.reduce((sum, { keys }) => sum + keys, 0)
}

/** A table is built from the log: what is wrong with one costs nothing but the building. */
function printTableFaults(out: Output, { stream, problems, problemsLeftOut }: VerifiedTable): void {
  const name = printable(stream)
  for (const { key, reason } of problems) {
    const text = key === null || typeof key === 'string' ? key : `base64:${key.base64}`
    const place = text === null ? '' : ` key ${printable(text)}`
    out.line(`${out.paint('red', 'fault')}  table ${name}${place}: ${printable(reason)}`)
  }
  if (problemsLeftOut > 0) out.line(`and ${count(problemsLeftOut)} more keys of table ${name}`)
}
