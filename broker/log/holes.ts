/** Offsets that are lost: gaps that nothing but damage explains. */
import type { Hole } from './manifest.ts'
import type { LogPartition } from './partition.ts'
import type { Segment } from './segment.ts'
import type { SegmentIndex } from './segment-index.ts'

/** Gaps beside salvaged segments that no hole names yet. */
export function gapsBesideSalvaged(
  partitions: Iterable<LogPartition>,
  active: { segment: Segment; index: SegmentIndex },
  known: readonly Hole[],
  at: number,
): Hole[] {
  const holes: Hole[] = []
  for (const { id, spans, logStartOffset, durableOffset } of partitions) {
    const own = active.index.partitions.get(id)
    const last = {
      segment: active.segment,
      firstOffset: own?.firstOffset ?? durableOffset,
      nextOffset: durableOffset,
    }
    let from = logStartOffset
    let before: Segment | null = null
    for (const span of [...spans, last]) {
      const cause = [before, span.segment].find((segment) => segment?.isSalvaged === true)
      const isByCompaction = before?.isRewritten === true || span.segment.isRewritten
      const start = afterHoles(known, id, from)
      if (span.firstOffset > start && cause != null && !isByCompaction) {
        holes.push({ id, from: start, to: span.firstOffset, reason: `segment ${cause.id} was salvaged`, at })
      }
      from = Math.max(from, span.nextOffset)
      before = span.segment
    }
  }
  return holes
}

/** The first offset from `from` on that no hole covers. */
export function afterHoles(holes: readonly Hole[], id: number, from: number): number {
  let at = from
  for (const hole of holes.toSorted((a, b) => a.from - b.from)) {
    if (hole.id === id && hole.from <= at) at = Math.max(at, hole.to)
  }
  return at
}
