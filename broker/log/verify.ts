/** `headwater log verify`: reads every byte of the log and checks it, while the broker runs or when it does not. */

import type { Store } from '../storage/store.ts'
import { trimBatch } from './batch-trim.ts'
import type { Chain } from './chain.ts'
import { onSegment } from './chain-reader.ts'
import { afterHoles } from './holes.ts'
import type { Hole } from './manifest.ts'
import type { LogPartition } from './partition.ts'
import { readRecords } from './record-batch.ts'
import {
  type ReplayedBatch,
  type ReplayResult,
  type ReplayVisitor,
  replayedBatch,
  replayRange,
  replaySegment,
  replayStore,
} from './replay.ts'
import type { OpenSegment, Segment } from './segment.ts'

export interface VerifyProblem {
  /** `chain/segment` */
  readonly place: string
  readonly commit: number
  readonly reason: string
  /** Offsets are missing before it; the fault may stand elsewhere. */
  readonly isGap?: true
}

export interface VerifiedPartition {
  readonly stream: string
  readonly partition: number
  readonly fromOffset: number
  /** The offset after the last one checked. */
  readonly toOffset: number
  readonly records: number
  readonly bytes: number
}

export interface VerifiedHole {
  readonly stream: string
  readonly partition: number
  readonly from: number
  /** The first offset after it. */
  readonly to: number
  readonly reason: string
}

export interface VerifyReport {
  readonly isWhole: boolean
  readonly segments: number
  readonly commits: number
  readonly batches: number
  readonly records: number
  readonly bytes: number
  /** Records that retention has taken and that still stand in segments with others. */
  readonly expiredRecords: number
  /** Offsets that are known to be lost. */
  readonly holes: readonly VerifiedHole[]
  readonly partitions: readonly VerifiedPartition[]
  readonly problems: readonly VerifyProblem[]
  readonly problemsLeftOut: number
}

export interface VerifyProgress {
  readonly bytesDone: number
  readonly bytesTotal: number
}

/** More problems than this are counted, not listed. */
const PROBLEMS_MAX = 1000

interface Tally {
  readonly partition: LogPartition
  from: number
  next: number
  records: number
  bytes: number
  /** Rewritten segments before the one that held its last batch: offsets may be missing once there is another. */
  rewrittenBefore: number
}

/** Where the partitions of a chain begin and end, and which offsets are known to be lost. */
interface Expected {
  readonly chain: string
  readonly starts: ReadonlyMap<number, number>
  readonly ends: ReadonlyMap<number, number>
  readonly holes: readonly Hole[]
}

class Verification {
  readonly problems: VerifyProblem[] = []
  readonly tallies = new Map<number, Tally>()
  problemsLeftOut = 0
  segments = 0
  commits = 0
  batches = 0
  records = 0
  bytes = 0
  /** Records below the log start that stand in segments with others: readers do not see them. */
  expiredRecords = 0
  /** Rewritten segments of this chain, up to the one that is read. */
  rewritten = 0

  problem(place: string, commit: number, reason: string, isGap = false): void {
    const problem = { place, commit, reason, ...(isGap ? { isGap } : {}) }
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(problem)
    else this.problemsLeftOut++
  }

  batch(
    at: { place: string; commit: number; isRewritten: boolean },
    partition: LogPartition,
    batch: ReplayedBatch,
    expected: Expected,
  ): void {
    const { place, commit, isRewritten } = at
    const start = expected.starts.get(partition.id) ?? 0
    const reason = recordsFault(batch, isRewritten)
    if (reason !== null) this.problem(place, commit, reason)
    if (batch.nextOffset <= start) {
      this.expiredRecords += batch.records
      return
    }
    let tally = this.tallies.get(partition.id)
    if (tally === undefined) {
      const next = Math.max(start, 0)
      tally = { partition, from: batch.baseOffset, next, records: 0, bytes: 0, rewrittenBefore: 0 }
      this.tallies.set(partition.id, tally)
      if (batch.baseOffset < start) tally.next = batch.baseOffset
    }
    if (batch.baseOffset !== tally.next && !this.#mayMiss(tally, batch.baseOffset, expected)) {
      const name = `${partition.stream}/${partition.partition}`
      this.problem(place, commit, `${name}: offset ${tally.next} expected, ${batch.baseOffset} found`, true)
    }
    tally.next = batch.nextOffset
    tally.rewrittenBefore = this.rewritten - (isRewritten ? 1 : 0)
    tally.records += batch.records
    tally.bytes += batch.bytes
    this.batches++
    this.records += batch.records
    this.bytes += batch.bytes
  }

