/**
 * How far a replay has come, as it is stored with a session that stays. On disk: never change.
 *
 *     position := lanes:varint (partition:varint next:varint)*            all that is below `next` was sent; no lanes: not begun
 *                 unacked:varint (partition:varint offset:varint packetId:varint)*     of that, what was not acknowledged, in order
 *
 * Varints are zigzag (log/varint.ts).
 */
import { cursor, readVarint, writeVarint } from '../../log/varint.ts'

const VARINT_BYTES_MAX = 10

export interface Unacked {
  readonly partition: number
  readonly offset: number
  readonly packetId: number
}

export interface ReplayPosition {
  /** By partition; null: not begun. */
  readonly next: ReadonlyMap<number, number> | null
  readonly unacked: readonly Unacked[]
}

export function encodePosition({ next, unacked }: ReplayPosition): Buffer {
  const lanes = next ?? new Map<number, number>()
  const bytes = Buffer.allocUnsafe(VARINT_BYTES_MAX * (2 + 2 * lanes.size + 3 * unacked.length))
  let at = writeVarint(bytes, 0, lanes.size)
  for (const [partition, offset] of lanes) {
    at = writeVarint(bytes, at, partition)
    at = writeVarint(bytes, at, offset)
  }
  at = writeVarint(bytes, at, unacked.length)
  for (const { partition, offset, packetId } of unacked) {
    at = writeVarint(bytes, at, partition)
    at = writeVarint(bytes, at, offset)
    at = writeVarint(bytes, at, packetId)
  }
  return bytes.subarray(0, at)
}

/** @throws RangeError where these are not a position's bytes */
export function decodePosition(bytes: Buffer): ReplayPosition {
  const lanes = readVarint(bytes, 0)
  const next = new Map<number, number>()
  for (let left = lanes; left > 0; left--) {
    const partition = readVarint(bytes, cursor.at)
    next.set(partition, readVarint(bytes, cursor.at))
  }
  const unacked: Unacked[] = []
  for (let left = readVarint(bytes, cursor.at); left > 0; left--) {
    const partition = readVarint(bytes, cursor.at)
    const offset = readVarint(bytes, cursor.at)
    unacked.push({ partition, offset, packetId: readVarint(bytes, cursor.at) })
  }
  return { next: lanes === 0 ? null : next, unacked }
}
