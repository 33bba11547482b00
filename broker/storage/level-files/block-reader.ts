/** Reads the blocks of a table in their order, many with one call to the disk. */
import { TRAILER_BYTES } from './block.ts'
import type { BlockHandle } from './table-structure.ts'
import type { TolerantFile } from './tolerant-file.ts'

const NOTHING: Buffer = Buffer.alloc(0)

/** Memory that is used again for each read: as large as the largest of them. */
export class Scratch {
  #bytes = NOTHING

  take(length: number): Buffer {
    if (this.#bytes.length < length) {
      // the collector may have the old one before the new one is there
      this.#bytes = NOTHING
      this.#bytes = Buffer.allocUnsafe(length)
    }
    return this.#bytes
  }
}

export class BlockReader {
  readonly #file: TolerantFile
  readonly #windowBytes: number
  readonly #scratch: Scratch | undefined
  #window = NOTHING
  #windowAt = 0

  /** @param scratch given where what is read is done with at the next read; else each read has memory of its own */
  constructor(file: TolerantFile, windowBytes: number, scratch?: Scratch) {
    this.#file = file
    this.#windowBytes = Math.min(windowBytes, file.size)
    this.#scratch = scratch
  }

  /** The block, where it was read with an earlier one. */
  readAhead({ offset, size }: BlockHandle): Buffer | undefined {
    const at = offset - this.#windowAt
    const end = at + size + TRAILER_BYTES
    return at >= 0 && end <= this.#window.length ? this.#window.subarray(at, end) : undefined
  }

  /** The block with its trailer, a part of a larger buffer; shorter where the file ends before. Memory: a window, or one block. */
  async read(block: BlockHandle): Promise<Buffer> {
    const { offset, size } = block
    const length = size + TRAILER_BYTES
    if (this.readAhead(block) === undefined) {
      // not two at a time
      this.#window = NOTHING
      const wanted = Math.max(length, this.#windowBytes)
      this.#window = await this.#file.read(
        offset,
        wanted,
        this.#scratch?.take(Math.min(wanted, this.#file.size)),
      )
      this.#windowAt = offset
    }
    const at = offset - this.#windowAt
    return this.#window.subarray(at, at + length)
  }
}