  /** The batch without the records below where the partition's tally stands; null when none is left. */
  uncounted(id: number, batch: ReplayedBatch): ReplayedBatch | null {
    const next = this.tallies.get(id)?.next ?? 0
    if (batch.baseOffset >= next) return batch
    const bytes = trimBatch(batch.raw, next)
    return bytes === null ? null : replayedBatch(bytes)
  }

  /** What the log says of its partitions must be what was read. */
  end(expected: Expected, partitions: Iterable<LogPartition>): void {
    for (const partition of partitions) {
      const { id, stream } = partition
      const name = `${stream}/${partition.partition}`
      const from = expected.starts.get(id) ?? 0
      const next = expected.ends.get(id) ?? 0
      const tally = this.tallies.get(id)
      if (tally === undefined) {
        const empty = { partition, from, next: from, records: 0, bytes: 0, rewrittenBefore: 0 }
        if (from !== next && !this.#mayMiss(empty, next, expected)) {
          this.problem(expected.chain, 0, `${name}: offsets ${from} to ${next - 1} were not found`)
        }
      } else if (tally.next > next || (tally.next < next && !this.#mayMiss(tally, next, expected))) {
        this.problem(expected.chain, 0, `${name}: ends at ${tally.next}, the log says ${next}`)
      }
    }
  }

  /** Whether compaction may have taken the offsets from where the tally ends up to `offset`, or they are known to be lost. */
  #mayMiss({ partition, next, rewrittenBefore }: Tally, offset: number, { holes }: Expected): boolean {
    if (offset < next) return false
    if (this.rewritten > rewrittenBefore) return true
    return afterHoles(holes, partition.id, next) >= offset
  }
}

function recordsFault(batch: ReplayedBatch, isRewritten: boolean): string | null {
  let expected = batch.baseOffset
  let records = 0
  try {
    for (const record of readRecords(batch.raw)) {
      if (record.offset < expected || record.offset >= batch.nextOffset)
        return `record offset ${record.offset} is wrong`
      expected = record.offset + 1
      records++
    }
  } catch (error) {
    return `records cannot be decoded: ${(error as Error).message}`
  }
  const span = batch.nextOffset - batch.baseOffset
  if (!isRewritten && records !== span) return `it holds ${records} records for ${span} offsets`
  return null
}

/** Checks all segments up to the commit that is durable now. Retention and compaction may go on meanwhile. */
export async function verifyChains(
  chains: readonly Chain[],
  onProgress: (progress: VerifyProgress) => void,
): Promise<VerifyReport> {
  const seen = new Verification()
  const bytesTotal = chains.reduce((sum, chain) => sum + bytesOf(chain), 0)
  let bytesBefore = 0
  for (const chain of chains) {
    await verifyChain(chain, seen, (bytes) => {
      onProgress({ bytesDone: Math.min(bytesBefore + bytes, bytesTotal), bytesTotal })
    })
    bytesBefore += bytesOf(chain)
  }
  const { problems, problemsLeftOut, segments, commits, batches, records, bytes, expiredRecords } = seen
  return {
    isWhole: problems.length === 0,
    segments,
    commits,
    batches,
    records,
    bytes,
    expiredRecords,
    holes: chains.flatMap(holesOf),
    partitions: [...seen.tallies.values()].map(({ partition, from, next, ...sums }) => ({
      stream: partition.stream,
      partition: partition.partition,
      fromOffset: from,
      toOffset: next,
      records: sums.records,
      bytes: sums.bytes,
    })),
    problems,
    problemsLeftOut,
  }
}

function bytesOf(chain: Chain): number {
  return chain.segments.reduce((sum, segment) => sum + segment.bytes, 0)
}

function holesOf(chain: Chain): VerifiedHole[] {
  return (chain.row.facts.holes ?? []).map(({ id, from, to, reason }) => {
    const partition = chain.partitions.get(id)
    return { stream: partition?.stream ?? '', partition: partition?.partition ?? id, from, to, reason }
  })
}

