/**
 * The device's time before a body. On the wire: never change.
 *
 *   body   := prefix rest
 *   prefix := 0x01 ms        ms = Unix time by the device's clock, 8 bytes, high one first
 *           | 0x00 any{8}    the device does not know the time
 *
 * Example: 01 00 00 01 8B CF E5 68 00, 1,700,000,000,000 ms, 14 November 2023.
 */
import { isTime } from './cbor-body.ts'

const PREFIX_BYTES = 9
const UNKNOWN = 0
const KNOWN = 1

export interface TimedBody {
  readonly rest: Uint8Array
  readonly deviceTimeMs: number | null
}

/** @returns null when there is no such prefix */
export function splitTimePrefix(body: Uint8Array): TimedBody | null {
  if (body.length < PREFIX_BYTES) return null
  const rest = body.subarray(PREFIX_BYTES)
  if (body[0] === UNKNOWN) return { rest, deviceTimeMs: null }
  const ms = Number(Buffer.from(body.buffer, body.byteOffset, body.length).readBigUInt64BE(1))
  return body[0] === KNOWN && isTime(ms) ? { rest, deviceTimeMs: ms } : null
}
