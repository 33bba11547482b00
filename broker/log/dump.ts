/**
 * What lies in the log, as it lies there: for people who look for a fault. Segment after segment, in commit order; what is
 * damaged is shown as that and nothing is thrown for it.
 */
import type { Entry } from '../storage/store.ts'
import type { Chain } from './chain.ts'
import { commitOf, idOf, NOTE_ID } from './commit-key.ts'
import { decodeNote, type Note } from './note.ts'
import { baseOffsetOf, batchFault, type LogRecord, nextOffsetOf, readRecords } from './record-batch.ts'
import { indexFile, type Segment } from './segment.ts'
import { SegmentIndex } from './segment-index.ts'
import { readCommits } from './whole-commits.ts'

const STEP_BYTES = 256 * 1024

export interface DumpQuery {
  /** null is all; with one, notes are left out. */
  readonly stream: string | null
  readonly partition: number | null
  /** Batches that hold something from here on. */
  readonly from: number | null
  /** Batches that hold something below. */
  readonly to: number | null
  /** A segment's id, or `chain/id`. */
  readonly segment: string | null
  readonly records: boolean
}

export interface DumpedSegment {
  readonly type: 'segment'
  readonly chain: string
  readonly segment: string
  readonly firstCommit: number
  readonly lastCommit: number
  readonly bytes: number
  readonly isSealed: boolean
  readonly isRewritten: boolean
  /** ms since 1970; null while no trusted clock has said so. */
  readonly sealedAt: number | null
  /** In memory: of an active segment. The other ones are files. */
  readonly index: 'in memory' | 'whole' | 'missing' | 'damaged'
}

interface Place {
  readonly chain: string
  readonly segment: string
  readonly commit: number
}

export interface DumpedBatch extends Place {
  readonly type: 'batch'
  /** '' where no stream has the partition's id. */
  readonly stream: string
  readonly partition: number
  /** The id of the partition in the keys. */
  readonly id: number
  readonly bytes: number
  /** null, or what is wrong with it: the rest of its fields are then unknown. */
  readonly fault: string | null
  readonly baseOffset: number | null
  readonly nextOffset: number | null
  readonly records: number | null
  /** ms since 1970 */
  readonly minTimestamp: number | null
  readonly maxTimestamp: number | null
  /** With `records` asked for, and readable. */
  readonly content?: readonly LogRecord[]
}

export interface DumpedNote extends Place {
  readonly type: 'note'
  readonly bytes: number
  readonly fault: string | null
  readonly note: Note | null
}

export interface DumpedGap extends Place {
  readonly type: 'unreadable'
  /** The last commit that cannot be read. */
  readonly toCommit: number
  readonly reason: string
}

export type Dumped = DumpedSegment | DumpedBatch | DumpedNote | DumpedGap

/** @throws LogUnavailableError when the log is closed meanwhile */
export async function* dumpChains(
  chains: readonly Chain[],
  query: DumpQuery,
): AsyncGenerator<Dumped, void, void> {
  for (const chain of chains) {
    const ids = idsOf(chain, query)
    if (ids !== null && ids.size === 0) continue
    const end = chain.durableCommit
    for (const segment of [...chain.segments]) {
      if (!isAsked(chain, segment, query) || !mayHold(segment, ids, query)) continue
      yield await describeSegment(chain, segment)
      yield* dumpSegment(chain, segment, end, ids, query)
    }
  }
}

/** The partition ids asked for; null is all. */
function idsOf(chain: Chain, { stream, partition }: DumpQuery): Set<number> | null {
  if (stream === null) return null
  const own = [...chain.partitions.values()].filter(
    (candidate) => candidate.stream === stream && (partition === null || candidate.partition === partition),
  )
  return new Set(own.map(({ id }) => id))
}

function isAsked(chain: Chain, { id }: Segment, { segment }: DumpQuery): boolean {
  return segment === null || segment === id || segment === `${chain.name}/${id}`
}

/** By what is known of a sealed segment; a damaged batch in one that is passed over is not shown. */
function mayHold(
  segment: Segment,
  ids: Set<number> | null,
  { from, to, segment: asked }: DumpQuery,
): boolean {
  if (ids === null || !segment.isSealed || asked !== null) return true
  return segment.summaries.some(
    ({ id, firstOffset, nextOffset }) =>
      ids.has(id) && firstOffset < (to ?? Number.POSITIVE_INFINITY) && nextOffset > (from ?? 0),
  )
}

