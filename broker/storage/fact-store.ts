/**
 * Facts that cannot be derived from the log: positions acknowledged by upstreams, later group offsets and sessions.
 * One LevelDB; every put is fsynced. It is the first store opened and the last closed, so that its LOCK file is the
 * lock of the whole data directory: the operating system drops it with the process, however that ends.
 */
import type { Disk, Store } from './store.ts'

const WRITE_BUFFER_BYTES = 256 * 1024

export class FactStore {
  readonly #store: Store

  private constructor(store: Store) {
    this.#store = store
  }

  /** @throws DataDirectoryLockedError where another process has the data directory. */
  static async open(disk: Disk, directory: string): Promise<FactStore> {
    return new FactStore(
      await disk.openStore(directory, { writeBufferBytes: WRITE_BUFFER_BYTES, createIfMissing: true }),
    )
  }

  get(key: string): Promise<Buffer | undefined> {
    return this.#store.get(Buffer.from(key))
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    const batch = this.#store.batch()
    batch.put(Buffer.from(key), Buffer.from(value))
    await batch.write({ sync: true })
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}
