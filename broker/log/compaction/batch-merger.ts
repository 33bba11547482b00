/**
 * From the stored batches of one partition, in order, to fewer and larger ones without the records that are dropped.
 * What stays keeps its offset, its timestamp and its bytes.
 *
 * A stored batch is never split: the output's key is its last commit, and two outputs of one commit would be one entry.
 * So an output has at most `batchBytesMax` bytes, or is what stays of one single batch. What stays of a batch that fits
 * nowhere else goes as it came, byte for byte, when nothing of it is dropped; a second pass over the outputs with nothing
 * to drop therefore changes nothing.
 *
 *   last offset delta   reaches the last record that stays, never further: an output claims no offset of a batch that
 *                       is not in it. Between its first and its last record it may have fewer than it spans.
 *   base timestamp      that of its first record; the max timestamp is that of the newest one in it
 */
import { assert } from '../../assert.ts'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  maxTimestampOf,
  nextOffsetOf,
  recordCountOf,
  writeHeader,
} from '../record-batch.ts'
import type { BatchFilter, Keep } from './batch-filter.ts'

/** Offset deltas are int32, and there are decoders that are wrong above 2^30, where the zigzag needs the 32nd bit. */
const OFFSET_DELTA_MAX = 2 ** 30 - 1
/** An output that grows begins with room for this. */
const OUTPUT_BYTES_MIN = 4096

/** One output. The bytes are the receiver's: the merger has no more to do with them. */
export interface MergedBatch {
  readonly bytes: Buffer
  readonly baseOffset: number
  /** The offset after its last record; those up to the next output's base have no record. */
  readonly nextOffset: number
  readonly records: number
  /** The last commit of which it has a record. */
  readonly commit: number
  /** ms since 1970 */
  readonly maxTimestamp: number
}

/** The output that is open. While it is one stored batch of which all stays, it is that batch itself. */
interface Open {
  readonly isStored: boolean
  bytes: Buffer
  /** Bytes in use. */
  length: number
  records: number
  commit: number
  nextOffset: number
  maxTimestamp: number
  readonly baseOffset: number
  readonly baseTimestamp: number
  readonly attributes: number
}

export class BatchMerger {
  readonly #batchBytesMax: number
  readonly #filter: BatchFilter
  readonly #emit: (batch: MergedBatch) => void
  #open: Open | null = null
  #lastCommit = -1
  #nextOffset = 0

  /** @param filter space to work in; the mergers of many partitions can share one */
  constructor(batchBytesMax: number, filter: BatchFilter, emit: (batch: MergedBatch) => void) {
    this.#batchBytesMax = batchBytesMax
    this.#filter = filter
    this.#emit = emit
  }

  /** Memory that the open output holds; 0 when there is none. */
  get openBytes(): number {
    return this.#open?.bytes.length ?? 0
  }
  /** The last commit in the open output; -1 when there is none. */
  get openCommit(): number {
    return this.#open?.commit ?? -1
  }
  /** The least offset that the next batch can have. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  /**
   * Takes the next batch. It is not modified; it must not be while it can be the open output, or one that was emitted. `own` ends that.
   * @param batch one that has no `storedFault`
   */
  add(commit: number, batch: Buffer, keep: Keep): void {
    assert(commit > this.#lastCommit, 'commits come in order')
    assert(baseOffsetOf(batch) >= this.#nextOffset, 'batches come in the order of their offsets')
    this.#lastCommit = commit
    this.#nextOffset = nextOffsetOf(batch)
    const filter = this.#filter
    filter.filter(batch, keep)
    if (filter.kept === 0) return
    if (this.#open !== null && !this.#joins(this.#open, commit, batch)) this.cut()
    if (this.#open === null) this.#open = this.#begin(commit, batch, filter.kept === recordCountOf(batch))
    if (this.#open.commit !== commit) return
    if (this.#open.length >= this.#batchBytesMax) this.cut()
  }

  /** The open output is the stored batch itself: copies it, so that the batch is the caller's again. */
  own(): void {
    const open = this.#open
    if (open?.isStored === true) open.bytes = ownBytes(open.bytes)
  }

  /** Ends the open output: the next batch begins another one. */
  cut(): void {
    const open = this.#open
    if (open === null) return
    this.#open = null
    const bytes = open.isStored ? open.bytes : open.bytes.subarray(0, open.length)
    const { baseOffset, nextOffset, records, commit, maxTimestamp } = open
    if (!open.isStored) {
      const lastOffsetDelta = nextOffset - 1 - baseOffset
      const { baseTimestamp, attributes } = open
      writeHeader(bytes, { baseOffset, lastOffsetDelta, baseTimestamp, maxTimestamp, records, attributes })
    }
    this.#emit({ bytes, baseOffset, nextOffset, records, commit, maxTimestamp })
  }

  /** Puts what stays behind the open output, where it may stand there. */
  #joins(open: Open, commit: number, batch: Buffer): boolean {
    const filter = this.#filter
    const room = this.#batchBytesMax - open.length
    if (filter.bytesMin > room || attributesOf(batch) !== open.attributes) return false
    if (filter.lastOffset - open.baseOffset > OFFSET_DELTA_MAX) return false
    const encoded = filter.encode(open.baseOffset, open.baseTimestamp)
    if (encoded > room) return false
    const grown = this.#withRoom(open, encoded)
    filter.copyTo(grown.bytes, grown.length)
    grown.length += encoded
    grown.records += filter.kept
    grown.commit = commit
    grown.nextOffset = filter.lastOffset + 1
    grown.maxTimestamp = Math.max(grown.maxTimestamp, filter.maxTimestamp)
    this.#open = grown
    return true
  }

  /** The same output with room for more, and its own bytes. Those of a stored batch stand as they are in a larger one. */
  #withRoom(open: Open, bytes: number): Open {
    const needed = open.length + bytes
    if (!open.isStored && needed <= open.bytes.length) return open
    const doubled = Math.max(needed, OUTPUT_BYTES_MIN, open.length * 2)
    const grown = Buffer.allocUnsafeSlow(Math.min(doubled, Math.max(needed, this.#batchBytesMax)))
    open.bytes.copy(grown, 0, 0, open.length)
    if (!open.isStored) {
      open.bytes = grown
      return open
    }
    return { ...open, isStored: false, bytes: grown }
  }

  #begin(commit: number, batch: Buffer, isWhole: boolean): Open {
    const attributes = attributesOf(batch)
    if (isWhole) {
      return {
        isStored: true,
        bytes: batch,
        length: batch.length,
        records: recordCountOf(batch),
        commit,
        nextOffset: nextOffsetOf(batch),
        maxTimestamp: maxTimestampOf(batch),
        baseOffset: baseOffsetOf(batch),
        baseTimestamp: baseTimestampOf(batch),
        attributes,
      }
    }
    const { kept, firstOffset, firstTimestamp, lastOffset, maxTimestamp } = this.#filter
    const length = BATCH_HEADER_BYTES + this.#filter.encode(firstOffset, firstTimestamp)
    const bytes = Buffer.allocUnsafeSlow(length)
    this.#filter.copyTo(bytes, BATCH_HEADER_BYTES)
    return {
      isStored: false,
      bytes,
      length,
      records: kept,
      commit,
      nextOffset: lastOffset + 1,
      maxTimestamp,
      baseOffset: firstOffset,
      baseTimestamp: firstTimestamp,
      attributes,
    }
  }
}

/** A copy that holds no more memory than it has bytes. */
export function ownBytes(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
