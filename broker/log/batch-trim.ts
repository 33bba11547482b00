/**
 * Takes records out of a stored batch, offsets and all else kept. Compaction may put batches together while a reader stands between
 * them: what it has already is then cut off, so that nobody sees a record twice. Sync leaves out what an upstream does not want.
 */
import { BatchFilter, type Keep } from './compaction/batch-filter.ts'
import { BatchMerger } from './compaction/batch-merger.ts'

/** @returns the batch without the records below `fromOffset`; null when none is left. */
export function trimBatch(batch: Buffer, fromOffset: number): Buffer | null {
  return filterBatch(batch, ({ offset }) => offset >= fromOffset)
}

/** Space to work in; one serves all batches, one at a time. */
const filter = new BatchFilter()

/**
 * @param batch one that a reader of the log got
 * @returns the batch with the records that stay: the same buffer when all do; null when none does.
 */
export function filterBatch(batch: Buffer, keep: Keep): Buffer | null {
  let kept: Buffer | null = null
  const merger = new BatchMerger(Number.POSITIVE_INFINITY, filter, ({ bytes }) => {
    kept = bytes
  })
  merger.add(0, batch, keep)
  merger.cut()
  return kept
}
