/**
 * MQTT-SN 1.2, 5.2.1: a message begins with its own length, itself included: one octet 0x02..0xFF, or 0x01 and two octets, high one first.
 *
 * @param end exclusive
 * @returns the length that the message says it has, -1 when it is too short to say
 */
export function declaredLength(bytes: Uint8Array, start = 0, end = bytes.length): number {
  if (end - start < 2) return -1
  if (bytes[start] !== 1) return bytes[start]!
  return end - start < 4 ? -1 : (bytes[start + 1]! << 8) | bytes[start + 2]!
}
