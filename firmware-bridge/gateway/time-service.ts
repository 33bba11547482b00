/**
 * The time for devices that have no clock, as in NTP (RFC 5905, section 8), on two predefined topic ids.
 *
 *     request  (0xFF00, any QoS)  = t1 u64                       t1: the device's own ms when it asked, of any origin
 *     response (0xFF01, QoS 0)    = t1 u64, t2 u64, t3 u64, trust u8
 *
 * t2 and t3: Unix ms of the gateway when the request came and when the response left. trust: 1 where the gateway's clock is known to be right,
 * 0 where not. All big-endian. A device that got it at t4 is (t2 - t1 + t3 - t4) / 2 behind.
 *
 * Example: the request 00 00 00 00 00 00 03 E8 (1,000 ms) of 2026-01-01T00:00:00.000Z is answered with
 * 00 00 00 00 00 00 03 E8  00 00 01 9B 76 DA A8 00  00 00 01 9B 76 DA A8 00  01.
 */
import type { Clock } from '../clock.ts'
import { type Publish, Type } from '../packets/packet.ts'

export const TIME_REQUEST_ID = 0xff00
export const TIME_RESPONSE_ID = 0xff01
const REQUEST_BYTES = 8
const RESPONSE_BYTES = 25

export interface TimeAnswer {
  readonly packet: Publish
  /** What to add to the device's ms for Unix ms, the way between left out. */
  readonly clockOffsetMs: number
}

/** @returns null where it is no request */
export function answerTime(request: Uint8Array, clock: Clock, isTrusted: boolean): TimeAnswer | null {
  if (request.length !== REQUEST_BYTES) return null
  const data = Buffer.alloc(RESPONSE_BYTES)
  const received = Math.round(clock.now())
  data.set(request, 0)
  data.writeBigUInt64BE(BigInt(received), 8)
  data.writeBigUInt64BE(BigInt(Math.round(clock.now())), 16)
  data[24] = isTrusted ? 1 : 0
  const packet: Publish = {
    type: Type.publish,
    isDup: false,
    qos: 0,
    isRetained: false,
    topicIdType: 'predefined',
    topicId: TIME_RESPONSE_ID,
    messageId: 0,
    data,
  }
  return { packet, clockOffsetMs: received - Number(data.readBigUInt64BE(0)) }
}
