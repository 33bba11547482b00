/** The newest time in a chain, from its indexes alone: what a right clock has already passed. */
import type { ClockFacts } from '../clock/facts.ts'
import type { Chain } from './chain.ts'
import type { PartitionIndex } from './partition-index.ts'

/**
 * Times that an untrusted clock gave do not count; nor do a sealed segment's where one gave any of them.
 * @returns ms since 1970; 0 where a trusted clock gave none
 */
export async function newestTrustedTime(chain: Chain, clock: ClockFacts | undefined): Promise<number> {
  let newest = 0
  for (const { firstCommit, lastCommit, summaries } of chain.row.sealed) {
    if (clock !== undefined && !clock.isTrustedThroughout(firstCommit, lastCommit)) continue
    for (const { maxTimestamp } of summaries) newest = Math.max(newest, maxTimestamp)
  }
  await chain.cache.use(chain.active, async ({ index }) => {
    for (const entries of index.partitions.values()) {
      if (isTrusted(entries, clock)) newest = Math.max(newest, entries.maxTimestamp)
    }
  })
  return newest
}

/** Whether the batch that brought the greatest timestamp was stamped by a trusted clock. */
function isTrusted(entries: PartitionIndex, clock: ClockFacts | undefined): boolean {
  const commit = entries.commitAt(entries.findTime(entries.maxTimestamp))
  return clock === undefined || clock.isTrustedThroughout(commit, commit)
}
