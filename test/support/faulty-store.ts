/** A store on a disk that fails: each of its operations is one of the disk's, and none may write after a failure. */
import type { RangeOptions, Store, StoreScan, WriteBatch } from '../../broker/storage/store.ts'
import type { FaultyDisk } from './faulty-disk.ts'

export class FaultyStore implements Store {
  readonly #disk: FaultyDisk
  readonly #below: Store
  readonly #path: string
  readonly #onClose: () => void
  #hasFailed = false

  constructor(disk: FaultyDisk, below: Store, path: string, onClose: () => void) {
    this.#disk = disk
    this.#below = below
    this.#path = path
    this.#onClose = onClose
  }

  batch(): WriteBatch {
    const batch = this.#below.batch()
    return {
      put: (key, value) => batch.put(key, value),
      delete: (key) => batch.delete(key),
      write: async (options) => {
        if (this.#hasFailed) {
          this.#disk.violations++
          throw new Error('the store was written after a failure, before it was opened again')
        }
        try {
          const kind = options.sync ? 'sync' : 'write'
          await this.#disk.run({ kind, path: this.#path }, () => batch.write(options))
        } catch (error) {
          this.#hasFailed = true
          throw error
        }
      },
    }
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#read(() => this.#below.get(key))
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#read(() => this.#below.getMany(keys))
  }

  range(options: RangeOptions): ReturnType<Store['range']> {
    return this.#read(() => this.#below.range(options))
  }

  scan(from: Buffer, to: Buffer): StoreScan {
    const scan = this.#below.scan(from, to)
    return { next: (bytesMax) => this.#read(() => scan.next(bytesMax)), close: () => scan.close() }
  }

  async close(): Promise<void> {
    await this.#disk.run({ kind: 'close-store', path: this.#path }, () => this.#below.close())
    this.#onClose()
  }

  #read<T>(read: () => Promise<T>): Promise<T> {
    return this.#disk.run({ kind: 'range', path: this.#path }, read)
  }
}
