/**
 * What one chain knows of the clock that stamped its records: stretches of commits, each trusted, or untrusted with or without the
 * correction that was found later. Where nothing was ever wrong it is empty.
 */
import { type Epoch, type NotedEpoch, STEP_MS_MIN } from './epoch.ts'
import type { ClockFacts, CommitClock, RecordClock } from './facts.ts'
import { isTrusted } from './trust.ts'

export interface Stretch {
  /** Its first commit. */
  readonly commit: number
  isTrusted: boolean
  /** ms to add to its timestamps; null where it is trusted, or nobody knows. */
  correction: number | null
  /** Wall minus monotonic clock, while a correction can still come: in this boot. */
  difference: number | null
  /**
   * Where its first commit may hold records of the stretch before: what the old clock showed when it ended (`before`), and what the
   * new one showed then and when the commit was sealed.
   */
  readonly boundary: Boundary | null
}

export interface Boundary {
  readonly before: number
  readonly after: number
  readonly until: number
}

/** Past it the two oldest become one: the log's oldest records then only say that they are untrusted. */
export const STRETCHES_MAX = 256
/** Between a stamp and the clock's reading at a boundary: rounding, and what the clock was slewed. */
const READING_SLACK_MS = 50

export class StretchTable implements ClockFacts {
  #stretches: Stretch[] = []
  /** The epoch that was noted last. */
  last: NotedEpoch | null = null

  get stretches(): readonly Stretch[] {
    return this.#stretches
  }

  /** @param until what the last epoch's clock shows as the commit is sealed */
  note(epochs: readonly Epoch[], commit: number, until: number): void {
    for (const [i, epoch] of epochs.entries()) {
      this.#begin(epoch, commit, epochs[i + 1]?.before ?? until)
    }
  }

  #begin(epoch: Epoch, commit: number, until: number): void {
    const { bootId, trust, difference, beganAt, before } = epoch
    // the clock of a boot that is over is never known better
    if (this.last?.bootId !== bootId) for (const stretch of this.#stretches) stretch.difference = null
    if (isTrusted(trust)) this.#correct(difference)
    this.#stretches.push({
      commit,
      isTrusted: isTrusted(trust),
      correction: null,
      difference: isTrusted(trust) ? null : difference,
      boundary: before === null ? null : { before, after: Math.round(beganAt + difference), until },
    })
    this.last = { bootId, trust, difference, beganAt }
    this.#tidy()
  }

  /** A trusted clock differs from the monotonic one by `difference`: what differed otherwise in this boot was wrong by that much. */
  #correct(difference: number): void {
    for (const stretch of this.#stretches) {
      if (stretch.difference === null) continue
      const correction = difference - stretch.difference
      stretch.difference = null
      // it was right all along
      if (Math.abs(correction) <= STEP_MS_MIN) stretch.isTrusted = true
      else stretch.correction = correction
    }
  }

  /**
   * Stretches that say the same are one; what stands before the first is trusted. Those that share their first commit stay apart:
   * its records are told from one another by what each clock showed.
   */
  #tidy(): void {
    const tidied: Stretch[] = []
    for (const [i, stretch] of this.#stretches.entries()) {
      const previous = tidied.at(-1)
      const isLikeBefore = previous === undefined ? stretch.isTrusted : isAlike(previous, stretch)
      const isAlone = [previous, this.#stretches[i + 1]].every((other) => other?.commit !== stretch.commit)
      if (!isLikeBefore || !isAlone) tidied.push(stretch)
    }
    while (tidied.length > STRETCHES_MAX) {
      const [oldest] = tidied.splice(0, 2)
      tidied.unshift({ ...oldest!, isTrusted: false, correction: null, difference: null })
    }
    this.#stretches = tidied
  }

  /** Forgets what only concerns commits that the chain no longer has. */
  trim(firstCommit: number): void {
    // the first commit itself may hold records of the stretch before it
    const kept = this.#stretches.findLastIndex(({ commit }) => commit < firstCommit)
    if (kept > 0) this.#stretches.splice(0, kept)
    this.#tidy()
  }

  restore(stretches: readonly Stretch[], last: NotedEpoch | null): void {
    this.#stretches = [...stretches]
    this.last = last
  }

  of(commit: number): CommitClock | null {
    const stretches = this.#stretches
    let to = stretches.length - 1
    while (to >= 0 && stretches[to]!.commit > commit) to--
    let from = to
    while (from >= 0 && stretches[from]!.commit === commit && stretches[from]!.boundary !== null) from--
    const candidates = stretches.slice(Math.max(from, 0), to + 1)
    if (candidates.every((stretch) => stretch.isTrusted)) return null
    if (from === to) return (timestamp) => clockOf(stretches[to], timestamp)
    return (timestamp) => clockOf(stretches[nearest(stretches, from, to, timestamp)], timestamp)
  }

  isTrustedThroughout(fromCommit: number, toCommit: number): boolean {
    return this.#stretches.every(({ isTrusted, commit }, i) => {
      if (isTrusted || commit > toCommit) return true
      const next = this.#stretches[i + 1]
      return next !== undefined && next.commit + (next.boundary === null ? 0 : 1) <= fromCommit
    })
  }

  /** A commit with a boundary within it stands alone. */
  boundaries(): number[] {
    const commits = new Set<number>()
    for (const { commit, boundary } of this.#stretches) {
      commits.add(commit)
      if (boundary !== null) commits.add(commit + 1)
    }
    return [...commits]
  }
}

function isAlike(one: Stretch, other: Stretch): boolean {
  return (
    one.isTrusted === other.isTrusted &&
    one.correction === other.correction &&
    one.difference === null &&
    other.difference === null
  )
}

function clockOf(stretch: Stretch | undefined, timestamp: number): RecordClock | null {
  if (stretch === undefined || stretch.isTrusted) return null
  if (stretch.correction === null) return { trust: 'untrusted' }
  return { trust: 'corrected', correctedTimestamp: timestamp + stretch.correction }
}

/**
 * The stretch, of those that share a commit, whose clock showed the timestamp while it ran: the newest where several did, because
 * a record waits a moment for its commit and a step is longer; where none did, the one that came nearest.
 * @param from the stretch from before the commit; -1 is the trusted one before the table
 */
function nearest(stretches: readonly Stretch[], from: number, to: number, timestamp: number): number {
  let found = to
  let least = Number.POSITIVE_INFINITY
  for (let i = to; i >= from; i--) {
    const own = i === from ? null : stretches[i]!.boundary!
    const low = own?.after ?? Number.NEGATIVE_INFINITY
    const high = own?.until ?? stretches[i + 1]!.boundary!.before
    const distance = Math.max(0, low - READING_SLACK_MS - timestamp, timestamp - high - READING_SLACK_MS)
    if (distance < least) {
      least = distance
      found = i
    }
  }
  return found
}
