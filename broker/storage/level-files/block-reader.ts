/** Reads the blocks of a table in their order, many with one call to the disk. */
import { TRAILER_BYTES } from './block.ts'
import type { BlockHandle } from './table-structure.ts'
import type { TolerantFile } from './tolerant-file.ts'

export class BlockReader {
  readonly #file: TolerantFile
  readonly #windowBytes: number
  #window: Buffer = Buffer.alloc(0)
  #windowAt = 0

  constructor(file: TolerantFile, windowBytes: number) {
    this.#file = file
    this.#windowBytes = windowBytes
  }

  /** The block with its trailer, a part of a larger buffer; shorter where the file ends before. Memory: a window, or one block. */
  async read({ offset, size }: BlockHandle): Promise<Buffer> {
    const length = size + TRAILER_BYTES
    const isInside = offset >= this.#windowAt && offset + length <= this.#windowAt + this.#window.length
    if (!isInside) {
      this.#window = await this.#file.read(offset, Math.max(length, this.#windowBytes))
      this.#windowAt = offset
    }
    const at = offset - this.#windowAt
    return this.#window.subarray(at, at + length)
  }
}
