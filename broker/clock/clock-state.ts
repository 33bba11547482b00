/**
 * The epochs of the clock as a chain's commits note them (log/commit-state.ts): each with the first commit after it began, and
 * nothing while nothing changes. What was noted in a commit that failed is noted again by the next one.
 *
 * In notes (log/note.ts). On disk: never change.
 *
 *   added    := [until, epoch+]                  until: what the clock shows as the commit is sealed, ms since 1970
 *   epoch    := [bootId, trust, difference, beganAt, before | null]                                  (epoch.ts)
 *   snapshot := [last | null, [stretch*]]        last := [bootId, trust, difference, beganAt]
 *   stretch  := [commit, kind, value] | [commit, kind, value, before, step, span]            (stretch-table.ts)
 *   kind     := 0 trusted | 1 corrected, by value ms | 2 may be corrected, value: its difference | 3 untrusted for good
 *               before, before + step and before + step + span are the boundary's before, after and until
 */
import type { ClockWatch } from './clock-watch.ts'
import type { Epoch, NotedEpoch } from './epoch.ts'
import type { ClockFacts, CommitClock } from './facts.ts'
import { type Stretch, StretchTable } from './stretch-table.ts'
import type { Trust } from './trust.ts'

type EpochRow = readonly [string, Trust, number, number, number | null]
type LastRow = readonly [string, Trust, number, number]
type StretchRow = readonly number[]
type Added = readonly [until: number, ...epochs: EpochRow[]]
type Snapshot = readonly [LastRow | null, readonly StretchRow[]]

const TRUSTED = 0
const CORRECTED = 1
const CORRECTABLE = 2
const UNTRUSTED = 3

export class ClockState implements ClockFacts {
  readonly name = 'clock'
  readonly #watch: ClockWatch | null
  readonly #table = new StretchTable()

  /** @param watch null where the log is only read */
  constructor(watch: ClockWatch | null) {
    this.#watch = watch
  }

  /** The epoch that was noted last. */
  get last(): NotedEpoch | null {
    return this.#table.last
  }

  /** The next commit would say how far the clock was wrong: it is worth a commit of its own. */
  get owesCorrection(): boolean {
    const { last, stretches } = this.#table
    if (this.#watch?.isTrusted() !== true || last?.bootId !== this.#watch.bootId) return false
    const isOpen = stretches.some(({ difference }) => difference !== null)
    return isOpen && this.#watch.epochsSince(last).length > 0
  }

  /** The end of the last stretch that was corrected, by the right clock. */
  get corrected(): { until: number; byMs: number } | null {
    const { stretches } = this.#table
    const at = stretches.findLastIndex(({ correction }) => correction !== null)
    const until = stretches[at + 1]?.boundary?.after
    return at < 0 || until === undefined ? null : { until, byMs: stretches[at]!.correction! }
  }

  takePending(commit: number): Added | undefined {
    const epochs = this.#watch?.epochsSince(this.#table.last) ?? []
    if (epochs.length === 0) return undefined
    const until = Math.ceil(this.#watch!.reading())
    this.#table.note(epochs, commit, until)
    return [until, ...epochs.map(epochRow)]
  }

  apply(added: unknown, commit: number): void {
    const [until, ...rows] = added as Added
    this.#table.note(rows.map(epochOf), commit, until)
  }

  restore(snapshot: unknown): void {
    const [last, stretches] = (snapshot ?? [null, []]) as Snapshot
    this.#table.restore(stretches.map(stretchOf), last === null ? null : notedOf(last))
  }

  /** @param firstCommit of the chain: what concerns earlier ones is left out */
  snapshot(firstCommit: number): Snapshot {
    this.#table.trim(firstCommit)
    const { last, stretches } = this.#table
    const row: LastRow | null =
      last === null ? null : [last.bootId, last.trust, last.difference, last.beganAt]
    return [row, stretches.map(stretchRow)]
  }

  of(commit: number): CommitClock | null {
    return this.#table.of(commit)
  }

  boundaries(): number[] {
    return this.#table.boundaries()
  }

  isTrustedThroughout(fromCommit: number, toCommit: number): boolean {
    return this.#table.isTrustedThroughout(fromCommit, toCommit)
  }
}

function epochRow({ bootId, trust, difference, beganAt, before }: Epoch): EpochRow {
  return [bootId, trust, difference, beganAt, before]
}

function epochOf([bootId, trust, difference, beganAt, before]: EpochRow): Epoch {
  return { bootId, trust, difference, beganAt, before }
}

function notedOf([bootId, trust, difference, beganAt]: LastRow): NotedEpoch {
  return { bootId, trust, difference, beganAt }
}

function stretchRow({ commit, boundary, ...what }: Stretch): StretchRow {
  const kind = kindOf(what)
  const row = [commit, kind, what.correction ?? what.difference ?? 0]
  if (boundary === null) return row
  return [...row, boundary.before, boundary.after - boundary.before, boundary.until - boundary.after]
}

function kindOf({
  isTrusted,
  correction,
  difference,
}: Pick<Stretch, 'isTrusted' | 'correction' | 'difference'>) {
  if (isTrusted) return TRUSTED
  if (correction !== null) return CORRECTED
  return difference === null ? UNTRUSTED : CORRECTABLE
}

function stretchOf([commit, kind, value, before, step, span]: StretchRow): Stretch {
  return {
    commit: commit!,
    isTrusted: kind === TRUSTED,
    correction: kind === CORRECTED ? value! : null,
    difference: kind === CORRECTABLE ? value! : null,
    boundary: before === undefined ? null : { before, after: before + step!, until: before + step! + span! },
  }
}
