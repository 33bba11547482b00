/**
 * `headwater log repair`: what `verify` finds damaged is written anew without it. Whole batches stay, the offsets of the others become
 * holes that are known, and the damaged segment goes to the quarantine. Reading passes over damage anyway: repair makes it final.
 */
import type { Chain } from './chain.ts'
import { DamagedSegmentError } from './damaged-segment.ts'
import type { Segment } from './segment.ts'
import { type VerifiedHole, type VerifyProblem, type VerifyProgress, verifyChains } from './verify.ts'

export interface RepairReport {
  readonly problemsBefore: number
  readonly repairedSegments: number
  /** Offsets that are known to be lost, now. */
  readonly holes: readonly VerifiedHole[]
  /** What is still not right. */
  readonly problems: readonly VerifyProblem[]
  readonly isWhole: boolean
}

export async function repairChains(
  chains: readonly Chain[],
  onProgress: (progress: VerifyProgress) => void,
): Promise<RepairReport> {
  const before = await verifyChains(chains, onProgress)
  // a gap is seen in the first batch after it: what is damaged stands before
  const damaged = before.problems.filter(({ isGap }) => isGap !== true)
  const places = new Set(damaged.map(({ place }) => place))
  let repairedSegments = 0
  for (const chain of chains) {
    const isDamaged = ({ id }: Segment) => places.has(`${chain.name}/${id}`)
    // only a sealed segment is written anew
    if (isDamaged(chain.active)) await chain.seal()
    for (const segment of chain.row.sealed.filter(isDamaged)) {
      await chain.repair(new DamagedSegmentError(segment, []))
      repairedSegments++
    }
  }
  const after = before.problems.length === 0 ? before : await verifyChains(chains, onProgress)
  const { holes, problems, isWhole } = after
  return {
    problemsBefore: before.problems.length + before.problemsLeftOut,
    repairedSegments,
    holes,
    problems,
    isWhole,
  }
}
