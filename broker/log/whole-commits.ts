/**
 * Reads a chain from a commit to a commit as it stands: batches and notes, damaged ones included, in steps of whole commits.
 * Between two steps nothing is held: segments may be sealed, replaced or dropped, and the next step goes on from the next commit
 * in what stands there then. What LevelDB itself cannot read is passed over and named. For a backup and a dump.
 */
import { LogUnavailableError } from '../errors.ts'
import type { Entry, Store } from '../storage/store.ts'
import type { Chain } from './chain.ts'
import { segmentOf } from './chain-reader.ts'
import { commitKey, commitOf, idOf, NOTE_ID } from './commit-key.ts'
import { DamagedSegmentError } from './damaged-segment.ts'
import type { Segment } from './segment.ts'

/** A stretch of commits that LevelDB cannot read, or passes over without a word; both ends inclusive. */
export interface Unreadable {
  readonly from: number
  readonly to: number
  readonly reason: string
}

export interface CommitsStep {
  readonly segment: Segment
  /** In key order; the last commit is whole. */
  readonly entries: readonly Entry[]
  /** The commit to go on from. */
  readonly next: number
  readonly unreadable: readonly Unreadable[]
}

/** A chain whose storage is away opens again by itself: a reader waits so long for it. */
const AWAY_MS_MAX = 30_000
const AWAY_POLL_MS = 100
/** What keeps a whole store from being opened or read, and passes: to leave it out for that would be a loss. */
const PASSING = /No space left|Too many open files|Permission denied|Read-only file system|allocate memory/i

/**
 * @param toCommit inclusive; a durable one
 * @param bytesMax a step ends with the commit that reaches it, so it is as large as that commit at most
 * @returns null when nothing is left up to `toCommit`
 * @throws LogUnavailableError when the chain is closed, or its storage stays away
 */
export function readCommits(
  chain: Chain,
  fromCommit: number,
  toCommit: number,
  bytesMax: number,
): Promise<CommitsStep | null> {
  return patiently(chain, async () => {
    const segment = segmentOf(chain, fromCommit)
    const from = Math.max(fromCommit, segment.firstCommit)
    const to = Math.min(segment.lastCommit, toCommit)
    return from > to ? null : readStep(chain, segment, from, to, bytesMax)
  })
}

/** Asks the chain, and again after it was opened again. @throws LogUnavailableError */
export async function patiently<T>(chain: Chain, ask: () => Promise<T>): Promise<T> {
  for (let waitedMs = 0; ; waitedMs += AWAY_POLL_MS) {
    if (chain.condition.state === 'open') {
      try {
        return await ask()
      } catch (error) {
        // the condition changes while it awaits
        if (!isAway(chain, error)) throw error
      }
    }
    if (chain.condition.state === 'closed' || waitedMs >= AWAY_MS_MAX) throw chain.unavailable()
    await new Promise((resolve) => setTimeout(resolve, AWAY_POLL_MS))
  }
}

function isAway(chain: Chain, error: unknown): boolean {
  return chain.condition.state !== 'open' || error instanceof LogUnavailableError
}

async function readStep(
  chain: Chain,
  segment: Segment,
  from: number,
  to: number,
  bytesMax: number,
): Promise<CommitsStep> {
  const failed = async (end: number, error: unknown): Promise<CommitsStep> => {
    const reason = (error as Error).message
    if (isAway(chain, error) || PASSING.test(reason)) throw error
    // what can be read of it is then in another one; where not even that can be done it is left out
    if (error instanceof DamagedSegmentError) await chain.repair(error).catch(() => undefined)
    // replaced or dropped between two tries: what stands there now is read instead
    if (!chain.segments.includes(segment)) return { segment, entries: [], next: from, unreadable: [] }
    return { segment, entries: [], next: end + 1, unreadable: [{ from, to: end, reason }] }
  }
  let isOpen = false
  const read = async (last: number): Promise<CommitsStep> => {
    const found = await chain.cache.use(segment, ({ store }) => {
      isOpen = true
      return wholeCommits(store, from, last, bytesMax)
    })
    // only where something was taken out may a commit be without an entry
    const { isRewritten, isSalvaged } = segment
    const unreadable = isRewritten || isSalvaged ? [] : missingCommits(found.entries, from, found.next)
    return { segment, ...found, unreadable }
  }
  try {
    return await read(to)
  } catch (error) {
    if (!isOpen || from === to || error instanceof DamagedSegmentError)
      return failed(isOpen ? from : to, error)
  }
  // what is damaged lies somewhere in the step: commit by commit up to there, and on behind it
  try {
    return await read(from)
  } catch (error) {
    return failed(from, error)
  }
}

async function wholeCommits(
  store: Store,
  from: number,
  to: number,
  bytesMax: number,
): Promise<{ entries: Entry[]; next: number }> {
  const end = commitKey(to + 1, 0)
  const entries = await store.range({ from: commitKey(from, 0), to: end, bytesMax })
  const last = entries.at(-1)
  if (last === undefined || bytesOf(entries) < bytesMax) return { entries, next: to + 1 }
  const commit = commitOf(last.key)
  if (idOf(last.key) !== NOTE_ID) {
    const rest = { from: commitKey(commit, idOf(last.key) + 1), to: commitKey(commit + 1, 0) }
    for (const entry of await store.range({ ...rest, bytesMax: Number.MAX_SAFE_INTEGER })) entries.push(entry)
  }
  return { entries, next: commit + 1 }
}

function missingCommits(entries: readonly Entry[], from: number, next: number): Unreadable[] {
  const missing: Unreadable[] = []
  const reason = 'LevelDB passes over them'
  let expected = from
  for (const { key } of entries) {
    const commit = commitOf(key)
    if (commit > expected) missing.push({ from: expected, to: commit - 1, reason })
    expected = commit + 1
  }
  if (expected < next) missing.push({ from: expected, to: next - 1, reason })
  return missing
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
}
