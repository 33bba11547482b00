/** The catalog as the log itself knows it, so that a lost `catalog.json` is made again from the newest segment. */
import type { CatalogStream } from './catalog.ts'
import type { CommitState } from './commit-state.ts'

export const CATALOG_STATE = 'catalog'

/** Noted when it has changed, with the first commit after it: before the first record of a new stream. */
export class CatalogState implements CommitState {
  readonly name = CATALOG_STATE
  #streams: readonly CatalogStream[]
  #text: string
  /** What the log says; null before it has said anything. */
  #noted: string | null = null

  constructor(streams: readonly CatalogStream[]) {
    this.#streams = streams
    this.#text = JSON.stringify(streams)
  }

  /** The catalog as it is from now on: on disk already. */
  update(streams: readonly CatalogStream[]): void {
    this.#streams = streams
    this.#text = JSON.stringify(streams)
  }

  takePending(): unknown {
    if (this.#noted === this.#text) return undefined
    this.#noted = this.#text
    return this.#streams
  }

  restore(snapshot: unknown): void {
    this.#noted = snapshot === undefined ? null : JSON.stringify(snapshot)
  }

  apply(added: unknown): void {
    this.#noted = JSON.stringify(added)
  }

  snapshot(): unknown {
    return this.#streams
  }
}