async function verifyChain(
  chain: Chain,
  seen: Verification,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const partitions = [...chain.partitions.values()]
  const toCommit = chain.durableCommit
  const expected: Expected = {
    chain: chain.name,
    starts: new Map(partitions.map(({ id, logStartOffset }) => [id, logStartOffset])),
    ends: new Map(partitions.map(({ id, durableOffset }) => [id, durableOffset])),
    holes: chain.row.facts.holes ?? [],
  }
  // compaction may have taken whole segments at the front
  const isCompacted = chain.row.facts.cleaned !== undefined
  seen.rewritten = isCompacted && chain.segments[0]!.firstCommit > 1 ? 1 : 0
  let bytes = 0
  let commit = 0
  /** Some of what is read next was counted before the damage of its segment was met. */
  let isAgain = false
  while (commit <= toCommit) {
    // found by commit each time: the row may have been rearranged since
    const segment = chain.segments.find(({ lastCommit }) => lastCommit >= commit)
    if (segment === undefined || segment.firstCommit > toCommit) break
    // some of it went meanwhile, with what it held
    if (commit > 0 && segment.firstCommit !== commit) seen.rewritten++
    const copy = { ...segment, lastCommit: Math.min(segment.lastCommit, toCommit) }
    // one that cannot be opened is replaced, and its successor is read
    const from = { commit, isAgain }
    const isRead = await onSegment(chain, segment, (open) =>
      verifySegment(chain, segment, open, copy, from, seen, expected, (done) => onBytes(bytes + done)),
    )
    isAgain = !isRead
    if (isAgain) continue
    seen.segments++
    bytes += copy.bytes
    commit = copy.lastCommit + 1
  }
  seen.end(expected, partitions)
}

/** @param copy what the segment was when its turn came: the active one grows meanwhile */
async function verifySegment(
  chain: Chain,
  segment: Segment,
  { store, index }: OpenSegment,
  copy: Segment,
  { commit: fromCommit, isAgain }: { readonly commit: number; readonly isAgain: boolean },
  seen: Verification,
  expected: Expected,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const place = `${chain.name}/${copy.id}`
  const { isRewritten } = copy
  const mayMissCommits = isRewritten || copy.isSalvaged
  if (isRewritten) seen.rewritten++
  const counted = new Map<number, number>()
  const { lastCommit } = await replayOf(chain, segment, store, copy, {
    batch: (commit, id, batch) => {
      const nth = counted.get(id) ?? 0
      counted.set(id, nth + 1)
      // what was read under an earlier arrangement is not counted again
      if (commit < fromCommit) return
      const partition = chain.partitions.get(id)
      if (partition === undefined) {
        seen.problem(place, commit, `a batch of partition id ${id}, which no stream has`)
        return
      }
      // put together with what was counted under an earlier arrangement: the rest of it is new
      const rest = isAgain || fromCommit > copy.firstCommit ? seen.uncounted(id, batch) : batch
      if (rest !== null) seen.batch({ place, commit, isRewritten }, partition, rest, expected)
      const entries = index.partitions.get(id)
      const isPlaced =
        entries !== undefined &&
        nth < entries.count &&
        entries.offsetAt(nth) === batch.baseOffset &&
        entries.commitAt(nth) === commit
      if (!isPlaced) {
        const reason = `the index does not place offset ${batch.baseOffset} of partition id ${id} here`
        seen.problem(place, commit, reason)
      }
    },
    fault: (commit, id, reason) => {
      if (id !== null) seen.problem(place, commit, `id ${id}: ${reason}`)
      else if (!mayMissCommits) seen.problem(place, commit, reason)
    },
    progress: onBytes,
  })
  if (lastCommit !== copy.lastCommit && !mayMissCommits) {
    seen.problem(place, lastCommit, `the last commit should be ${copy.lastCommit}`)
  }
  seen.commits += copy.lastCommit - Math.max(copy.firstCommit, fromCommit) + 1
}

/** A sealed one from its files, which takes no memory that grows with it; the active one through its store. */
function replayOf(
  chain: Chain,
  segment: Segment,
  store: Store,
  { firstCommit, lastCommit }: Segment,
  visitor: ReplayVisitor,
): Promise<ReplayResult> {
  if (!segment.isSealed) return replayStore(store, firstCommit, lastCommit, visitor)
  return chain.cache.scan(segment, replayRange(lastCommit), (scan) =>
    replaySegment(scan, firstCommit, visitor),
  )
}
