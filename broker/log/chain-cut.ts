/**
 * A place in a chain's commits at which it is whole: between two of them. While one is under way the states are ahead of the disk, so
 * who asks then is answered before the next one begins.
 */
import type { ChainFacts } from './manifest.ts'
import type { Head } from './note.ts'
import type { Segment } from './segment.ts'
import type { SegmentRow } from './segment-row.ts'

export interface ChainCut {
  /** The last commit before it. */
  readonly commit: number
  /** What a segment that began there would have to know. */
  readonly head: Head
  /** Where each segment ended. */
  readonly segments: readonly Pick<Segment, 'id' | 'lastCommit' | 'bytes'>[]
  readonly facts: ChainFacts
}

export class CutRequests {
  readonly #row: SegmentRow
  readonly #isOpen: () => boolean
  #waiting: ((cut: ChainCut | null) => void)[] = []

  /** @param isOpen false after a failure: where the chain stands is then not known */
  constructor(row: SegmentRow, isOpen: () => boolean) {
    this.#row = row
    this.#isOpen = isOpen
  }

  /** @param isBusy a commit may be under way. @returns null when the chain has failed */
  ask(isBusy: boolean): Promise<ChainCut | null> {
    if (!isBusy) return Promise.resolve(this.#now())
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Between two commits. */
  answer(): void {
    for (const give of this.#waiting.splice(0)) give(this.#now())
  }

  #now(): ChainCut | null {
    if (!this.#isOpen()) return null
    const segments = this.#row.segments.map(({ id, lastCommit, bytes }) => ({ id, lastCommit, bytes }))
    return { commit: this.#row.active.lastCommit, head: this.#row.head(), segments, facts: this.#row.facts }
  }
}
