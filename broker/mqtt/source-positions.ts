/**
 * How far each outside source, such as a partition of a downlink's topic, is in the log. A message from a source is committed in one
 * write with its place there: one that is handed over again, after a crash or a failure, is known and not appended twice.
 *
 * A source hands over its messages in order, and none after one that was not appended: so a single number tells all. A source
 * whose places begin anew (another topic of that name, a log that was cut) comes with another epoch, and the old number does not
 * count.
 *
 * In notes (log/note.ts): added := [[source, epoch, place], …]. Snapshot := the same. On disk: never change.
 */
import type { CommitState } from '../log/commit-state.ts'

/** Where a message comes from. */
export interface MessageSource {
  /** Names one ordered sequence of messages. */
  readonly name: string
  /** Places of different epochs are not compared. */
  readonly epoch: string
  /** Grows within an epoch. */
  readonly place: number
}

type Op = [source: string, epoch: string, place: number]

/** Sources remembered; past it the one that was silent longest is forgotten. */
const SOURCES_MAX = 10_000

export class SourcePositions implements CommitState {
  readonly name = 'sources'
  /** With what is pending. */
  readonly #live = new Map<string, Op>()
  /** Without what is pending: what a segment's head may say, because only this is on disk. */
  readonly #sealed = new Map<string, Op>()
  readonly #pending = new Map<string, Op>()

  isRepetition({ name, epoch, place }: MessageSource): boolean {
    const known = this.#live.get(name)
    return known !== undefined && known[1] === epoch && place <= known[2]
  }

  /** The message's record goes into the open commit: so does its place. */
  add({ name, epoch, place }: MessageSource): void {
    const op: Op = [name, epoch, place]
    put(this.#live, op)
    put(this.#pending, op)
  }

  takePending(): Op[] | undefined {
    if (this.#pending.size === 0) return undefined
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const op of pending) put(this.#sealed, op)
    return pending
  }

  restore(snapshot: unknown): void {
    this.#pending.clear()
    this.#live.clear()
    this.#sealed.clear()
    this.apply(snapshot ?? [])
  }

  apply(added: unknown): void {
    for (const op of added as Op[]) {
      put(this.#live, op)
      put(this.#sealed, op)
    }
  }

  snapshot(): Op[] {
    return [...this.#sealed.values()]
  }
}

/** Ordered by last use. */
function put(sources: Map<string, Op>, op: Op): void {
  sources.delete(op[0])
  sources.set(op[0], op)
  if (sources.size <= SOURCES_MAX) return
  const [oldest] = sources.keys()
  sources.delete(oldest!)
}
