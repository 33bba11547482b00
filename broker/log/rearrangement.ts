/** A change of a chain's row of segments, and what the manifest says after it. */
import type { ChainFacts, Hole, Manifest } from './manifest.ts'
import type { LogPartition } from './partition.ts'
import type { Segment } from './segment.ts'

/** What is to change; a field that is not given stays. */
export interface Rearrangement {
  /** Sealed segments that go. */
  readonly remove: readonly Segment[]
  /** Stands where the removed ones stood: sealed, on disk, its index beside it. */
  readonly insert?: Segment
  /** New log start offsets by partition id; a lower one than there is changes nothing. */
  readonly starts?: ReadonlyMap<number, number>
  readonly cleaned?: ChainFacts['cleaned']
  /** By stream: records that go before every upstream has them, added to those so far. */
  readonly dropped?: ReadonlyMap<string, number>
  readonly holes?: readonly Hole[]
}

/** What the manifest says beside the segments, once the plan is carried out. */
export function factsAfter(
  before: ChainFacts,
  { starts, cleaned, dropped, holes }: Rearrangement,
  partitions: Iterable<LogPartition>,
): ChainFacts {
  const facts: { -readonly [K in keyof ChainFacts]: ChainFacts[K] } = { ...before }
  // from the first change on they are written down: what is there no longer tells where a partition began
  facts.starts = [...partitions]
    .filter(({ durableOffset }) => durableOffset > 0)
    .map(({ id, logStartOffset }) => [id, Math.max(logStartOffset, starts?.get(id) ?? 0)] as const)
  if (cleaned !== undefined) facts.cleaned = { ...facts.cleaned, ...cleaned }
  if (holes !== undefined && holes.length > 0) facts.holes = [...(facts.holes ?? []), ...holes]
  if (dropped !== undefined && dropped.size > 0) {
    const sums = { ...facts.dropped }
    for (const [stream, records] of dropped) sums[stream] = (sums[stream] ?? 0) + records
    facts.dropped = sums
  }
  return facts
}

/** Its line in the manifest. */
export function listed(segment: Segment): Manifest['segments'][number] {
  const { id, firstCommit, lastCommit, bytes, isSealed, sealedAt, isRewritten, isSalvaged } = segment
  if (!isSealed) return { id, firstCommit }
  return {
    id,
    firstCommit,
    lastCommit,
    bytes,
    ...(sealedAt === null ? {} : { sealedAt }),
    ...(isRewritten ? { isRewritten } : {}),
    ...(isSalvaged ? { isSalvaged } : {}),
  }
}
