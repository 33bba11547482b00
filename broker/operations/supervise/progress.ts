/**
 * Whether the broker does what it is there for, from what status says twice: the commits that appends wait for, and the upstreams that have
 * something to send. What is known to be wrong and is tried again by itself (a full disk, one that fails, a link that is away) is no halt: a new
 * process would find the same.
 */
import type { UpstreamStatus } from '../operations.ts'

/** An SD card that tidies up can take tens of seconds for a write. */
export const COMMIT_MS_MAX = 60_000
/** Longer than a replicator gives a call before it ends it, and that call to end (sync/link/watchdog.ts): twice 610 s. */
export const UPSTREAM_MS_MAX = 1_220_000

/** What is looked at, all of it from status. */
export interface ProgressFacts {
  readonly log: {
    readonly condition: string
    /** How long appends have waited without a commit coming to its end, ms. */
    readonly waitingMs: number
    readonly space: { readonly isFull: boolean }
  }
  readonly upstreams: readonly Pick<
    UpstreamStatus,
    | 'name'
    | 'kind'
    | 'state'
    | 'since'
    | 'lagRecords'
    | 'sentRecords'
    | 'filteredRecords'
    | 'passedOverRecords'
    | 'skippedRecords'
    | 'wireBytes'
    | 'tries'
    | 'stalls'
    | 'link'
  >[]
}

/** When an upstream with work last changed in anything. */
export interface Seen {
  readonly upstreams: ReadonlyMap<string, { readonly signs: string; readonly at: number }>
}

export const NOTHING_SEEN: Seen = { upstreams: new Map() }

/**
 * @param at ms of a clock that nobody sets
 * @returns what is to be handed in the next time, and what has come to a halt
 */
export function judgeProgress(
  before: Seen,
  { log, upstreams }: ProgressFacts,
  at: number,
): { readonly seen: Seen; readonly halted: string | null } {
  const seen = new Map<string, { signs: string; at: number }>()
  const halted: string[] = []
  if (log.condition === 'open' && !log.space.isFull && log.waitingMs > COMMIT_MS_MAX) {
    halted.push(`no commit for ${seconds(log.waitingMs)} s while appends wait`)
  }
  for (const upstream of upstreams) {
    if (!isAtWork(upstream)) continue
    const signs = signsOf(upstream)
    const last = before.upstreams.get(upstream.name)
    const since = last?.signs === signs ? last.at : at
    seen.set(upstream.name, { signs, at: since })
    if (at - since > UPSTREAM_MS_MAX) {
      halted.push(
        `upstream ${upstream.name} is ${upstream.state} for ${seconds(at - since)} s without a sign`,
      )
    }
  }
  return { seen: { upstreams: seen }, halted: halted.length === 0 ? null : halted.join('; ') }
}

/**
 * Not one that waits for its time, its share of the bandwidth, a person or the next try. Nor an archive: a disk that does not answer is the same for the
 * next process, and one that waits for it cannot even be ended.
 */
function isAtWork({ kind, state, lagRecords, link }: ProgressFacts['upstreams'][number]): boolean {
  if (kind === 'archive' || lagRecords === 0 || link.bandwidth?.isWaiting === true) return false
  return state === 'sending' || state === 'recovering'
}

function signsOf(upstream: ProgressFacts['upstreams'][number]): string {
  const { state, since, sentRecords, filteredRecords, passedOverRecords, skippedRecords } = upstream
  const { wireBytes, tries, stalls } = upstream
  return [
    state,
    since,
    sentRecords,
    filteredRecords,
    passedOverRecords,
    skippedRecords,
    wireBytes,
    tries,
    stalls,
  ].join(' ')
}

function seconds(ms: number): number {
  return Math.round(ms / 1000)
}
