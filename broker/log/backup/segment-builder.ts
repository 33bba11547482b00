/** Makes a sealed segment out of the entries of a backup: its store and its index, on disk when it is finished. */
import type { Entry, Store, WriteBatch } from '../../storage/store.ts'
import { commitOf, idOf, NOTE_ID } from '../commit-key.ts'
import type { ManifestSegment } from '../manifest.ts'
import { batchFault } from '../record-batch.ts'
import { replayedBatch } from '../replay.ts'
import { indexFile, segmentDirectory } from '../segment.ts'
import { SegmentIndex } from '../segment-index.ts'
import { type ChainFiles, createSegmentStore } from '../segment-store.ts'
import type { SegmentBegin, SegmentEnd } from './contents.ts'

/** Bytes that one write takes. */
const WRITE_BYTES = 1024 * 1024

export class SegmentBuilder {
  readonly #files: ChainFiles
  readonly #begin: SegmentBegin
  readonly #store: Store
  readonly #index: SegmentIndex
  #write: WriteBatch
  #writeBytes = 0

  private constructor(files: ChainFiles, begin: SegmentBegin, store: Store) {
    this.#files = files
    this.#begin = begin
    this.#store = store
    this.#index = new SegmentIndex(begin.firstCommit)
    this.#write = store.batch()
  }

  static async create(files: ChainFiles, begin: SegmentBegin): Promise<SegmentBuilder> {
    return new SegmentBuilder(files, begin, await createSegmentStore(files, begin.id))
  }

  async add(entries: readonly Entry[]): Promise<void> {
    for (const { key, value } of entries) {
      this.#write.put(key, value)
      this.#writeBytes += key.length + value.length
      const id = idOf(key)
      // a damaged one stays what it was: there, and in no index
      if (id === NOTE_ID || batchFault(value) !== null) continue
      const batch = replayedBatch(value)
      this.#index.of(id, batch.baseOffset).add(commitOf(key), batch)
    }
    if (this.#writeBytes >= WRITE_BYTES) await this.#flush()
  }

  /** @returns its line in the manifest */
  async finish({ lastCommit, bytes }: SegmentEnd): Promise<ManifestSegment> {
    await this.#flush()
    await this.#store.close()
    const { disk, directory, storeOptions } = this.#files
    // what was written is on disk only now: the write-ahead files of a store that is never written again need no fsync
    await disk.settleStore(segmentDirectory(directory, this.#begin.id), storeOptions)
    await disk.replaceFile(indexFile(directory, this.#begin.id), this.#index.encode())
    const { id, firstCommit, ...rest } = this.#begin
    return { id, firstCommit, lastCommit, bytes, ...rest }
  }

  /** Lets go of the store: the restore failed. */
  async abandon(): Promise<void> {
    await this.#store.close().catch(() => undefined)
  }

  async #flush(): Promise<void> {
    if (this.#writeBytes === 0) return
    await this.#write.write({ sync: false })
    this.#write = this.#store.batch()
    this.#writeBytes = 0
  }
}
