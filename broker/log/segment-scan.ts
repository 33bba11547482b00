/** Work that passes over whole sealed segments, for compaction and for what retention leaves. */
import type { EntryScan } from '../storage/entry-scan.ts'
import type { Chain } from './chain.ts'
import { commitKey } from './commit-key.ts'
import { DamagedSegmentError } from './damaged-segment.ts'
import type { Segment } from './segment.ts'

/**
 * Runs `read` with a scan of all that the segment holds.
 * @returns what it returns; null where the segment is no longer the chain's, also because it was damaged and has been replaced
 */
export async function scanSegment<T>(
  chain: Chain,
  segment: Segment,
  read: (scan: EntryScan) => Promise<T>,
): Promise<T | null> {
  if (!chain.segments.includes(segment)) return null
  const range = { from: commitKey(segment.firstCommit, 0), to: commitKey(segment.lastCommit + 1, 0) }
  try {
    return await chain.cache.scan(segment, range, read)
  } catch (error) {
    if (!chain.segments.includes(segment)) return null
    if (!(error instanceof DamagedSegmentError)) throw error
    await chain.repair(error)
    return null
  }
}
