/**
 * Splits parts of a round by key, for a topic whose partitions are not the stream's: a record goes where Kafka's own
 * clients would put its key (murmur2), so that a key stays in order; records without one stay together, by their local
 * partition. The result is parts again, of one batch each, whose offsets have gaps as those of compacted batches have.
 *
 * Two passes: the first says which record goes where and how large each batch can get, the second moves bytes into one
 * buffer, which is used again for the next round.
 *
 *   stored  length attributes timestampDelta offsetDelta | key value headers
 *   split   length attributes timestampDelta offsetDelta | the same
 */
import {
  assert,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  cursor,
  murmur2,
  nextOffsetOf,
  partitionOfHash,
  readVarint,
  recordCountOf,
  type StoredBatch,
  varintSize,
  writeHeader,
  writeVarint,
} from '../../broker/index.ts'
import type { RoundPart } from '../upstream.ts'

/** Length, timestamp delta and offset delta can each take this much more than they did, together. */
const GROWTH_BYTES_MAX = 24
/** A buffer that one burst made larger is let go. */
const KEEP_BYTES_MAX = 8 * 1024 * 1024

/** Where the records of one part go: as many bytes for each target as its batch takes at most. */
interface Plan {
  readonly part: RoundPart
  /** By record, in order. */
  readonly targets: Uint16Array
  readonly bytes: Float64Array
}

/** One target's batch while it grows. */
interface Growing {
  readonly from: number
  at: number
  count: number
  baseOffset: number
  lastOffset: number
  baseTimestamp: number
  maxTimestamp: number
}

export class KeySplitter {
  #bytes: Buffer = Buffer.alloc(0)

  /**
   * @param targetCount how many partitions there are to choose from
   * @returns for each part, by target, what goes there; valid until the next call
   */
  split(parts: readonly RoundPart[], targetCount: number): Map<number, RoundPart>[] {
    const plans = parts.map((part) => plan(part, targetCount))
    const bytes = plans.reduce((sum, { bytes }) => sum + bytes.reduce((a, b) => a + b, 0), 0)
    if (bytes > this.#bytes.length || this.#bytes.length > KEEP_BYTES_MAX) {
      this.#bytes = Buffer.allocUnsafeSlow(bytes)
    }
    let at = 0
    return plans.map((item) => {
      const split = move(item, this.#bytes, at)
      at = split.end
      return split.parts
    })
  }
}

/** The records of a part that are to be sent, one after the other. Nothing is decoded to an object: `visit` gets positions. */
function walk(
  part: RoundPart,
  visit: (bytes: Buffer, restAt: number, end: number, offset: number, timestamp: number) => void,
): void {
  for (const { bytes } of part.batches) {
    if (nextOffsetOf(bytes) <= part.fromOffset) continue
    const baseOffset = baseOffsetOf(bytes)
    const baseTimestamp = baseTimestampOf(bytes)
    const count = recordCountOf(bytes)
    let at = BATCH_HEADER_BYTES
    for (let i = 0; i < count; i++) {
      const length = readVarint(bytes, at)
      const end = cursor.at + length
      if (length < 0 || end > bytes.length) throw new RangeError('a record runs past its batch')
      const timestamp = baseTimestamp + readVarint(bytes, cursor.at + 1)
      const offset = baseOffset + readVarint(bytes, cursor.at)
      at = end
      if (offset >= part.fromOffset) visit(bytes, cursor.at, end, offset, timestamp)
    }
  }
}

function plan(part: RoundPart, targetCount: number): Plan {
  const records = part.batches.reduce((sum, { bytes }) => sum + recordCountOf(bytes), 0)
  const targets = new Uint16Array(records)
  const bytes = new Float64Array(targetCount)
  const keyless = part.partition % targetCount
  let index = 0
  walk(part, (batch, restAt, end) => {
    const keyLength = readVarint(batch, restAt)
    const keyAt = cursor.at
    const target =
      keyLength < 0 ? keyless : partitionOfHash(murmur2(batch, keyAt, keyAt + keyLength), targetCount)
    targets[index++] = target
    bytes[target]! += end - restAt + GROWTH_BYTES_MAX
  })
  for (let target = 0; target < targetCount; target++) {
    if (bytes[target]! > 0) bytes[target]! += BATCH_HEADER_BYTES
  }
  return { part, targets, bytes }
}

function move(
  { part, targets, bytes: sizes }: Plan,
  out: Buffer,
  from: number,
): { parts: Map<number, RoundPart>; end: number } {
  const growing: (Growing | null)[] = []
  let end = from
  for (const size of sizes) {
    growing.push(size === 0 ? null : open(end))
    end += size
  }
  let index = 0
  walk(part, (batch, restAt, recordEnd, offset, timestamp) => {
    append(growing[targets[index++]!]!, out, batch, restAt, recordEnd, offset, timestamp)
  })
  const parts = new Map<number, RoundPart>()
  for (const [target, batch] of growing.entries()) {
    if (batch === null) continue
    assert(batch.at - batch.from <= sizes[target]!, 'a split batch stays in its place')
    const stored = close(part, batch, out)
    const { nextOffset } = stored
    parts.set(target, { ...part, fromOffset: batch.baseOffset, nextOffset, batches: [stored] })
  }
  return { parts, end }
}

function open(from: number): Growing {
  const at = from + BATCH_HEADER_BYTES
  return { from, at, count: 0, baseOffset: 0, lastOffset: 0, baseTimestamp: 0, maxTimestamp: 0 }
}

function append(
  batch: Growing,
  out: Buffer,
  source: Buffer,
  restAt: number,
  end: number,
  offset: number,
  timestamp: number,
): void {
  if (batch.count === 0) {
    batch.baseOffset = offset
    batch.baseTimestamp = timestamp
    batch.maxTimestamp = timestamp
  } else if (timestamp > batch.maxTimestamp) batch.maxTimestamp = timestamp
  const timestampDelta = timestamp - batch.baseTimestamp
  const offsetDelta = offset - batch.baseOffset
  const length = 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + end - restAt
  let at = writeVarint(out, batch.at, length)
  out[at++] = 0
  at = writeVarint(out, at, timestampDelta)
  at = writeVarint(out, at, offsetDelta)
  batch.at = at + source.copy(out, at, restAt, end)
  batch.lastOffset = offset
  batch.count++
}

function close({ stream, partition }: RoundPart, batch: Growing, out: Buffer): StoredBatch {
  const bytes = out.subarray(batch.from, batch.at)
  writeHeader(bytes, {
    baseOffset: batch.baseOffset,
    lastOffsetDelta: batch.lastOffset - batch.baseOffset,
    baseTimestamp: batch.baseTimestamp,
    maxTimestamp: batch.maxTimestamp,
    records: batch.count,
    attributes: 0,
  })
  return { stream, partition, baseOffset: batch.baseOffset, nextOffset: batch.lastOffset + 1, bytes }
}
