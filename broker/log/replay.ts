/**
 * Reads a segment from its first commit to its last, in order, checking what it sees. Start, the rebuilding of an index
 * and `log verify` all read through here, so that they agree on what is whole.
 */
import { type EntryScan, type KeyRange, scanStore } from '../storage/entry-scan.ts'
import type { Store } from '../storage/store.ts'
import { commitKey, commitOf, idOf, NOTE_ID } from './commit-key.ts'
import { decodeNote, type Note } from './note.ts'
import { baseOffsetOf, batchFault, maxTimestampOf, nextOffsetOf, recordCountOf } from './record-batch.ts'

/** Bytes read at once: bounds the memory of a start and of a verify. */
const STEP_BYTES = 1024 * 1024

export interface ReplayedBatch {
  readonly baseOffset: number
  readonly nextOffset: number
  readonly records: number
  readonly bytes: number
  readonly maxTimestamp: number
  /** There during the call only: what is to be kept is copied. */
  readonly raw: Buffer
}

export interface ReplayVisitor {
  batch(commit: number, id: number, batch: ReplayedBatch): void
  note?(commit: number, note: Note): void
  /** An entry of `bytes` bytes, or a stretch of commits (id null), that is not whole. It is passed over. */
  fault?(commit: number, id: number | null, reason: string, bytes: number): void
  /** After each step, with the bytes read so far. */
  progress?(bytes: number): void
  /** After each step: lets others go first. @returns false to end here */
  step?(): Promise<boolean>
}

export interface ReplayResult {
  /** 0 when the segment holds nothing. */
  readonly lastCommit: number
  readonly bytes: number
}

/** @param toCommit read up to this commit, inclusive. */
export function replayStore(
  store: Store,
  firstCommit: number,
  toCommit: number,
  visitor: ReplayVisitor,
): Promise<ReplayResult> {
  return replaySegment(scanStore(store, replayRange(toCommit)), firstCommit, visitor)
}

/** What a replay up to this commit, inclusive, has to see. */
export function replayRange(toCommit: number): KeyRange {
  return { from: commitKey(0, 0), to: commitKey(toCommit + 1, 0) }
}

export async function replaySegment(
  scan: EntryScan,
  firstCommit: number,
  visitor: ReplayVisitor,
): Promise<ReplayResult> {
  let lastCommit = 0
  let bytes = 0
  const take = (key: Buffer, value: Buffer): void => {
    const commit = commitOf(key)
    const expected = lastCommit === 0 ? firstCommit : lastCommit + 1
    if (commit !== lastCommit && commit !== expected) {
      visitor.fault?.(commit, null, `commits ${expected} to ${commit - 1} are missing`, 0)
    }
    lastCommit = commit
    visit(commit, idOf(key), value, visitor)
  }
  for (;;) {
    const read = await scan.next(STEP_BYTES, take)
    if (read === 0) break
    bytes += read
    visitor.progress?.(bytes)
    if (visitor.step !== undefined && !(await visitor.step())) break
  }
  return { lastCommit, bytes }
}

function visit(commit: number, id: number, value: Buffer, visitor: ReplayVisitor): void {
  if (id === NOTE_ID) {
    // what it decodes to has parts of it
    const note = decodeNote(Buffer.from(value))
    if (typeof note === 'string') visitor.fault?.(commit, id, note, value.length)
    else visitor.note?.(commit, note)
    return
  }
  const fault = batchFault(value)
  if (fault !== null) {
    visitor.fault?.(commit, id, fault, value.length)
    return
  }
  visitor.batch(commit, id, replayedBatch(value))
}

/** @param raw a whole batch */
export function replayedBatch(raw: Buffer): ReplayedBatch {
  return {
    baseOffset: baseOffsetOf(raw),
    nextOffset: nextOffsetOf(raw),
    records: recordCountOf(raw),
    bytes: raw.length,
    maxTimestamp: maxTimestampOf(raw),
    raw,
  }
}
