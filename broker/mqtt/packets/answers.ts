/**
 * What the broker answers, as bytes: PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP and DISCONNECT. CONNACK is in connack.ts, PUBLISH in
 * publish-encoder.ts. Section numbers are of MQTT 5.
 *
 *     acknowledgement = packetId [reasonCode [properties]]    3.4 to 3.7; MQTT 5: the reason code is left out where it is 0
 *     suback          = packetId [properties] code+           3.9; properties: MQTT 5. MQTT 3: 0 to 2 or 0x80
 *     unsuback        = packetId [properties code+]           3.11; what is in brackets: MQTT 5
 *     disconnect      = [reasonCode [properties]]             3.14; MQTT 5 alone: a server says nothing in MQTT 3
 *
 * Examples: 40 02 00 07 PUBACK; 40 03 00 07 97 PUBACK with quota exceeded; 90 04 00 01 00 01 SUBACK of one filter with QoS 1.
 */
import { PacketType } from './frame-scanner.ts'
import type { ProtocolVersion, UserProperties } from './packet.ts'
import { Property } from './properties.ts'
import { framed, PropertyWriter } from './property-writer.ts'

/** What explains an answer. Only with MQTT 5, and only to a client that asks for problem information. MQTT-3.1.2-32 */
export interface Explanation {
  readonly reasonString?: string
  readonly userProperties?: UserProperties
  /** The client's maximum packet size: an explanation that does not fit is left out. MQTT-3.4.2-2 and its like. */
  readonly packetBytesMax?: number | null
}

const FAILURE = 0x80
const NO_PROPERTIES = Buffer.from([0])
const PINGRESP = Buffer.from([PacketType.pingresp << 4, 0])
/** Longest that `writeAcknowledgement` writes. */
export const ACKNOWLEDGEMENT_BYTES_MAX = 5

export const AcknowledgementByte = {
  puback: PacketType.puback << 4,
  pubrec: PacketType.pubrec << 4,
  pubrel: (PacketType.pubrel << 4) | 2,
  pubcomp: PacketType.pubcomp << 4,
} as const

/**
 * The hot path: writes a PUBACK, PUBREC, PUBREL or PUBCOMP in place. @param first of AcknowledgementByte
 * @returns Where it ends: at most ACKNOWLEDGEMENT_BYTES_MAX further.
 */
export function writeAcknowledgement(
  target: Uint8Array,
  at: number,
  first: number,
  version: ProtocolVersion,
  packetId: number,
  reasonCode: number,
): number {
  const hasReason = version === 5 && reasonCode !== 0
  target[at] = first
  target[at + 1] = hasReason ? 3 : 2
  target[at + 2] = packetId >> 8
  target[at + 3] = packetId & 0xff
  if (!hasReason) return at + 4
  target[at + 4] = reasonCode
  return at + 5
}

export function encodePuback(
  v: ProtocolVersion,
  packetId: number,
  reasonCode = 0,
  why?: Explanation,
): Buffer {
  return encodeAcknowledgement(AcknowledgementByte.puback, v, packetId, reasonCode, why)
}

export function encodePubrec(
  v: ProtocolVersion,
  packetId: number,
  reasonCode = 0,
  why?: Explanation,
): Buffer {
  return encodeAcknowledgement(AcknowledgementByte.pubrec, v, packetId, reasonCode, why)
}

export function encodePubrel(
  v: ProtocolVersion,
  packetId: number,
  reasonCode = 0,
  why?: Explanation,
): Buffer {
  return encodeAcknowledgement(AcknowledgementByte.pubrel, v, packetId, reasonCode, why)
}

export function encodePubcomp(
  v: ProtocolVersion,
  packetId: number,
  reasonCode = 0,
  why?: Explanation,
): Buffer {
  return encodeAcknowledgement(AcknowledgementByte.pubcomp, v, packetId, reasonCode, why)
}

/** @param reasonCodes one a filter, in their order */
export function encodeSuback(
  version: ProtocolVersion,
  packetId: number,
  reasonCodes: readonly number[],
  why?: Explanation,
): Buffer {
  const first = PacketType.suback << 4
  if (version !== 5) {
    // MQTT 3.1.1, section 3.9.3: one code for each failure.
    const codes = reasonCodes.map((code) => (code >= FAILURE ? FAILURE : code))
    return framed(first, packetIdBytes(packetId), Buffer.from(codes))
  }
  return explained(
    why,
    (properties) => framed(first, packetIdBytes(packetId), properties, Buffer.from(reasonCodes)),
    NO_PROPERTIES,
  )
}

/** @param reasonCodes one a filter, in their order; MQTT 3 does not say them */
export function encodeUnsuback(
  version: ProtocolVersion,
  packetId: number,
  reasonCodes: readonly number[],
  why?: Explanation,
): Buffer {
  const first = PacketType.unsuback << 4
  if (version !== 5) return framed(first, packetIdBytes(packetId))
  return explained(
    why,
    (properties) => framed(first, packetIdBytes(packetId), properties, Buffer.from(reasonCodes)),
    NO_PROPERTIES,
  )
}

/** One and the same for all: it must not be changed. */
export function encodePingresp(): Buffer {
  return PINGRESP
}

/** @returns null with MQTT 3: its servers close without a word. */
export function encodeDisconnect(
  version: ProtocolVersion,
  reasonCode: number,
  why?: Explanation & { readonly serverReference?: string },
): Buffer | null {
  if (version !== 5) return null
  const first = PacketType.disconnect << 4
  const code = Buffer.from([reasonCode])
  const plain = framed(first, code)
  const writer = new PropertyWriter()
    .text(Property.reasonString, why?.reasonString)
    .text(Property.serverReference, why?.serverReference)
    .user(why?.userProperties)
  if (writer.byteLength === 0) return plain
  const whole = framed(first, code, writer.finish())
  return fits(whole, why) ? whole : plain
}

function encodeAcknowledgement(
  first: number,
  version: ProtocolVersion,
  packetId: number,
  reasonCode: number,
  why: Explanation | undefined,
): Buffer {
  const plain = Buffer.allocUnsafe(version === 5 && reasonCode !== 0 ? 5 : 4)
  writeAcknowledgement(plain, 0, first, version, packetId, reasonCode)
  if (version !== 5 || why === undefined) return plain
  const writer = explanation(why)
  if (writer.byteLength === 0) return plain
  const whole = framed(first, packetIdBytes(packetId), Buffer.from([reasonCode]), writer.finish())
  return fits(whole, why) ? whole : plain
}

/** With the explanation, or without where it does not fit. */
function explained(
  why: Explanation | undefined,
  encode: (properties: Buffer) => Buffer,
  otherwise: Buffer,
): Buffer {
  const plain = encode(otherwise)
  if (why === undefined) return plain
  const writer = explanation(why)
  if (writer.byteLength === 0) return plain
  const whole = encode(writer.finish())
  return fits(whole, why) ? whole : plain
}

function explanation(why: Explanation): PropertyWriter {
  return new PropertyWriter().text(Property.reasonString, why.reasonString).user(why.userProperties)
}

function fits(packet: Buffer, why: Explanation | undefined): boolean {
  const most = why?.packetBytesMax ?? null
  return most === null || packet.length <= most
}

function packetIdBytes(packetId: number): Buffer {
  return Buffer.from([packetId >> 8, packetId & 0xff])
}
