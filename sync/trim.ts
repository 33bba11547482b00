/** Cuts the front off a stored batch, offsets and all else kept: for a position in the middle of one, which is rare. */
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  crc32c,
  cursor,
  readVarint,
  recordCountOf,
  varintSize,
  writeInt64,
  writeVarint,
} from '../broker/index.ts'

const CRC_FROM = 21

/** @returns the batch without the records below `fromOffset`, or null when none is left. */
export function trimBatch(batch: Buffer, fromOffset: number): Buffer | null {
  const baseOffset = baseOffsetOf(batch)
  const count = recordCountOf(batch)
  const out = Buffer.allocUnsafe(batch.length)
  batch.copy(out, 0, 0, BATCH_HEADER_BYTES)
  let at = BATCH_HEADER_BYTES
  let to = BATCH_HEADER_BYTES
  let kept = 0
  let newBase = 0
  let maxTimestampDelta = 0
  for (let i = 0; i < count; i++) {
    const end = readVarint(batch, at) + cursor.at
    const timestampDelta = readVarint(batch, cursor.at + 1)
    const offset = baseOffset + readVarint(batch, cursor.at)
    at = end
    if (offset < fromOffset) continue
    if (kept === 0) newBase = offset
    if (kept === 0 || timestampDelta > maxTimestampDelta) maxTimestampDelta = timestampDelta
    const delta = offset - newBase
    to = writeVarint(out, to, 1 + varintSize(timestampDelta) + varintSize(delta) + end - cursor.at)
    out[to++] = 0
    to = writeVarint(out, to, timestampDelta)
    to = writeVarint(out, to, delta)
    to += batch.copy(out, to, cursor.at, end)
    kept++
  }
  if (kept === 0) return null
  const trimmed = out.subarray(0, to)
  const lastOffset = baseOffset + batch.readInt32BE(23)
  writeInt64(trimmed, 0, newBase)
  trimmed.writeInt32BE(to - 12, 8)
  trimmed.writeInt32BE(lastOffset - newBase, 23)
  writeInt64(trimmed, 35, baseTimestampOf(batch) + maxTimestampDelta)
  trimmed.writeInt32BE(kept, 57)
  trimmed.writeUInt32BE(crc32c(trimmed.subarray(CRC_FROM)), 17)
  return trimmed
}
