/** How large the segments of a chain get: what goes by size goes by whole segments. */
import type { CatalogStream, StreamDefinition } from './catalog.ts'
import type { DiskBudget } from './stream-policy.ts'

/** Below it what a segment's own files take would show. */
const SEGMENT_BYTES_MIN = 1_048_576

export interface SegmentSizeOptions {
  readonly streams: readonly StreamDefinition[]
  /** At most. */
  readonly segmentBytes: number
  readonly budget?: DiskBudget
}

/** A window is kept to within a sixteenth: its segments are that much smaller. */
export function segmentBytesOf(
  chain: string,
  streams: readonly CatalogStream[],
  { streams: definitions, segmentBytes, budget }: SegmentSizeOptions,
): number {
  const own = new Set(streams.filter((stream) => stream.chain === chain).map(({ name }) => name))
  const windows = definitions.flatMap(({ name, policy }) =>
    own.has(name) ? (policy?.retentionBytes ?? []) : [],
  )
  const budgets = budget?.bytesMax == null ? [] : [budget.bytesMax / 2]
  return Math.min(segmentBytes, Math.max(SEGMENT_BYTES_MIN, Math.min(...windows, ...budgets) / 16))
}
