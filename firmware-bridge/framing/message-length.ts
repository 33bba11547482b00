/** MQTT-SN 1.2, section 5.2.1: a message begins with its own length, itself included: one octet 0x02..0xFF, or 0x01 and two octets, high one first. */

/** Of a forwarder: its length ends before the message that it carries, which has a length of its own. Section 5.5. */
const ENCAPSULATED = 0xfe

/**
 * @param end exclusive
 * @returns the length that the message says it has, with what it carries; -1 when it is too short to say
 */
export function declaredLength(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const length = ownLength(bytes, start, end)
  if (length < 2 || bytes[start + (bytes[start] === 1 ? 3 : 1)] !== ENCAPSULATED) return length
  const carried = ownLength(bytes, start + length, end)
  return carried < 0 ? -1 : length + carried
}

function ownLength(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 2) return -1
  if (bytes[start] !== 1) return bytes[start]!
  return end - start < 4 ? -1 : (bytes[start + 1]! << 8) | bytes[start + 2]!
}
