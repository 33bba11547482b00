/** From the open batches of a commit to the one LevelDB write that makes it durable: batches, then the note (note.ts). */
import { assert } from '../assert.ts'
import type { WriteBatch } from '../storage/store.ts'
import { commitKey, NOTE_ID } from './commit-key.ts'
import type { CommitState } from './commit-state.ts'
import { encodeNote } from './note.ts'
import type { LogPartition } from './partition.ts'
import { maxTimestampOf } from './record-batch.ts'

export interface SealedBatch {
  readonly partition: LogPartition
  readonly baseOffset: number
  readonly nextOffset: number
  readonly records: number
  readonly bytes: number
  readonly maxTimestamp: number
}

export interface SealedCommit {
  readonly write: WriteBatch
  readonly batches: readonly SealedBatch[]
  /** Keys and values together. */
  readonly bytes: number
}

/**
 * Gives the batches their offsets and checksums, and takes what the states have added.
 * @param write an empty write of the active segment's store; it copies what is put
 * @param partitions those that have an open batch
 */
export function sealCommit(
  write: WriteBatch,
  commit: number,
  partitions: readonly LogPartition[],
  states: readonly CommitState[],
): SealedCommit {
  const batches: SealedBatch[] = []
  let bytes = 0
  for (const partition of partitions) {
    const builder = partition.open
    assert(builder !== null, 'a touched partition has an open batch')
    const raw = builder.seal(partition.durableOffset)
    const key = commitKey(commit, partition.id)
    write.put(key, raw)
    bytes += key.length + raw.length
    batches.push({
      partition,
      baseOffset: partition.durableOffset,
      nextOffset: partition.durableOffset + builder.count,
      records: builder.count,
      bytes: raw.length,
      maxTimestamp: maxTimestampOf(raw),
    })
  }
  const added: Record<string, unknown> = {}
  for (const state of states) {
    const pending = state.takePending(commit)
    if (pending !== undefined) added[state.name] = pending
  }
  // a commit that only answers listeners still needs an entry: an empty write would not be fsynced
  if (Object.keys(added).length > 0 || batches.length === 0) {
    const key = commitKey(commit, NOTE_ID)
    const note = encodeNote({ states: added })
    write.put(key, note)
    bytes += key.length + note.length
  }
  return { write, batches, bytes }
}
