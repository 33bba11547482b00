/**
 * Memory for the batches of rounds that are under way and of what is read ahead, used again round after round: buffers of their own would be
 * the collector's work, and it does that only once they are 64 MB. Blocks are filled from front to end; one is free when all
 * that was copied into it is released. What is never released (a round that failed) is the collector's with its builder.
 */
import type { BatchMemory } from '../broker/index.ts'

const BLOCK_BYTES = 512 * 1024
/** Kept free: 20 MiB, two rounds of the largest size that is configured by default and what stays empty at the ends of blocks. */
const FREE_BLOCKS_MAX = 40

interface Block {
  readonly bytes: Buffer
  /** Where the next batch goes. */
  at: number
  /** Batches in it that are not released. */
  live: number
}

export class RoundMemory implements BatchMemory {
  readonly #blocks = new WeakMap<ArrayBufferLike, Block>()
  readonly #free: Block[] = []
  /** The one that is being filled. */
  #block: Block | null = null

  copy(bytes: Buffer): Buffer {
    // more than that by itself: rare, and it would leave most of a block empty
    if (bytes.length > BLOCK_BYTES) return Buffer.from(bytes)
    let block = this.#block
    if (block === null || block.at + bytes.length > BLOCK_BYTES) {
      this.#block = null
      if (block?.live === 0) this.#give(block)
      block = this.#block = this.#free.pop() ?? this.#newBlock()
    }
    const copied = block.bytes.subarray(block.at, block.at + bytes.length)
    copied.set(bytes)
    block.at += bytes.length
    block.live++
    return copied
  }

  release(copied: Buffer): void {
    const block = this.#blocks.get(copied.buffer)
    if (block === undefined) return
    block.live--
    if (block.live === 0 && block !== this.#block) this.#give(block)
  }

  #newBlock(): Block {
    const block = { bytes: Buffer.allocUnsafeSlow(BLOCK_BYTES), at: 0, live: 0 }
    this.#blocks.set(block.bytes.buffer, block)
    return block
  }

  #give(block: Block): void {
    block.at = 0
    if (this.#free.length < FREE_BLOCKS_MAX) this.#free.push(block)
  }
}
