/**
 * CRC-16/CCITT-FALSE (catalogue name CRC-16/IBM-3740): polynomial 0x1021, initial value 0xFFFF, nothing reflected, nothing inverted.
 * "123456789" gives 0x29B1.
 */
const POLYNOMIAL = 0x1021
export const CRC16_INITIAL = 0xffff

/** The remainder of each byte; 512 B. */
export const CRC16_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte << 8
  for (let bit = 0; bit < 8; bit++) {
    remainder = (remainder & 0x8000) === 0 ? remainder << 1 : (remainder << 1) ^ POLYNOMIAL
  }
  return remainder & 0xffff
})

/** @param end exclusive */
export function crc16(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = CRC16_INITIAL
  for (let i = start; i < end; i++) crc = ((crc << 8) & 0xffff) ^ CRC16_TABLE[(crc >>> 8) ^ bytes[i]!]!
  return crc
}
