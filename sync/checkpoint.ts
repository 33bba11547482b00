/**
 * Where to go on from, decided from what upstream says, what the edge remembers and what its log holds. "Looks back" asks for the
 * last record of this log that upstream really has, where upstream can tell:
 *
 *   upstream has a checkpoint N
 *     N above the log's end                      -> HW_CHECKPOINT_AHEAD: this log is an older copy, or lost its end; refused
 *     its proof is not that of the log's record   -> HW_CHECKPOINT_MISMATCH: another log; refused
 *     N below what it acknowledged before         -> looks back: behind what is there, at least N, and a warning
 *     N below the log's start                     -> N, and a warning: retention removed records before they were sent
 *   upstream lost records that it acknowledged    -> behind what is left of this log there, and a warning
 *   upstream has none
 *     the edge remembers N for the same place     -> it expired there (Kafka: offsets.retention.minutes): N, or further where
 *                                                    it looks back and sees more; what is remembered may be a second old
 *     the edge remembers another place            -> as below, and a warning: a new topic, or another cluster
 *     else                                        -> looks back: behind the records of this log, and a warning; or the log's start
 *
 * Refused is the stream, with all of its partitions. The others are where they say they are, proof by proof, and go on.
 */
import { assert, type LogSource, type PartitionState, partitionKey } from '../broker/index.ts'
import { CheckpointAheadError, CheckpointMismatchError, type UpstreamError } from './errors.ts'
import { logProof } from './proof.ts'
import { type RefusedStreams, unlessRefused } from './refused-streams.ts'
import type { Recovered, RecoveredPartition } from './upstream.ts'

/** What the edge remembers of an upstream: for status and retention while it is away, and against expiry. Not the truth. */
export interface CachedCheckpoint {
  readonly incarnation: string
  /** By `partitionKey`. */
  readonly positions: Readonly<Record<string, { readonly next: number; readonly place: string }>>
}

/** Keeps the cached checkpoints of all upstreams, by their name. A lost or stale one costs nothing but its use. */
export interface CheckpointCache {
  load(upstream: string): Promise<CachedCheckpoint | null>
  save(upstream: string, checkpoint: CachedCheckpoint): Promise<void>
}

export interface Start {
  /** By `partitionKey`, the offset to go on from. */
  readonly positions: Map<string, number>
  readonly warnings: readonly string[]
  /** CheckpointAheadError, CheckpointMismatchError: nothing of these streams is in `positions`. */
  readonly refused: RefusedStreams
}

/** @throws what looking back throws */
export async function decideStart(
  log: LogSource,
  partitions: readonly PartitionState[],
  recovered: Recovered,
  cached: CachedCheckpoint | null,
): Promise<Start> {
  const remembered = cached?.incarnation === log.identity.incarnation ? cached.positions : {}
  const refused = new Map<string, UpstreamError>()
  const decide = async (state: PartitionState) => {
    const key = partitionKey(state.stream, state.partition)
    const found = recovered.partitions.get(key)
    assert(found !== undefined, 'upstream answers for every partition that it is asked about')
    await checkProof(log, state, found)
    const { next, warnings } = await standing(key, state, found, remembered[key])
    if (next !== null && next > state.durableOffset) {
      throw new CheckpointAheadError(key, next, state.durableOffset).of(state.stream)
    }
    const missed = state.logStartOffset - (next ?? state.logStartOffset)
    if (missed > 0 && warnings.length === 0) {
      warnings.push(`retention removed ${missed} records of ${key} before they were sent`)
    }
    decisions.set(state, { position: next ?? state.logStartOffset, warnings })
  }
  const decisions = new Map<PartitionState, { position: number; warnings: readonly string[] }>()
  await allOf(partitions.map((state) => unlessRefused(refused, () => decide(state))))
  const positions = new Map<string, number>()
  const warnings: string[] = []
  for (const state of partitions) {
    const decision = decisions.get(state)
    if (decision === undefined || refused.has(state.stream)) continue
    positions.set(partitionKey(state.stream, state.partition), decision.position)
    warnings.push(...decision.warnings)
  }
  return { positions, warnings, refused }
}

