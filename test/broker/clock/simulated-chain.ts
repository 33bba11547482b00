/** A chain's commits around a clock state: notes and heads go through CBOR, commits fail, processes start again. */
import { Decoder, Encoder } from 'cbor-x'
import { ClockState } from '../../../broker/clock/clock-state.ts'
import type { ClockWatch } from '../../../broker/clock/clock-watch.ts'

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true })
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true })

/** As a note carries it (broker/log/note.ts). */
export function stored(value: unknown): unknown {
  return decoder.decode(encoder.encode(value))
}

export function storedBytes(value: unknown): number {
  return encoder.encode(value).length
}

export type Outcome = 'durable' | 'lost' | 'kept'

export class SimulatedChain {
  state!: ClockState
  /** The last commit on disk. */
  commit = 0
  firstCommit = 1
  #head: unknown
  #notes: { commit: number; added: unknown }[] = []

  /** A process opens it. @param watch null where it only reads */
  open(watch: ClockWatch | null): void {
    this.state = new ClockState(watch)
    this.#replay()
  }

  /**
   * Seals and writes the open commit.
   * @param outcome `kept`: it failed, and the disk has it all the same
   * @returns whether a note was written
   */
  seal(outcome: Outcome = 'durable'): boolean {
    const commit = this.commit + 1
    const added = this.state.takePending(commit)
    const hasNote = added !== undefined
    if (outcome !== 'lost') {
      this.commit = commit
      if (hasNote) this.#notes.push({ commit, added: stored(added) })
    }
    if (outcome !== 'durable') this.#replay()
    return hasNote
  }

  /** A new segment begins: its head is a commit of its own. */
  roll(): void {
    this.commit++
    this.#head = stored(this.state.snapshot(this.firstCommit))
    this.#notes = []
  }

  get headBytes(): number {
    return storedBytes(this.state.snapshot(this.firstCommit))
  }

  #replay(): void {
    this.state.restore(undefined)
    if (this.#head !== undefined) this.state.restore(this.#head)
    for (const { commit, added } of this.#notes) this.state.apply(added, commit)
  }
}
