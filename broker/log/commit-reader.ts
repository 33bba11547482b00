/**
 * Reads the batches of all partitions of a chain in commit order, for one reader who comes again. Sealed segments are read from their files in
 * memory that is used again, and what is wanted is copied out of it: of a backlog that is read through, LevelDB's buffers and what it maps
 * would be most of the process's memory. So is the active segment where the reader is far behind, as far as it stands in tables; the rest of it
 * is read through LevelDB.
 */
import type { KeyRange } from '../storage/entry-scan.ts'
import { DamagedFilesError } from '../storage/level-files/table-cursor.ts'
import type { Entry } from '../storage/store.ts'
import type { Chain } from './chain.ts'
import { guarded, isWhole, segmentOf } from './chain-reader.ts'
import { commitKey, commitOf, idOf, NOTE_ID } from './commit-key.ts'
import { DamagedSegmentError } from './damaged-segment.ts'
import type { HeldScan } from './held-scan.ts'
import type { Segment } from './segment.ts'
import type { BatchMemory } from './source.ts'

export interface CommitPlace {
  readonly commit: number
  readonly id: number
}

export interface CommitBatch extends CommitPlace {
  readonly bytes: Buffer
}

export interface CommitRead {
  readonly batches: readonly CommitBatch[]
  /** To go on from. */
  readonly next: CommitPlace
}

/** Whether a whole batch of a partition is to be brought. */
export type Wants = (id: number, batch: Buffer) => boolean

interface Step extends CommitRead {
  readonly isEnd: boolean
}

/** A reader that has this much of the active segment before him finds some in its tables: LevelDB keeps two write buffers, of 4 MiB, in memory. */
const TABLES_BEHIND_BYTES = 12 * 1024 * 1024

/** What a cursor copies goes to memory of its own where its reader gave none. */
const OWN_MEMORY: BatchMemory = { copy: (bytes) => Buffer.from(bytes), release: () => {} }

export class CommitReader {
  readonly #chain: Chain
  readonly #memory: BatchMemory
  readonly #wants: Wants
  /** Stands at the first entry that does not come before `at`. */
  #held: { readonly scan: HeldScan; at: CommitPlace } | null = null

  /** The active segment, where its files were not to be read: LevelDB has to. */
  #distrusted: Segment | null = null

  constructor(chain: Chain, wants: Wants, memory: BatchMemory = OWN_MEMORY) {
    this.#chain = chain
    this.#wants = wants
    this.#memory = memory
  }

  /** At least one batch where any wanted one is durable from there on. One call at a time. */
  next(from: CommitPlace, bytesMax: number): Promise<CommitRead> {
    const chain = this.#chain
    return guarded(chain, async () => {
      const durable = chain.durableCommit
      let next = from
      while (next.commit <= durable) {
        const segment = segmentOf(chain, next.commit)
        const step = await this.#step(segment, next, bytesMax)
        if (step.isEnd) {
          await this.close()
          if (segment.isSealed && step.next.commit > segment.lastCommit) chain.cache.passed(segment)
        }
        if (step.batches.length > 0) return step
        next = step.next
      }
      return { batches: [], next }
    })
  }

  async #step(segment: Segment, from: CommitPlace, bytesMax: number): Promise<Step> {
    const scan = await this.#scanOf(segment, from)
    return scan === null ? this.#fromStore(segment, from, bytesMax) : this.#fromFiles(scan, from, bytesMax)
  }

  async #fromStore(segment: Segment, from: CommitPlace, bytesMax: number): Promise<Step> {
    const chain = this.#chain
    // taken before the read: while it awaits, the active segment grows by commits that it does not bring
    const lastCommit = Math.min(segment.lastCommit, chain.durableCommit)
    const range = { from: commitKey(from.commit, from.id), to: commitKey(lastCommit + 1, 0), bytesMax }
    const entries = await chain.cache.use(segment, ({ store }) => store.range(range))
    const last = entries.at(-1)
    if (last === undefined) return { batches: [], next: { commit: lastCommit + 1, id: 0 }, isEnd: true }
    const batches = entries.flatMap((entry) => this.#batchOf(entry) ?? [])
    return { batches, next: placeAfter(commitOf(last.key), idOf(last.key)), isEnd: false }
  }

  #batchOf({ key, value }: Entry): CommitBatch | null {
    return this.#isWanted(key, value) ? { commit: commitOf(key), id: idOf(key), bytes: value } : null
  }

  #isWanted(key: Buffer, value: Buffer): boolean {
    const id = idOf(key)
    return id !== NOTE_ID && isWhole(this.#chain, key, value) && this.#wants(id, value)
  }

  async #fromFiles(scan: HeldScan, from: CommitPlace, bytesMax: number): Promise<Step> {
    const batches: CommitBatch[] = []
    let next = from
    let bytes: number | null
    try {
      bytes = await scan.next(bytesMax, (key, value) => {
        const commit = commitOf(key)
        const id = idOf(key)
        next = placeAfter(commit, id)
        if (this.#isWanted(key, value)) batches.push({ commit, id, bytes: this.#memory.copy(value) })
      })
    } catch (error) {
      for (const batch of batches) this.#memory.release(batch.bytes)
      await this.close()
      // of the active one it may be that LevelDB was just writing
      if (scan.segment.isSealed || !(error instanceof DamagedSegmentError)) throw error
      this.#distrusted = scan.segment
      return { batches: [], next: from, isEnd: false }
    }
    // it was closed meanwhile: what stands there now is looked for again
    if (bytes === null) this.#held = null
    if (bytes === 0) next = { commit: scan.lastCommit + 1, id: 0 }
    if (this.#held !== null) this.#held.at = next
    return { batches, next, isEnd: bytes === 0 }
  }

  /** null where the files alone do not have all of the segment. */
  async #scanOf(segment: Segment, { commit, id }: CommitPlace): Promise<HeldScan | null> {
    if (this.#held !== null) {
      const { scan, at } = this.#held
      if (scan.segment === segment && at.commit === commit && at.id === id) return scan
      await this.close()
    }
    const { cache, durableCommit } = this.#chain
    const lastCommit = Math.min(segment.lastCommit, durableCommit)
    const range = { from: commitKey(commit, id), to: commitKey(lastCommit + 1, 0) }
    const scan = segment.isSealed
      ? await cache.hold(segment, range)
      : await this.#tablesOf(segment, commit, range)
    this.#held = scan === null ? null : { scan, at: { commit, id } }
    return scan
  }

  async #tablesOf(segment: Segment, commit: number, range: KeyRange): Promise<HeldScan | null> {
    const { bytes, firstCommit, lastCommit } = segment
    const behindBytes = (bytes * (lastCommit - commit + 1)) / (lastCommit - firstCommit + 1)
    if (behindBytes < TABLES_BEHIND_BYTES || segment === this.#distrusted) return null
    try {
      return await this.#chain.cache.holdTables(segment, range)
    } catch (error) {
      if (!(error instanceof DamagedFilesError)) throw error
      this.#distrusted = segment
      return null
    }
  }

  async close(): Promise<void> {
    const held = this.#held
    this.#held = null
    await held?.scan.close()
  }
}

function placeAfter(commit: number, id: number): CommitPlace {
  return id === NOTE_ID ? { commit: commit + 1, id: 0 } : { commit, id: id + 1 }
}
