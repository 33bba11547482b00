/**
 * Where to go on from, decided from what upstream says, what the edge remembers and what its log holds:
 *
 *   upstream has a checkpoint N
 *     N above the log's end                      -> HW_CHECKPOINT_AHEAD: this log is an older copy; stop
 *     its proof is not that of the log's record   -> HW_CHECKPOINT_MISMATCH: another log; stop
 *     N below what it acknowledged before         -> N, and a warning: upstream lost data, it is sent again
 *     N below the log's start                     -> N, and a warning: retention removed records before they were sent
 *   upstream has none
 *     the edge remembers N for the same place     -> N: the checkpoint expired there (Kafka: offsets.retention.minutes)
 *     else                                        -> the log's start
 */
import { assert, type LogSource, type PartitionState, partitionKey } from '../broker/index.ts'
import { CheckpointAheadError, CheckpointMismatchError } from './errors.ts'
import { logProof } from './proof.ts'
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
}

/** @throws CheckpointAheadError, CheckpointMismatchError */
export async function decideStart(
  log: LogSource,
  partitions: readonly PartitionState[],
  recovered: Recovered,
  cached: CachedCheckpoint | null,
): Promise<Start> {
  const positions = new Map<string, number>()
  const warnings: string[] = []
  const remembered = cached?.incarnation === log.identity.incarnation ? cached.positions : {}
  for (const state of partitions) {
    const key = partitionKey(state.stream, state.partition)
    const found = recovered.partitions.get(key)
    assert(found !== undefined, 'upstream answers for every partition that it is asked about')
    const memory = remembered[key]
    const known = memory !== undefined && memory.place === found.place ? memory.next : null
    const next = found.next ?? known
    if (next !== null && next > state.durableOffset) {
      throw new CheckpointAheadError(key, next, state.durableOffset)
    }
    await checkProof(log, state, found)
    if (found.next !== null && known !== null && known > found.next) {
      warnings.push(`upstream lost ${known - found.next} acknowledged records of ${key}; they are sent again`)
    }
    if (next !== null && next < state.logStartOffset) {
      warnings.push(
        `retention removed ${state.logStartOffset - next} records of ${key} before they were sent`,
      )
    }
    positions.set(key, next ?? state.logStartOffset)
  }
  return { positions, warnings }
}

async function checkProof(log: LogSource, state: PartitionState, found: RecoveredPartition): Promise<void> {
  const { next, proof } = found
  if (next === null || proof === null || next - 1 < state.logStartOffset) return
  const own = await logProof(log, state.stream, state.partition, next)
  if (own === null || own === proof) return
  throw new CheckpointMismatchError(
    `upstream has another record than this log at ${partitionKey(state.stream, state.partition)} offset ${next - 1}`,
    'this log was restored or cloned and written since; stop it, give it another name with `headwater rename NAME`, and start it',
  )
}
