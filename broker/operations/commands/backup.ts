/** `headwater backup`: the whole log in one file, while the broker runs or when it does not; and what such a file holds. */
import { readBackup } from '../../log/backup/reader.ts'
import { type BackupReport, BackupTally } from '../../log/backup/report.ts'
import { nodeDisk } from '../../storage/node-disk.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { bytes, count, plural } from '../terminal/units.ts'
import { type BackupSink, openBackupSink, readBackupFile, STANDARD } from './backup-file.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess } from './log-access.ts'
import { progressBar } from './progress-bar.ts'

export interface BackupCommandOptions extends ConfigOptions {
  readonly gzip: boolean
  readonly verify: boolean
  readonly json: boolean
}

export async function runBackup(
  context: CommandContext,
  file: string,
  options: BackupCommandOptions,
): Promise<number> {
  if (options.verify) return runBackupCheck(context, file, options)
  if (file === STANDARD && context.out.isTerminal) {
    throw new UsageError('a backup is no text for a terminal', 'name a file, or send it into a pipe')
  }
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  const bar = await progressBar(context.err, 'backing up')
  try {
    const isGzip = options.gzip || file.endsWith('.gz')
    const sink = await openBackupSink(nodeDisk, file, isGzip, context.out)
    const report = await writeBackup(access.backup(context.signal), sink, file, (tally) => {
      bar.show(tally.progress)
    }).catch((error) => {
      if (context.signal.aborted) return null
      throw error
    })
    bar.end()
    if (report === null) return interrupted(context, 'no backup was written')
    // standard output is the backup
    tell(file === STANDARD ? context.err : context.out, file, sink.bytes, report, options.json)
    return report.isWhole ? ExitCode.ok : ExitCode.failed
  } finally {
    bar.end()
    await access.close()
  }
}

/** What does not come whole is not put in its place. @param name of the file, for errors */
export async function writeBackup(
  pieces: AsyncIterable<Buffer>,
  sink: BackupSink,
  name: string,
  onItem: (tally: BackupTally) => void = () => {},
): Promise<BackupReport> {
  try {
    const tally = new BackupTally()
    // checked on its way
    for await (const item of readBackup(written(pieces, sink), name)) {
      tally.add(item)
      onItem(tally)
    }
    await sink.commit()
    return tally.report()
  } catch (error) {
    await sink.discard().catch(() => undefined)
    throw error
  }
}

async function* written(pieces: AsyncIterable<Buffer>, sink: BackupSink): AsyncGenerator<Buffer, void, void> {
  for await (const piece of pieces) {
    await sink.write(piece)
    yield piece
  }
}

/** `backup --verify` and `restore --check`: reads the whole file, and changes nothing. */
export async function runBackupCheck(
  context: CommandContext,
  file: string,
  options: { json: boolean },
): Promise<number> {
  const bar = await progressBar(context.err, 'verifying')
  try {
    const tally = new BackupTally()
    let fileBytes = 0
    const pieces = readBackupFile(file, (size) => {
      fileBytes += size
    })
    for await (const item of readBackup(pieces, file)) {
      if (context.signal.aborted) return interrupted(context, 'the backup was not verified')
      tally.add(item)
      bar.show(tally.progress)
    }
    bar.end()
    const report = tally.report()
    tell(context.out, file, fileBytes, report, options.json)
    return report.isWhole ? ExitCode.ok : ExitCode.failed
  } finally {
    bar.end()
  }
}

export function interrupted(context: CommandContext, what: string): number {
  context.err.line(`headwater: interrupted; ${what}`)
  return ExitCode.failed
}

function tell(out: Output, file: string, fileBytes: number, report: BackupReport, isJson: boolean): void {
  if (isJson) {
    out.json({ file, fileBytes, ...report })
    return
  }
  tellDamage(out, report)
  const word = report.isWhole ? out.paint('green', 'whole') : out.paint('red', 'of a damaged log')
  out.line(`${printable(file)}, ${bytes(fileBytes)}, ${word}: ${describe(report)}`)
}

export function describe(report: BackupReport): string {
  const { edge, takenAt, records, streams, segments } = report
  return (
    `${plural(records, 'record')} of ${plural(streams, 'stream')} in ${plural(segments, 'segment')}, ` +
    `${bytes(report.bytes)}, of edge "${printable(edge)}" at ${printable(takenAt)}`
  )
}

export function tellDamage(out: Output, { damaged, unreadable, lostOffsets }: BackupReport): void {
  if (lostOffsets > 0) out.line(`note   ${plural(lostOffsets, 'offset')} of the log had been lost before`)
  const fault = out.paint('red', 'fault')
  if (damaged > 0) {
    const are = damaged === 1 ? 'was damaged in the log and is' : 'were damaged in the log and are'
    out.line(`${fault}  ${plural(damaged, 'batch or note', 'batches or notes')} ${are} here as found`)
  }
  for (const { chain, from, to, reason } of unreadable) {
    const commits = from === to ? `commit ${count(from)}` : `commits ${count(from)} to ${count(to)}`
    out.line(`${fault}  ${printable(chain)} ${commits}, not in the backup: ${printable(reason)}`)
  }
}
