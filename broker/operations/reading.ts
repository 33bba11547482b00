/** Reads a stream for people: from a place in time or a position, all partitions merged, on and on if asked. */

import { UnknownPartitionError, UnknownStreamError } from '../errors.ts'
import { MergedReader } from '../log/merged-reader.ts'
import type { PartitionState } from '../log/source.ts'
import { UsageError } from './errors.ts'
import type { ReadableLog } from './operations.ts'
import type { RecordFilter } from './record-filter.ts'
import { gapJson, recordJson } from './record-json.ts'

/** All partitions together hold at most this much of the log in memory, apart from one batch each. */
const READ_BYTES_MAX = 4_194_304
const PARTITION_BYTES_MAX = 65_536
/** Lines are handed on in pieces of about this many characters. */
const CHUNK_CHARS = 16_384

export type ReadFrom = 'earliest' | 'latest' | { readonly offset: number } | { readonly timestamp: number }

export interface ReadRequest {
  readonly stream: string
  /** null is all of them. */
  readonly partition: number | null
  readonly from: ReadFrom
  /** Goes on with what is written later, until the reader leaves. */
  readonly follow: boolean
  /** Ends after this many records; null is no limit. */
  readonly count: number | null
  /** These alone; the others are not counted. */
  readonly filter?: RecordFilter | null
}

/** `earliest`, `latest`, an offset, or a time. @throws UsageError */
export function parseFrom(text: string): ReadFrom {
  if (text === 'earliest' || text === 'latest') return text
  if (/^[0-9]{1,15}$/.test(text)) return { offset: Number(text) }
  const timestamp = /^[0-9]{4}-[0-9]{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(timestamp)) return { timestamp }
  const hint = 'write earliest, latest, an offset such as 1200, or a time such as 2026-03-01T12:00:00Z'
  throw new UsageError(`--from ${text} is no place to read from`, hint)
}

/** What it takes to find a place in a log. */
export type PlacedLog = Pick<ReadableLog, 'partitions' | 'offsetForTime'> & {
  streams(): readonly { readonly stream: string }[]
}

/**
 * @returns pieces of newline-delimited JSON, each of whole lines. Records of one partition are in order; partitions are
 * merged by the time at which their records were accepted (the corrected one where there is one), as far as they are on disk at
 * that moment.
 * @throws UnknownStreamError, UnknownPartitionError, UsageError before anything is read
 */
export async function openReading(
  log: ReadableLog,
  request: ReadRequest,
  signal: AbortSignal,
): Promise<AsyncGenerator<string, void, void>> {
  return readLines(log, request, await openReader(log, request), signal)
}

async function* readLines(
  log: ReadableLog,
  request: ReadRequest,
  reader: MergedReader,
  signal: AbortSignal,
): AsyncGenerator<string, void, void> {
  let left = request.count ?? Number.POSITIVE_INFINITY
  const wake = new Wake(log, signal)
  try {
    while (left > 0 && !signal.aborted) {
      wake.clear()
      await reader.refill()
      if (reader.oldest() === null) {
        if (!request.follow) return
        await wake.wait()
        continue
      }
      for (const piece of mergedLines(request, reader, left)) {
        left -= piece.records
        if (piece.text !== '') yield piece.text
        if (signal.aborted) return
      }
    }
  } finally {
    wake.close()
  }
}

/** Merges until a lane runs dry: what comes next in it may be older than the others' heads. */
function* mergedLines(
  { stream, filter }: Pick<ReadRequest, 'stream' | 'filter'>,
  reader: MergedReader,
  recordsMax: number,
): Generator<{ text: string; records: number }> {
  let text = ''
  let records = 0
  let left = recordsMax
  for (let lane = reader.oldest(); lane !== null && left > 0; lane = reader.oldest()) {
    const { record, clock } = lane.head!
    for (const hole of lane.gaps.splice(0))
      text += `${JSON.stringify(gapJson(stream, lane.partition, hole))}\n`
    const json = recordJson(stream, lane.partition, record, clock)
    if (filter == null || filter(json)) {
      text += `${JSON.stringify(json)}\n`
      records++
      left--
    }
    const isDry = !lane.advance()
    if (text.length >= CHUNK_CHARS || isDry || left === 0) {
      yield { text, records }
      text = ''
      records = 0
    }
    if (isDry) return
  }
}

async function openReader(log: ReadableLog, request: ReadRequest): Promise<MergedReader> {
  const ranges = (await placesOf(log, request)).map(
    ({ first, partition, logStartOffset, durableOffset }) => ({
      partition,
      from: Math.max(first, logStartOffset),
      end: request.follow ? null : durableOffset,
    }),
  )
  const bytesMax = Math.max(4096, Math.min(PARTITION_BYTES_MAX, READ_BYTES_MAX / ranges.length))
  return new MergedReader(log, request.stream, ranges, bytesMax)
}

/**
 * Where a reading begins in each partition; an offset can be below the log start.
 * @throws UnknownStreamError, UnknownPartitionError, UsageError
 */
export async function placesOf(
  log: PlacedLog,
  { stream, partition, from, follow }: Pick<ReadRequest, 'stream' | 'partition' | 'from' | 'follow'>,
): Promise<(PartitionState & { readonly first: number })[]> {
  const all = log.partitions().filter((state) => state.stream === stream)
  if (all.length === 0) {
    throw new UnknownStreamError(
      stream,
      log.streams().map((known) => known.stream),
    )
  }
  const wanted = partition === null ? all : all.filter((state) => state.partition === partition)
  if (wanted.length === 0) throw new UnknownPartitionError(stream, partition!, all.length)
  if (typeof from === 'object' && 'offset' in from && wanted.length > 1) {
    const hint = `add --partition 0 (to ${all.length - 1}), or give a time`
    throw new UsageError(`an offset is of one partition, and stream "${stream}" has ${all.length}`, hint)
  }
  return Promise.all(
    wanted.map(async (state) => {
      const first = await firstOffset(log, from, state)
      if (first > state.durableOffset && !follow) {
        const held = `${state.logStartOffset} to ${state.durableOffset - 1}`
        const message = `offset ${first} is not written yet in ${stream}/${state.partition}`
        throw new UsageError(message, state.durableOffset > 0 ? `it holds ${held}` : 'it is empty')
      }
      return { ...state, first }
    }),
  )
}

async function firstOffset(
  log: PlacedLog,
  from: ReadFrom,
  state: { stream: string; partition: number; logStartOffset: number; durableOffset: number },
): Promise<number> {
  if (from === 'earliest') return state.logStartOffset
  if (from === 'latest') return state.durableOffset
  if ('offset' in from) return from.offset
  return log.offsetForTime(state.stream, state.partition, from.timestamp)
}

/** Waits for the next durable commit, without missing one between a look and the wait. */
class Wake {
  readonly #unsubscribe: () => void
  readonly #signal: AbortSignal
  #raised = false
  #resolve: (() => void) | null = null
  readonly #raise = () => {
    this.#raised = true
    this.#resolve?.()
  }

  constructor(log: ReadableLog, signal: AbortSignal) {
    this.#signal = signal
    this.#unsubscribe = log.onDurable(this.#raise)
    signal.addEventListener('abort', this.#raise)
  }

  clear(): void {
    this.#raised = false
  }

  async wait(): Promise<void> {
    if (this.#raised || this.#signal.aborted) return
    await new Promise<void>((resolve) => {
      this.#resolve = resolve
    })
    this.#resolve = null
  }

  close(): void {
    this.#unsubscribe()
    this.#signal.removeEventListener('abort', this.#raise)
  }
}
