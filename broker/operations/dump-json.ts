/** What lies in the log, for people and programs: one JSON object a line. */
import type { Dumped, DumpedBatch, DumpedGap, DumpedNote, DumpedSegment, DumpQuery } from '../log/dump.ts'
import type { ReadableLog } from './operations.ts'
import { isoTime, type RecordJson, recordJson } from './record-json.ts'

/** Lines are handed on in pieces of about this many characters. */
const CHUNK_CHARS = 16_384

type Isoed<T> = { [K in keyof T]: K extends `${string}Timestamp` | 'sealedAt' ? string | null : T[K] }

/** Times are ISO 8601, bytes in notes are { base64 }; a batch's records follow it, where they are asked for. */
export type DumpLine =
  | Isoed<DumpedSegment>
  | Isoed<Omit<DumpedBatch, 'content'>>
  | DumpedNote
  | DumpedGap
  | ({ readonly type: 'record' } & RecordJson)

/** @throws UnknownStreamError, UnknownPartitionError before anything is read */
export function dumpLines(log: ReadableLog, query: DumpQuery): AsyncIterable<string> {
  return pieces(log.dump(query))
}

async function* pieces(dump: AsyncIterable<Dumped>): AsyncGenerator<string, void, void> {
  let text = ''
  for await (const dumped of dump) {
    for (const line of linesOf(dumped)) {
      text += `${JSON.stringify(line)}\n`
      if (text.length < CHUNK_CHARS) continue
      yield text
      text = ''
    }
  }
  if (text !== '') yield text
}

function* linesOf(dumped: Dumped): Generator<DumpLine, void, void> {
  switch (dumped.type) {
    case 'segment':
      yield { ...dumped, sealedAt: time(dumped.sealedAt) }
      break
    case 'batch': {
      const { content = [], minTimestamp, maxTimestamp, ...rest } = dumped
      yield { ...rest, minTimestamp: time(minTimestamp), maxTimestamp: time(maxTimestamp) }
      for (const record of content) {
        yield { type: 'record', ...recordJson(dumped.stream, dumped.partition, record) }
      }
      break
    }
    case 'note':
      yield { ...dumped, note: jsonable(dumped.note) as DumpedNote['note'] }
      break
    case 'unreadable':
      yield dumped
      break
  }
}

function time(timestamp: number | null): string | null {
  return timestamp === null ? null : isoTime(timestamp)
}

/** A note holds what its states put there: CBOR has more than JSON. */
function jsonable(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map(jsonable)
  if (typeof value !== 'object' || value === null) return value
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  return Object.fromEntries(entries.map(([key, own]) => [String(key), jsonable(own)]))
}
