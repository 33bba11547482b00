/**
 * Cuts the front off a stored batch, offsets and all else kept. Compaction may put batches together while a reader stands between
 * them: what it has already is then cut off, so that nobody sees a record twice. Rare.
 */
import { BatchFilter } from './compaction/batch-filter.ts'
import { BatchMerger } from './compaction/batch-merger.ts'

/** @returns the batch without the records below `fromOffset`; null when none is left. */
export function trimBatch(batch: Buffer, fromOffset: number): Buffer | null {
  let trimmed: Buffer | null = null
  const merger = new BatchMerger(Number.POSITIVE_INFINITY, new BatchFilter(), ({ bytes }) => {
    trimmed = bytes
  })
  merger.add(0, batch, ({ offset }) => offset >= fromOffset)
  merger.cut()
  return trimmed
}
