/** `headwater log verify`: reads every byte of the log and checks it, while the broker runs or when it does not. */
import type { Chain } from './chain.ts'
import type { LogPartition } from './partition.ts'
import { readRecords } from './record-batch.ts'
import { type ReplayedBatch, replaySegment } from './replay.ts'
import type { Segment } from './segment.ts'

export interface VerifyProblem {
  /** `chain/segment` */
  readonly place: string
  readonly commit: number
  readonly reason: string
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

export interface VerifyReport {
  readonly isWhole: boolean
  readonly segments: number
  readonly commits: number
  readonly batches: number
  readonly records: number
  readonly bytes: number
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
}

class Verification {
  readonly problems: VerifyProblem[] = []
  readonly tallies = new Map<number, Tally>()
  problemsLeftOut = 0
  commits = 0
  batches = 0
  records = 0
  bytes = 0

  problem(place: string, commit: number, reason: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ place, commit, reason })
    else this.problemsLeftOut++
  }

  batch(place: string, commit: number, partition: LogPartition, batch: ReplayedBatch): void {
    let tally = this.tallies.get(partition.id)
    if (tally === undefined) {
      tally = { partition, from: batch.baseOffset, next: batch.baseOffset, records: 0, bytes: 0 }
      this.tallies.set(partition.id, tally)
    }
    if (batch.baseOffset !== tally.next) {
      const name = `${partition.stream}/${partition.partition}`
      this.problem(place, commit, `${name}: offset ${tally.next} expected, ${batch.baseOffset} found`)
    }
    const reason = recordsFault(batch)
    if (reason !== null) this.problem(place, commit, reason)
    tally.next = batch.nextOffset
    tally.records += batch.records
    tally.bytes += batch.bytes
    this.batches++
    this.records += batch.records
    this.bytes += batch.bytes
  }
}

function recordsFault(batch: ReplayedBatch): string | null {
  let expected = batch.baseOffset
  try {
    for (const record of readRecords(batch.raw)) {
      if (record.offset < expected || record.offset >= batch.nextOffset)
        return `record offset ${record.offset} is wrong`
      expected = record.offset + 1
    }
  } catch (error) {
    return `records cannot be decoded: ${(error as Error).message}`
  }
  return null
}

/** Checks all segments up to the commit that is durable now. */
export async function verifyChains(
  chains: readonly Chain[],
  onProgress: (progress: VerifyProgress) => void,
): Promise<VerifyReport> {
  const work = chains.flatMap((chain) =>
    chain.segments.map((segment) => ({ chain, segment: { ...segment } })),
  )
  const ends = chains.flatMap(expectedEnds)
  const bytesTotal = work.reduce((sum, { segment }) => sum + segment.bytes, 0)
  const seen = new Verification()
  let bytesBefore = 0
  for (const { chain, segment } of work) {
    await verifySegment(chain, segment, seen, (bytes) => {
      onProgress({ bytesDone: Math.min(bytesBefore + bytes, bytesTotal), bytesTotal })
    })
    bytesBefore += segment.bytes
  }
  checkEnds(ends, seen)
  return {
    isWhole: seen.problems.length === 0,
    segments: work.length,
    commits: seen.commits,
    batches: seen.batches,
    records: seen.records,
    bytes: seen.bytes,
    partitions: [...seen.tallies.values()].map(({ partition, from, next, records, bytes }) => ({
      stream: partition.stream,
      partition: partition.partition,
      fromOffset: from,
      toOffset: next,
      records,
      bytes,
    })),
    problems: seen.problems,
    problemsLeftOut: seen.problemsLeftOut,
  }
}

async function verifySegment(
  chain: Chain,
  segment: Segment,
  seen: Verification,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const place = `${chain.name}/${segment.id}`
  const counted = new Map<number, number>()
  await chain.cache.use(segment, async ({ store, index }) => {
    const { lastCommit } = await replaySegment(store, segment.firstCommit, segment.lastCommit, {
      batch: (commit, id, batch) => {
        const partition = chain.partitions.get(id)
        if (partition === undefined) {
          seen.problem(place, commit, `a batch of partition id ${id}, which no stream has`)
          return
        }
        seen.batch(place, commit, partition, batch)
        const nth = counted.get(id) ?? 0
        counted.set(id, nth + 1)
        const entries = index.partitions.get(id)
        if (
          entries === undefined ||
          nth >= entries.count ||
          entries.offsetAt(nth) !== batch.baseOffset ||
          entries.commitAt(nth) !== commit
        ) {
          seen.problem(
            place,
            commit,
            `the index does not place offset ${batch.baseOffset} of partition id ${id} here`,
          )
        }
      },
      fault: (commit, id, reason) =>
        seen.problem(place, commit, id === null ? reason : `id ${id}: ${reason}`),
      progress: onBytes,
    })
    if (lastCommit !== segment.lastCommit) {
      seen.problem(place, lastCommit, `the last commit should be ${segment.lastCommit}`)
    }
    seen.commits += segment.lastCommit - segment.firstCommit + 1
  })
}

interface ExpectedEnds {
  readonly chain: string
  readonly partition: LogPartition
  readonly from: number
  readonly next: number
}

/** Where the partitions of a chain begin and end now; taken together with the segments' last commits. */
function expectedEnds(chain: Chain): ExpectedEnds[] {
  return [...chain.partitions.values()].map((partition) => ({
    chain: chain.name,
    partition,
    from: partition.logStartOffset,
    next: partition.durableOffset,
  }))
}

/** What the log says of its partitions must be what was read. */
function checkEnds(ends: readonly ExpectedEnds[], seen: Verification): void {
  for (const { chain, partition, from, next } of ends) {
    const name = `${partition.stream}/${partition.partition}`
    const tally = seen.tallies.get(partition.id)
    if (tally === undefined) {
      if (from !== next) seen.problem(chain, 0, `${name}: offsets ${from} to ${next - 1} were not found`)
      continue
    }
    if (tally.from !== from) seen.problem(chain, 0, `${name}: begins at ${tally.from}, the log says ${from}`)
    if (tally.next !== next) seen.problem(chain, 0, `${name}: ends at ${tally.next}, the log says ${next}`)
  }
}
