/** `headwater reload`: a running broker reads its configuration, users and certificates again. */
import type { ReloadReport } from '../../config/changes.ts'
import { NotRunningError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { printable } from '../terminal/printable.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { runningBroker } from './log-access.ts'

export async function runReload(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const directory = await dataDirectoryOf(context, options)
  const client = await runningBroker(directory)
  if (client === null) throw new NotRunningError(directory)
  const report = await client.json<ReloadReport>('POST', '/reload')
  if (options.json) {
    context.out.json(report)
    return ExitCode.ok
  }
  const { applied, needsRestart } = report
  for (const line of applied) context.out.line(`now: ${printable(line)}`)
  for (const { key, reason } of needsRestart)
    context.out.line(`after a restart: ${printable(key)} - ${printable(reason)}`)
  if (applied.length + needsRestart.length === 0) context.out.line('the configuration is as it was')
  return ExitCode.ok
}