async function describeSegment(chain: Chain, segment: Segment): Promise<DumpedSegment> {
  const { id, firstCommit, lastCommit, bytes, isSealed, isRewritten, sealedAt } = segment
  let index: DumpedSegment['index'] = 'in memory'
  if (isSealed) {
    const { disk, directory } = chain.files
    const file = await disk.readFile(indexFile(directory, id)).catch(() => undefined)
    const isWhole = file !== undefined && SegmentIndex.decode(file, firstCommit) !== undefined
    index = file === undefined ? 'missing' : isWhole ? 'whole' : 'damaged'
  }
  const place = { chain: chain.name, segment: id }
  return { type: 'segment', ...place, firstCommit, lastCommit, bytes, isSealed, isRewritten, sealedAt, index }
}

async function* dumpSegment(
  chain: Chain,
  segment: Segment,
  end: number,
  ids: Set<number> | null,
  query: DumpQuery,
): AsyncGenerator<Dumped, void, void> {
  const to = Math.min(segment.lastCommit, end)
  for (let at = segment.firstCommit; at <= to; ) {
    const step = await readCommits(chain, at, to, STEP_BYTES)
    // replaced or dropped meanwhile
    if (step === null || step.segment.id !== segment.id) return
    const gaps = step.unreadable.map(({ from, to: toCommit, reason }): DumpedGap => {
      return { type: 'unreadable', chain: chain.name, segment: segment.id, commit: from, toCommit, reason }
    })
    for (const entry of step.entries) {
      const place = { chain: chain.name, segment: segment.id, commit: commitOf(entry.key) }
      while (gaps.length > 0 && gaps[0]!.commit < place.commit) yield gaps.shift()!
      const dumped =
        idOf(entry.key) === NOTE_ID ? dumpNote(place, entry) : dumpBatch(chain, place, entry, query)
      if (isInQuery(dumped, ids, query)) yield dumped
    }
    yield* gaps
    at = step.next
  }
}

function isInQuery(
  dumped: DumpedNote | DumpedBatch,
  ids: Set<number> | null,
  { from, to }: DumpQuery,
): boolean {
  if (dumped.type === 'note') return ids === null
  if (ids !== null && !ids.has(dumped.id)) return false
  if (dumped.baseOffset === null || dumped.nextOffset === null) return true
  return dumped.baseOffset < (to ?? Number.POSITIVE_INFINITY) && dumped.nextOffset > (from ?? 0)
}

function dumpNote(place: Place, { value }: Entry): DumpedNote {
  const note = decodeNote(value)
  const isWhole = typeof note !== 'string'
  const fault = isWhole ? null : note
  return { type: 'note', ...place, bytes: value.length, fault, note: isWhole ? note : null }
}

function dumpBatch(chain: Chain, place: Place, { key, value }: Entry, query: DumpQuery): DumpedBatch {
  const id = idOf(key)
  const { stream = '', partition = id } = chain.partitions.get(id) ?? {}
  const known = { type: 'batch', ...place, stream, partition, id, bytes: value.length } as const
  const nothing = {
    baseOffset: null,
    nextOffset: null,
    records: null,
    minTimestamp: null,
    maxTimestamp: null,
  }
  const fault = batchFault(value)
  if (fault !== null) return { ...known, fault, ...nothing }
  let content: LogRecord[]
  try {
    content = [...readRecords(value)]
  } catch (error) {
    return { ...known, fault: `its records cannot be decoded: ${(error as Error).message}`, ...nothing }
  }
  let minTimestamp: number | null = null
  let maxTimestamp: number | null = null
  for (const { timestamp } of content) {
    if (minTimestamp === null || timestamp < minTimestamp) minTimestamp = timestamp
    if (maxTimestamp === null || timestamp > maxTimestamp) maxTimestamp = timestamp
  }
  const [from, to] = [query.from ?? 0, query.to ?? Number.POSITIVE_INFINITY]
  return {
    ...known,
    fault: null,
    baseOffset: baseOffsetOf(value),
    nextOffset: nextOffsetOf(value),
    records: content.length,
    minTimestamp,
    maxTimestamp,
    ...(query.records ? { content: content.filter(({ offset }) => offset >= from && offset < to) } : {}),
  }
}
