/** `headwater restore`: a data directory out of a backup. */
import { randomUUID } from 'node:crypto'
import { type Restored, restoreBackup } from '../../log/backup/restore.ts'
import { nodeDisk } from '../../storage/node-disk.ts'
import { ExitCode } from '../exit-codes.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { describe, interrupted, runBackupCheck, tellDamage } from './backup.ts'
import { readBackupFile } from './backup-file.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { checkEdgeName } from './edge-name.ts'
import { progressBar } from './progress-bar.ts'

export interface RestoreCommandOptions extends ConfigOptions {
  readonly edge?: string | undefined
  readonly check: boolean
  readonly json: boolean
}

export async function runRestore(
  context: CommandContext,
  file: string,
  options: RestoreCommandOptions,
): Promise<number> {
  if (options.check) return runBackupCheck(context, file, options)
  if (options.edge !== undefined) checkEdgeName(options.edge)
  const directory = await dataDirectoryOf(context, options)
  const bar = await progressBar(context.err, 'restoring')
  let restored: Restored
  try {
    restored = await restoreBackup(nodeDisk, directory, until(context.signal, readBackupFile(file)), file, {
      edge: options.edge ?? null,
      incarnation: randomUUID(),
      now: Date.now(),
      onProgress: (progress) => bar.show(progress),
    })
  } catch (error) {
    bar.end()
    if (context.signal.aborted) return interrupted(context, `${printable(directory)} is as it was`)
    throw error
  }
  bar.end()
  if (options.json) {
    const { identity, backup } = restored
    context.out.json({ directory, edge: identity.edge, incarnation: identity.incarnation, backup })
  } else print(context.out, directory, restored)
  return restored.backup.isWhole ? ExitCode.ok : ExitCode.failed
}

/** Ends as a file that was cut short does: the restore then takes back what it did. */
async function* until(
  signal: AbortSignal,
  pieces: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, void> {
  for await (const piece of pieces) {
    if (signal.aborted) return
    yield piece
  }
}

function print(out: Output, directory: string, { identity, backup }: Restored): void {
  tellDamage(out, backup)
  out.line(`restored ${describe(backup)}`)
  out.line(
    `into ${printable(directory)}, edge "${identity.edge}", with the new incarnation ${identity.incarnation}`,
  )
  out.line()
  for (const line of upstreamLines(identity.edge, backup.edge)) out.line(line)
}

/** What each kind of upstream does with the log at the next start. */
function upstreamLines(edge: string, former: string): string[] {
  const lines =
    edge === former
      ? [
          `Kafka knows "${edge}" as another log: where it has a checkpoint of that name, sync stops with`,
          'HW_CHECKPOINT_MISMATCH and sends nothing, whichever of the two has more. Then either',
          '  headwater rename NAME     sends the whole log that is here, under the new name; or',
          '  delete the group that the error names, once the first log is gone for good:',
          '                            sends the whole log again under the old name, beside what is there',
        ]
      : [
          `Kafka gets the whole log that is here under the name "${edge}", beside what it has of "${former}".`,
          `Where the configuration names the edge, set edge: ${edge}`,
        ]
  return [
    ...lines,
    `An archive that has records of "${former}" refuses this log: give it another directory.`,
    'Consumers tell the two by edge and incarnation in the header hw.origin.',
  ]
}
