/**
 * A checkpoint says "all below offset N is upstream"; its proof says *of which log*. It is the CRC-32C of the record at
 * N - 1: its timestamp (int64, ms) followed by its bytes from the key's length to the end of its headers. A log
 * restored from an older copy, or written on a cloned card, has another record there.
 *
 * It is taken from the record and not from the stored batch, because small batches are merged and compaction rewrites
 * them; the record stays what it is, or is gone.
 */
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  crc32c,
  cursor,
  type LogSource,
  readVarint,
  recordCountOf,
  writeInt64,
} from '../broker/index.ts'
import type { RoundPart } from './upstream.ts'

/** @returns the proof, or null when the batch does not hold the offset. */
export function recordProof(batch: Buffer, offset: number): number | null {
  const wanted = offset - baseOffsetOf(batch)
  const count = recordCountOf(batch)
  let at = BATCH_HEADER_BYTES
  for (let i = 0; i < count; i++) {
    const length = readVarint(batch, at)
    const end = cursor.at + length
    const timestampDelta = readVarint(batch, cursor.at + 1)
    if (readVarint(batch, cursor.at) === wanted) {
      const bytes = Buffer.allocUnsafe(8 + end - cursor.at)
      writeInt64(bytes, 0, baseTimestampOf(batch) + timestampDelta)
      batch.copy(bytes, 8, cursor.at, end)
      return crc32c(bytes)
    }
    at = end
  }
  return null
}

/** The proof that belongs to a part's `nextOffset`; null when compaction removed the record before it. */
export function partProof(part: RoundPart): number | null {
  if (part.proof !== undefined) return part.proof
  const last = part.batches.at(-1)
  return last === undefined ? null : recordProof(last.bytes, part.nextOffset - 1)
}

/** The proof that the edge's own log gives for a position; null when it no longer has that record. */
export async function logProof(
  log: LogSource,
  stream: string,
  partition: number,
  next: number,
): Promise<number | null> {
  const [batch] = await log.read(stream, partition, next - 1, 1)
  return batch === undefined ? null : recordProof(batch.bytes, next - 1)
}
