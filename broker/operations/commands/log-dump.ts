/** `headwater log dump`: what lies in the log, as it lies there, for people who look for a fault. */
import type { DumpQuery } from '../../log/dump.ts'
import { splitLines } from '../control/control-client.ts'
import type { DumpLine } from '../dump-json.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { Output } from '../terminal/output.ts'
import { printable, printableJson } from '../terminal/printable.ts'
import { bytes, count, plural } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { openLogAccess } from './log-access.ts'

export interface DumpCommandOptions extends ConfigOptions {
  readonly stream?: string | undefined
  readonly partition?: number | undefined
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly segment?: string | undefined
  readonly records: boolean
  readonly json: boolean
}

/** Keys, values and states are printed up to here; --json has all of them. */
const TEXT_CHARS_MAX = 120

export async function runLogDump(context: CommandContext, options: DumpCommandOptions): Promise<number> {
  if (options.partition !== undefined && options.stream === undefined) {
    throw new UsageError('--partition is of one stream', 'add --stream')
  }
  const query: DumpQuery = {
    stream: options.stream ?? null,
    partition: options.partition ?? null,
    from: options.from ?? null,
    to: options.to ?? null,
    segment: options.segment ?? null,
    records: options.records,
  }
  const { out } = context
  const access = await openLogAccess(context, await dataDirectoryOf(context, options))
  let faults = 0
  let segments = 0
  try {
    for await (const text of splitLines(access.dump(query, context.signal))) {
      const line = JSON.parse(text) as DumpLine
      if (line.type === 'unreadable' || ('fault' in line && line.fault !== null)) faults++
      if (line.type === 'segment') segments++
      await out.piece(`${options.json ? printableJson(text) : textOf(out, line)}\n`)
    }
  } finally {
    await access.close()
  }
  if (query.segment !== null && segments === 0) {
    throw new UsageError(`there is no segment ${query.segment}`, '`headwater log dump` lists those there are')
  }
  return faults === 0 ? ExitCode.ok : ExitCode.failed
}

function textOf(out: Output, line: DumpLine): string {
  switch (line.type) {
    case 'segment':
      return segmentText(out, line)
    case 'batch':
      return batchText(out, line)
    case 'note':
      return entryText(
        line.commit,
        'note',
        line.bytes,
        line.fault === null ? noteText(line) : bad(out, line.fault),
      )
    case 'unreadable': {
      const { commit, toCommit, reason } = line
      const last = toCommit === commit ? '' : ` to ${count(toCommit)}`
      return `  commit ${count(commit)}${last}  ${bad(out, `not readable: ${reason}`)}`
    }
    case 'record': {
      const { offset, timestamp, key, value, headers } = line
      const rest = headers.length > 0 ? `  headers ${shortened(headers)}` : ''
      return `    offset ${count(offset)}  ${timestamp}  key ${shortened(key)}  value ${shortened(value)}${rest}`
    }
  }
}

function segmentText(out: Output, line: DumpLine & { type: 'segment' }): string {
  const { chain, segment, firstCommit, lastCommit, isSealed, isRewritten, sealedAt, index } = line
  const sealed = isSealed ? `sealed${sealedAt === null ? '' : ` ${sealedAt}`}` : 'active'
  const facts = [
    `commits ${count(firstCommit)} to ${count(lastCommit)}`,
    bytes(line.bytes),
    sealed,
    ...(isRewritten ? ['rewritten'] : []),
    index === 'missing' || index === 'damaged' ? out.paint('red', `index ${index}`) : `index ${index}`,
  ]
  return `${out.paint('bold', `segment ${printable(chain)}/${printable(segment)}`)}  ${facts.join(', ')}`
}

function batchText(out: Output, line: DumpLine & { type: 'batch' }): string {
  const { commit, stream, partition, id, fault, baseOffset, nextOffset, records } = line
  const name = stream === '' ? `partition id ${id}, of no stream` : `${printable(stream)}/${partition}`
  if (fault !== null) return entryText(commit, name, line.bytes, bad(out, fault))
  const { minTimestamp, maxTimestamp } = line
  const times = minTimestamp === maxTimestamp ? `${minTimestamp}` : `${minTimestamp} to ${maxTimestamp}`
  // an empty one is of what compaction left
  const offsets = `offsets ${count(baseOffset!)} to ${count(nextOffset! - 1)}`
  return entryText(commit, name, line.bytes, `ok  ${offsets}, ${plural(records!, 'record')}, ${times}`)
}

function entryText(commit: number, name: string, size: number, rest: string): string {
  return `  commit ${count(commit).padStart(9)}  ${name.padEnd(16)}  ${bytes(size).padStart(7)}  ${rest}`
}

function noteText({ note }: DumpLine & { type: 'note' }): string {
  const parts: string[] = []
  if (note?.head !== undefined) {
    const next = note.head.next.map(([id, offset]) => `id ${id} at ${count(offset)}`)
    parts.push(`head: next ${next.length > 0 ? next.join(', ') : 'nothing yet'}`)
    for (const [name, state] of Object.entries(note.head.states)) parts.push(`${name} ${shortened(state)}`)
  }
  for (const [name, added] of Object.entries(note?.states ?? {})) parts.push(`${name} + ${shortened(added)}`)
  return printable(parts.join('; '))
}

function bad(out: Output, fault: string): string {
  return out.paint('red', `DAMAGED: ${printable(fault)}`)
}

function shortened(value: unknown): string {
  const text = printable(JSON.stringify(value) ?? 'null')
  return text.length <= TEXT_CHARS_MAX
    ? text
    : `${text.slice(0, TEXT_CHARS_MAX)}… (${count(text.length)} characters)`
}
