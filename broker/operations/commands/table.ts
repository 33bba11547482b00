/** `headwater table`: the latest value of each key of a stream, or of one key, or the changes. */
import { splitLines } from '../control/control-client.ts'
import { ExitCode } from '../exit-codes.ts'
import { type Base64, bytesOf, type GapJson, type RecordJson } from '../record-json.ts'
import { checkTableRequest } from '../table-reading.ts'
import type { Output } from '../terminal/output.ts'
import { printable, printableJson } from '../terminal/printable.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess } from './log-access.ts'
import { progressBar } from './progress-bar.ts'
import { EntryRows } from './table-rows.ts'

export interface TableCommandOptions extends ConfigOptions {
  readonly prefix?: string | undefined
  readonly count?: number | undefined
  readonly from?: string | undefined
  readonly partition?: number | undefined
  readonly follow: boolean
  readonly json: boolean
}

export async function runTable(
  context: CommandContext,
  stream: string,
  key: string | undefined,
  options: TableCommandOptions,
): Promise<number> {
  const request = {
    stream,
    key: key ?? null,
    prefix: options.prefix ?? null,
    from: options.from ?? null,
    partition: options.partition ?? null,
    follow: options.follow,
    count: options.count ?? null,
  }
  // before anything is opened, so that a slip is told at once
  checkTableRequest(request)
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  const bar = await progressBar(context.err, 'building the table', () => '100%')
  try {
    const onBuilding = (percent: number) => bar.show({ bytesDone: percent, bytesTotal: 100 })
    const pieces = await access.table(request, onBuilding, context.signal)
    bar.end()
    const isOneValue = request.key !== null && request.from === null && !request.follow
    if (options.json) await writeLines(context.out, pieces)
    else if (isOneValue) await writeValue(context.out, pieces)
    else await writeRows(context.out, pieces, request)
  } finally {
    bar.end()
    await access.close()
  }
  return ExitCode.ok
}

async function writeLines(out: Output, pieces: AsyncIterable<string | Buffer>): Promise<void> {
  if (!out.isTerminal) {
    for await (const piece of pieces) await out.piece(piece)
    return
  }
  for await (const line of splitLines(pieces)) await out.piece(`${printableJson(line)}\n`)
}

/** As it was published, with a newline; on a terminal it cannot move the cursor. */
async function writeValue(out: Output, pieces: AsyncIterable<string | Buffer>): Promise<void> {
  for await (const line of splitLines(pieces)) {
    const value = (JSON.parse(line) as RecordJson).value as string | Base64
    if (out.isTerminal) out.line(printable(typeof value === 'string' ? value : `base64:${value.base64}`))
    else await out.piece(Buffer.concat([bytesOf(value), Buffer.from('\n')]))
  }
}

async function writeRows(
  out: Output,
  pieces: AsyncIterable<string | Buffer>,
  { prefix, from, follow }: { prefix: string | null; from: string | null; follow: boolean },
): Promise<void> {
  const rows = new EntryRows(out)
  for await (const records of pages(pieces)) {
    for (const text of rows.texts(records)) await out.piece(`${text}\n`)
  }
  if (rows.isEmpty && !follow) {
    if (from !== null) out.line('there are no changes')
    else out.line(prefix === null ? 'the table is empty' : `no key begins with "${printable(prefix)}"`)
  }
}

/** The records of each piece together: they are aligned alike, and nothing waits for more. */
async function* pages(
  pieces: AsyncIterable<string | Buffer>,
): AsyncGenerator<(RecordJson | GapJson)[], void, void> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const piece of pieces) {
    const bytes = Buffer.concat([rest, typeof piece === 'string' ? Buffer.from(piece) : piece])
    const end = bytes.lastIndexOf(10) + 1
    rest = bytes.subarray(end)
    const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1)
    if (lines.length > 0) yield lines.map((line) => JSON.parse(line) as RecordJson | GapJson)
  }
}