/** All results, or the first error in their order, so that the same state gives the same error. */
async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(work)
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason
    return outcome.value
  })
}

/** Where upstream stands in one partition; null when it has nothing of it. */
async function standing(
  key: string,
  state: PartitionState,
  found: RecoveredPartition,
  memory: { readonly next: number; readonly place: string } | undefined,
): Promise<{ next: number | null; warnings: string[] }> {
  const isSame = memory !== undefined && memory.place === found.place
  const known = isSame ? memory.next : null
  if (found.acknowledged !== undefined) {
    const before = Math.max(found.acknowledged, known ?? 0)
    const tell = found.isPartly ? lostPartly : lost
    return { next: found.next, warnings: tell(key, state, found.next, before) }
  }
  if (found.next !== null && (known === null || known <= found.next)) {
    return { next: found.next, warnings: [] }
  }
  if (known !== null) {
    // The checkpoint expired, or fell back.
    const there = await lookBack(found)
    const next = Math.max(there?.next ?? 0, found.next ?? known)
    if (found.next === null) return { next, warnings: [] }
    if (Math.max(next, there?.end ?? 0) < known) return { next, warnings: lost(key, state, next, known) }
    const fell = `upstream's checkpoint of ${key} fell back from ${known} to ${found.next}, its records are there: nothing is sent twice`
    return { next, warnings: [fell] }
  }
  const there = state.durableOffset === 0 ? null : await lookBack(found)
  const warnings = []
  if (memory !== undefined && memory.next > (there?.end ?? 0)) {
    const what = `${key} goes to another place than before: a topic that was made anew, or another cluster`
    const again = resent(state, there?.end ?? null, memory.next)
    warnings.push(`${what}; of ${memory.next - (there?.end ?? 0)} records that are not there ${again}`)
  } else if (there !== null) {
    warnings.push(
      `upstream has no checkpoint of ${key} but its records below ${there.end}: it goes on behind them`,
    )
  }
  return { next: there?.next ?? null, warnings }
}

async function lookBack(found: RecoveredPartition): Promise<{ next: number; end: number } | null> {
  const seen = await found.lookBack?.()
  return seen?.kind === 'found' ? { next: seen.next, end: seen.end ?? seen.next } : null
}

function lost(key: string, state: PartitionState, next: number | null, before: number): string[] {
  const count = before - (next ?? 0)
  if (count <= 0) return []
  return [`upstream lost ${count} acknowledged records of ${key}: ${resent(state, next, before)}`]
}

function lostPartly(key: string, state: PartitionState, next: number | null, before: number): string[] {
  const from = Math.max(next ?? 0, state.logStartOffset)
  const gone = from > (next ?? 0) ? ', but for those that retention removed here' : ''
  const what = `upstream lost some acknowledged records of ${key} between ${next ?? 0} and ${before}`
  return [`${what}: they are sent again${gone}, the others there are not`]
}

function resent({ logStartOffset }: PartitionState, next: number | null, before: number): string {
  const from = Math.max(next ?? 0, logStartOffset)
  const again = Math.max(0, before - from)
  const gone = before - (next ?? 0) - again
  const rest = gone === 0 ? '' : `, ${gone} are gone: retention removed them here`
  return `${again} are sent again${rest}`
}

async function checkProof(log: LogSource, state: PartitionState, found: RecoveredPartition): Promise<void> {
  const { next, proof } = found
  if (next === null || proof === null || next - 1 < state.logStartOffset) return
  const own = await logProof(log, state.stream, state.partition, next)
  if (own === null || own === proof) return
  throw new CheckpointMismatchError(
    `upstream has another record than this log at ${partitionKey(state.stream, state.partition)} offset ${next - 1}`,
    'this log was restored or cloned and written since; stop it, give it another name with `headwater rename NAME`, and start it',
  ).of(state.stream)
}
