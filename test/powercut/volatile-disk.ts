/**
 * A disk with a volatile write cache, as SD cards, USB sticks and SSDs have one: what was written is seen at once and is safe after
 * the next flush. When the power is cut, a part of what was not flushed is on the medium, whichever part the device had got to.
 *
 * Three layers, the upper one before the lower: `cached` (written), `flushed` (safe, since the last cut), the image file (as the last
 * cut left it). The image changes at `revive` alone: until then it can be looked at, and kept, as the cut left it.
 */
import type { Random } from '../support/random.ts'

/** Smaller than this nothing is torn: the least unit that disks promise. */
export const SECTOR_BYTES = 512
/**
 * But ext4's superblock is written whole. It has a checksum over its two sectors, and ext4 looks at it before its journal, which has
 * the whole one: torn, the file system is not mounted until e2fsck was there, as it is when a system boots.
 */
export const SUPERBLOCK = { from: 1024, to: 2048 } as const
/** Keys of the layers: the block of ext4. */
const BLOCK_BYTES = 4096
/** A device's cache is bounded: what goes beyond is written by the device on its own account. */
const CACHED_BYTES_MAX = 64 * 1024 * 1024

/** The medium. Offsets and sizes are multiples of a block. */
export interface Image {
  read(at: number, bytes: number): Buffer
  write(at: number, bytes: Uint8Array): void
}

/**
 * What the cut takes of the writes that were not flushed: all of them; those after a moment, the write at that moment torn between two
 * sectors; some sectors of some, in any order; none (the device's bytes as they stand).
 */
export const LOSSES = ['all', 'latest', 'scattered', 'none'] as const
export type Loss = (typeof LOSSES)[number]

export interface CutReport {
  readonly loss: Loss
  /** Written and not flushed at the cut. */
  readonly cachedBytes: number
  /** Of these, on the medium afterwards. */
  readonly keptBytes: number
}

interface Write {
  readonly at: number
  readonly bytes: Buffer
}

type Layer = Map<number, Buffer>

export class VolatileDisk {
  readonly #image: Image
  readonly #random: Random
  readonly #ignoresFlushes: boolean
  #flushed: Layer = new Map()
  #cached: Layer = new Map()
  /** The cached writes in their order. */
  #writes: Write[] = []
  #cachedBytes = 0
  /** What will be on the medium; null while the power is on. */
  #survived: Layer | null = null

  /** @param ignoresFlushes a device that says that it wrote what it did not: to see that the harness finds it out. */
  constructor(image: Image, random: Random, ignoresFlushes = false) {
    this.#image = image
    this.#random = random
    this.#ignoresFlushes = ignoresFlushes
  }

  get isCut(): boolean {
    return this.#survived !== null
  }

  read(at: number, bytes: number): Buffer {
    const read = Buffer.allocUnsafe(bytes)
    eachBlock(at, bytes, (block, from, to, done) => {
      this.#block(block).copy(read, done, from, to)
    })
    return read
  }

  write(at: number, bytes: Buffer): void {
    const copy = Buffer.from(bytes)
    this.#writes.push({ at, bytes: copy })
    this.#cachedBytes += copy.length
    put(this.#cached, at, copy, (block) => Buffer.from(this.#block(block)))
    if (this.#cachedBytes > CACHED_BYTES_MAX) this.#settle()
  }

  /** Everything written before is safe. */
  flush(): void {
    if (!this.#ignoresFlushes) this.#settle()
  }

  /**
   * Decides what is on the medium. Reads and writes go on as before, for a system that has yet to be taken down: nothing of them
   * reaches the image.
   */
  cut(loss: Loss): CutReport {
    const survived: Layer = new Map()
    let keptBytes = 0
    for (const { at, bytes } of this.#kept(loss)) {
      put(survived, at, bytes, (block) => Buffer.from(this.#flushed.get(block) ?? this.#medium(block)))
      keptBytes += bytes.length
    }
    for (const [block, bytes] of this.#flushed) if (!survived.has(block)) survived.set(block, bytes)
    this.#survived = survived
    return { loss, cachedBytes: this.#cachedBytes, keptBytes }
  }

  /** The power is on again: the image is what the cut left, the cache is empty. */
  revive(): void {
    for (const [block, bytes] of this.#survived ?? []) this.#image.write(block * BLOCK_BYTES, bytes)
    this.#survived = null
    this.#flushed = new Map()
    this.#forgetCache()
  }

  #settle(): void {
    for (const [block, bytes] of this.#cached) this.#flushed.set(block, bytes)
    this.#forgetCache()
  }

  #forgetCache(): void {
    this.#cached = new Map()
    this.#writes = []
    this.#cachedBytes = 0
  }

  #block(block: number): Buffer {
    return this.#cached.get(block) ?? this.#flushed.get(block) ?? this.#medium(block)
  }

  #medium(block: number): Buffer {
    return this.#image.read(block * BLOCK_BYTES, BLOCK_BYTES)
  }

  #kept(loss: Loss): Write[] {
    const random = this.#random
    switch (loss) {
      case 'all':
        return []
      case 'none':
        return this.#writes
      case 'latest': {
        const whole = random.between(0, this.#writes.length)
        const torn = this.#writes[whole]
        const kept = this.#writes.slice(0, whole)
        if (torn === undefined) return kept
        const pieces = piecesOf(torn)
        return [...kept, ...pieces.slice(0, random.between(0, pieces.length))]
      }
      case 'scattered': {
        const share = random.next()
        return this.#writes.flatMap((write) => {
          // half of the writes as a whole, of the others single sectors
          if (random.next() < 0.5) return random.next() < share ? [write] : []
          return piecesOf(write).filter(() => random.next() < share)
        })
      }
    }
  }
}

/** What a write can be torn into. */
function piecesOf({ at, bytes }: Write): Write[] {
  const pieces: Write[] = []
  for (let from = 0; from < bytes.length; ) {
    const isSuperblock = at + from >= SUPERBLOCK.from && at + from < SUPERBLOCK.to
    const to = isSuperblock ? SUPERBLOCK.to - at : from + SECTOR_BYTES
    pieces.push({ at: at + from, bytes: bytes.subarray(from, to) })
    from = to
  }
  return pieces
}

/** @param copyOf a block as the layers below have it, for the caller to keep */
function put(layer: Layer, at: number, bytes: Buffer, copyOf: (block: number) => Buffer): void {
  // a block of a lower layer is copied once, then written in place: it is this layer's own
  eachBlock(at, bytes.length, (block, from, to, done) => {
    const own = layer.get(block) ?? copyOf(block)
    bytes.copy(own, from, done, done + to - from)
    layer.set(block, own)
  })
}

/** @param visit block number, first and last byte in it, bytes done before */
function eachBlock(
  at: number,
  bytes: number,
  visit: (block: number, from: number, to: number, done: number) => void,
): void {
  for (let done = 0; done < bytes; ) {
    const block = Math.floor((at + done) / BLOCK_BYTES)
    const from = (at + done) % BLOCK_BYTES
    const to = Math.min(BLOCK_BYTES, from + bytes - done)
    visit(block, from, to, done)
    done += to - from
  }
}
