/**
 * Tells an earlier life of this edge from another process that writes as this edge now. Each message names the process
 * that sent it; of each subject is kept where it ended when this process last knew.
 *
 *   the last message is ours, or the one known       -> nothing happened
 *   it stands lower than the one known, or is gone   -> purged, or lost by the server: for `decideStart`
 *   another process's stands behind the one known
 *     and this process has sent nothing yet          -> once: the last message of an earlier life, late on its way
 *     otherwise                                      -> HW_FENCED: whoever sent it has read what we sent, and runs
 *
 * A late message of an earlier life cannot come after one of ours: it is published on the condition that the subject ends
 * where that life saw it.
 */
import { FencedError } from '../errors.ts'

interface Known {
  seq: number
  mayBeSucceeded: boolean
}

export class Successions {
  readonly #instance: string
  /** By place, which is that of one subject. */
  readonly #known = new Map<string, Known>()

  constructor(instance: string) {
    this.#instance = instance
  }

  /** Where the subject ended when this process last knew; null before it ever did. */
  lastSeq(place: string): number | null {
    return this.#known.get(place)?.seq ?? null
  }

  foundNothing(place: string): void {
    if (!this.#known.has(place)) this.#known.set(place, { seq: 0, mayBeSucceeded: true })
  }

  /** @throws FencedError; the next call takes over, because a person has been there in between */
  found(place: string, subject: string, seq: number, instance: string): void {
    const known = this.#known.get(place)
    if (known === undefined) {
      this.#known.set(place, { seq, mayBeSucceeded: true })
      return
    }
    if (instance !== this.#instance && seq > known.seq) {
      if (!known.mayBeSucceeded) {
        this.#known.clear()
        throw new FencedError(subject, `message ${seq} was sent by process ${instance}`)
      }
      known.mayBeSucceeded = false
    }
    known.seq = seq
  }

  sent(place: string, seq: number): void {
    this.#known.set(place, { seq, mayBeSucceeded: false })
  }
}
