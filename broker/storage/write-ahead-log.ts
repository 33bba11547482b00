/**
 * Reads LevelDB's write-ahead file (`NNNNNN.log`), to know what LevelDB will drop when it opens: it does so without a word,
 * and what is dropped must be counted. Format (google/leveldb, doc/log_format.md): blocks of 32 KiB, each a row of
 *
 *   record := crc:u32le length:u16le type:u8 data        crc = masked CRC-32C of type and data
 *   type   := 1 full | 2 first | 3 middle | 4 last       a write of any size is one logical record
 *
 * A block's last six bytes or fewer are zero filling.
 */
import { crc32c } from './crc32c.ts'

const BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7

export interface WriteAheadState {
  /** Logical records that are whole: LevelDB will apply them. */
  readonly records: number
  /** Bytes after the last whole record, at the end of the file: a write that a crash cut short. */
  readonly tornBytes: number
  /** Bytes that are neither whole records nor the torn end: damage in the middle of the file. */
  readonly damagedBytes: number
}

/** @param file the whole write-ahead file: a few megabytes, the write buffer's size. */
export function inspectWriteAheadLog(file: Buffer): WriteAheadState {
  let records = 0
  let damagedBytes = 0
  /** End of the last whole logical record. */
  let wholeEnd = 0
  let logicalOpen = false
  let at = 0
  let badFrom = -1
  while (at + HEADER_BYTES <= file.length) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES)
    if (left < HEADER_BYTES) {
      at += left
      continue
    }
    const end = at + HEADER_BYTES + file.readUInt16LE(at + 4)
    const type = file[at + 6]!
    const fits = end <= file.length && end - at <= left && type >= 1 && type <= 4
    if (!fits || maskedCrc(file.subarray(at + 6, end)) !== file.readUInt32LE(at)) {
      if (badFrom < 0) badFrom = at
      logicalOpen = false
      at += left // LevelDB goes on with the next block
      continue
    }
    if (type === 1 || type === 2) logicalOpen = true
    if (logicalOpen && (type === 1 || type === 4)) {
      if (badFrom >= 0) damagedBytes += at - badFrom
      badFrom = -1
      records++
      wholeEnd = end
      logicalOpen = false
    }
    at = end
  }
  return { records, tornBytes: trailing(file, wholeEnd), damagedBytes }
}

/** Bytes after `end` that are not just the block's zero filling. */
function trailing(file: Buffer, end: number): number {
  const rest = file.subarray(end)
  if (rest.length < HEADER_BYTES && rest.every((byte) => byte === 0)) return 0
  return rest.length
}

function maskedCrc(bytes: Buffer): number {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
