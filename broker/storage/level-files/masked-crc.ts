/**
 * The checksum of LevelDB's files: CRC-32C, rotated and moved by a constant, so that data which holds checksums of its own does not
 * weaken it (util/crc32c.h).
 */
import { crc32c } from '../crc32c.ts'

export function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
