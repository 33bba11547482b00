/**
 * Whether streams are to be compacted, and how far: a pure plan.
 *
 * A stream is clean up to a commit: of each key that has a record up to there, older ones are gone. What came since is dirty. A
 * round makes a longer stretch clean; it ends where an upstream has not got everything yet, so that what upstream gets is what
 * was published. `cleaned` in the manifest (manifest.ts) says how far each round came and when: a tombstone may go once the
 * values before it have been gone for the stream's delay, so that a reader on its way sees one or the other.
 */
import type { ChainFacts } from './manifest.ts'
import type { PlannedStream } from './retention-plan.ts'
import type { Segment } from './segment.ts'

/** `at` of a step whose tombstones are gone. */
export const PURGED = 0
/** More steps than this are put together: tombstones of the older one then wait as long as those of the younger. */
const STEPS_MAX = 16

export type CleanStep = readonly [commit: number, at: number | null]

export interface StreamRound {
  readonly stream: PlannedStream
  /** Clean so far. */
  readonly cleanTo: number
  /** Clean after this round. */
  readonly toCommit: number
  /** Tombstones up to this commit go; 0 is none. */
  readonly tombstonesTo: number
}

export interface CompactionInput {
  /** Sealed segments in commit order. */
  readonly sealed: readonly Segment[]
  /** Those of the chain that are compacted. */
  readonly streams: readonly PlannedStream[]
  readonly cleaned: ChainFacts['cleaned']
  readonly dirtyShare: number
  /** Whatever is dirty is enough. */
  readonly isForced: boolean
  /** ms since 1970, or null while no clock is to be trusted: then no tombstone goes. */
  readonly now: number | null
}

/** @returns the streams that take part; none when there is nothing to do. */
export function planCompaction(input: CompactionInput): StreamRound[] {
  const rounds = input.streams.map((stream) => roundOf(stream, input))
  const isWorth = rounds.some((round) => isDirtyEnough(round, input) || round.tombstonesTo > 0)
  return isWorth
    ? rounds.filter(({ cleanTo, toCommit, tombstonesTo }) => toCommit > cleanTo || tombstonesTo > 0)
    : []
}

function roundOf(stream: PlannedStream, { sealed, cleaned, now }: CompactionInput): StreamRound {
  const steps = cleaned?.[stream.name] ?? []
  const cleanTo = steps.at(-1)?.[0] ?? 0
  const floors = new Map(stream.partitions.map(({ id, floor }) => [id, floor]))
  let toCommit = cleanTo
  for (const { lastCommit, summaries } of sealed) {
    if (summaries.some(({ id, nextOffset }) => nextOffset > (floors.get(id) ?? Number.POSITIVE_INFINITY)))
      break
    toCommit = Math.max(toCommit, lastCommit)
  }
  const { tombstoneMs } = stream.policy
  const due = steps.filter(
    ([, at]) => at !== null && at !== PURGED && now !== null && at + tombstoneMs <= now,
  )
  return { stream, cleanTo, toCommit, tombstonesTo: due.at(-1)?.[0] ?? 0 }
}

function isDirtyEnough({ stream, cleanTo, toCommit }: StreamRound, input: CompactionInput): boolean {
  const ids = new Set(stream.partitions.map(({ id }) => id))
  let all = 0
  let dirty = 0
  for (const { lastCommit, summaries } of input.sealed) {
    for (const { id, bytes } of summaries) {
      if (!ids.has(id)) continue
      all += bytes
      if (lastCommit > cleanTo && lastCommit <= toCommit) dirty += bytes
    }
  }
  return dirty > 0 && (input.isForced || dirty >= all * input.dirtyShare)
}

/** The stream's steps after a round that came to `toCommit`. */
export function stepsAfter(
  steps: readonly CleanStep[],
  round: { readonly toCommit: number; readonly tombstonesTo: number },
  now: number | null,
): CleanStep[] {
  const after: CleanStep[] = steps.map(([commit, at]) => [commit, commit <= round.tombstonesTo ? PURGED : at])
  if (round.toCommit > (steps.at(-1)?.[0] ?? 0)) after.push([round.toCommit, now])
  // of those whose tombstones are gone the last one says it all
  while (after.length > 1 && after[0]![1] === PURGED && after[1]![1] === PURGED) after.shift()
  while (after.length > STEPS_MAX) after.splice(after[0]![1] === PURGED ? 1 : 0, 1)
  return after
}
