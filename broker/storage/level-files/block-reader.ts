/** Reads the blocks of a table in their order, many with one call to the disk. */
import { TRAILER_BYTES } from './block.ts'
import type { BlockHandle } from './table-structure.ts'
import type { TolerantFile } from './tolerant-file.ts'

export class BlockReader {
  readonly #file: TolerantFile
  readonly #windowBytes: number
  readonly #buffer: Buffer | undefined
  #window: Buffer = Buffer.alloc(0)
  #windowAt = 0

  /** @param isTransient what is read is done with at the next read: one buffer then serves for all, but for a block that is larger */
  constructor(file: TolerantFile, windowBytes: number, isTransient = false) {
    this.#file = file
    this.#windowBytes = Math.min(windowBytes, file.size)
    this.#buffer = isTransient ? Buffer.allocUnsafe(this.#windowBytes) : undefined
  }

  /** The block with its trailer, a part of a larger buffer; shorter where the file ends before. Memory: a window, or one block. */
  async read({ offset, size }: BlockHandle): Promise<Buffer> {
    const length = size + TRAILER_BYTES
    const isInside = offset >= this.#windowAt && offset + length <= this.#windowAt + this.#window.length
    if (!isInside) {
      const isLarge = length > this.#windowBytes
      this.#window = await this.#file.read(
        offset,
        isLarge ? length : this.#windowBytes,
        isLarge ? undefined : this.#buffer,
      )
      this.#windowAt = offset
    }
    const at = offset - this.#windowAt
    return this.#window.subarray(at, at + length)
  }
}
