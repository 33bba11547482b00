/** `headwater read`: the records of a stream, to standard output. */
import { splitLines } from '../control/control-client.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { parseFrom } from '../reading.ts'
import { bytesOf, type RecordJson } from '../record-json.ts'
import { printableJson, printableLines } from '../terminal/printable.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess, type ReadOptions } from './log-access.ts'

export interface ReadCommandOptions extends ConfigOptions {
  readonly partition?: number | undefined
  readonly from: string
  readonly follow: boolean
  readonly count?: number | undefined
  readonly format: string
}

export async function runRead(
  context: CommandContext,
  stream: string,
  options: ReadCommandOptions,
): Promise<number> {
  if (options.format !== 'ndjson' && options.format !== 'raw') {
    throw new UsageError(`--format ${options.format} is not known`, 'write ndjson or raw')
  }
  // Before anything is opened, so that a slip is told at once.
  parseFrom(options.from)
  const request: ReadOptions = {
    stream,
    partition: options.partition ?? null,
    from: options.from,
    follow: options.follow,
    count: options.count ?? null,
  }
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  try {
    const pieces = await access.read(request, context.signal)
    if (options.format === 'raw') await writeValues(context, pieces)
    else await writeLines(context, pieces)
  } finally {
    await access.close()
  }
  return ExitCode.ok
}

async function writeLines(context: CommandContext, pieces: AsyncIterable<string | Buffer>): Promise<void> {
  if (!context.out.isTerminal) {
    for await (const piece of pieces) await context.out.piece(piece)
    return
  }
  for await (const line of splitLines(pieces)) await context.out.piece(`${printableJson(line)}\n`)
}

/**
 * The payloads as they were published, each with a newline; a tombstone has none and is left out. A terminal does not get what would
 * steer it.
 */
async function writeValues(context: CommandContext, pieces: AsyncIterable<string | Buffer>): Promise<void> {
  const newline = Buffer.from('\n')
  for await (const line of splitLines(pieces)) {
    const { value } = JSON.parse(line) as Partial<RecordJson>
    // neither a tombstone nor a gap has a payload
    if (value == null) continue
    const bytes = bytesOf(value)
    if (context.out.isTerminal) await context.out.piece(`${printableLines(bytes.toString('utf8'))}\n`)
    else await context.out.piece(Buffer.concat([bytes, newline]))
  }
}
