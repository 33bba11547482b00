/**
 * Removes the entries that retention has overtaken: their offset is below the log start of their partition. Nobody sees them; they
 * only take room. No index finds them, so a sweep looks at every entry, a little at a time and seldom.
 */
import type { TableContents } from './table-contents.ts'
import { decodeEntry, END_ENTRY_KEY, FIRST_ENTRY_KEY } from './table-entry.ts'
import type { SweepLimits } from './table-limits.ts'

const STEP_BYTES = 64 * 1024

export class Sweep {
  readonly #contents: TableContents
  readonly #limits: SweepLimits
  #run: { readonly starts: readonly number[]; from: Buffer } | null = null
  /** performance.now() of the end of the last one. */
  #endedAt = Number.NEGATIVE_INFINITY

  constructor(contents: TableContents, limits: SweepLimits) {
    this.#contents = contents
    this.#limits = limits
  }

  isDue(now: number): boolean {
    if (this.#run !== null) return true
    if (now < this.#endedAt + this.#limits.sweepEveryMs) return false
    const starts = this.#contents.starts()
    if (!starts.some((start, i) => start > this.#contents.meta.swept[i]!)) return false
    this.#run = { starts, from: FIRST_ENTRY_KEY }
    return true
  }

  /** Marks those of the next entries for removal that are due. @returns what is wrong with one, or how many ms to pause */
  async step(): Promise<string | number> {
    const run = this.#run!
    const { store, meta } = this.#contents
    const entries = await store.range({ from: run.from, to: END_ENTRY_KEY, bytesMax: STEP_BYTES })
    this.#contents.touch()
    for (const { key, value } of entries) {
      const entry = decodeEntry(key, value)
      if (typeof entry === 'string') return entry
      const text = entry.key.toString('latin1')
      if (entry.offset >= run.starts[entry.partition]! || this.#contents.hasPending(text)) continue
      this.#contents.remove(text, entry)
    }
    const last = entries.at(-1)
    if (last !== undefined) {
      run.from = Buffer.concat([last.key, Buffer.of(0)])
      return this.#limits.sweepPauseMs
    }
    // what was written meanwhile left out what was below these starts
    for (const [i, start] of run.starts.entries()) meta.swept[i] = start
    this.#run = null
    this.#endedAt = performance.now()
    return 0
  }
}
