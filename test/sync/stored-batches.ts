/** Stored batches for tests: as the log would hold them, without a log. */
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  crc32c,
  cursor,
  nextOffsetOf,
  readVarint,
  recordCountOf,
  type StoredBatch,
  varintSize,
  writeVarint,
} from '../../broker/index.ts'

export function storedBatch(stream: string, partition: number, bytes: Buffer): StoredBatch {
  return { stream, partition, baseOffset: baseOffsetOf(bytes), nextOffset: nextOffsetOf(bytes), bytes }
}

/** The same records with other offset deltas, as compaction leaves them. */
export function withGaps(batch: Buffer, deltas: readonly number[]): Buffer {
  const out = Buffer.alloc(batch.length + deltas.length * 8)
  batch.copy(out, 0, 0, BATCH_HEADER_BYTES)
  let at = BATCH_HEADER_BYTES
  let to = BATCH_HEADER_BYTES
  for (let i = 0; i < recordCountOf(batch); i++) {
    const end = readVarint(batch, at) + cursor.at
    const timestampDelta = readVarint(batch, cursor.at + 1)
    readVarint(batch, cursor.at)
    const rest = batch.subarray(cursor.at, end)
    const delta = deltas[i]!
    to = writeVarint(out, to, 1 + varintSize(timestampDelta) + varintSize(delta) + rest.length)
    out[to++] = 0
    to = writeVarint(out, to, timestampDelta)
    to = writeVarint(out, to, delta)
    to += rest.copy(out, to)
    at = end
  }
  const result = out.subarray(0, to)
  result.writeInt32BE(to - 12, 8)
  result.writeInt32BE(deltas.at(-1)!, 23)
  result.writeUInt32BE(crc32c(result.subarray(21)), 17)
  return result
}

/** mulberry32: small, seedable, good enough to choose test inputs. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
