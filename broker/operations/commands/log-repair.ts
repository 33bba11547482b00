/** `headwater log repair`: writes anew what is damaged, without the damage. */
import { ExitCode } from '../exit-codes.ts'
import { printable } from '../terminal/printable.ts'
import { count, plural } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess } from './log-access.ts'
import { verifyBars } from './progress-bar.ts'

export async function runLogRepair(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  const bar = await verifyBars(context.err, 'repairing')
  try {
    const report = await access.repair((progress) => bar.show(progress), context.signal)
    bar.end()
    const { out } = context
    if (options.json) out.json(report)
    else if (report.isWhole && report.problemsBefore === 0 && report.rebuiltTables.length === 0) {
      out.line(`${out.paint('green', 'whole')}: nothing to repair`)
    } else {
      out.line(
        `${plural(report.repairedSegments, 'segment')} written anew; the damaged ones are in quarantine/`,
      )
      for (const stream of report.rebuiltTables) {
        out.line(`the table of stream ${printable(stream)} was not what the log says, and is built again`)
      }
      for (const { stream, reason } of report.failedTables) {
        out.line(`${out.paint('red', 'fault')}  table ${printable(stream)}: ${printable(reason)}`)
      }
      for (const { stream, partition, from, to, reason } of report.holes) {
        const place = `${printable(stream)}/${partition} offsets ${count(from)} to ${count(to - 1)}`
        out.line(`${out.paint('yellow', 'lost')}   ${place}: ${printable(reason)}`)
      }
      for (const { place, commit, reason } of report.problems) {
        out.line(`${out.paint('red', 'fault')}  ${printable(place)} commit ${commit}: ${printable(reason)}`)
      }
    }
    return report.isWhole ? ExitCode.ok : ExitCode.failed
  } finally {
    bar.end()
    await access.close()
  }
}
