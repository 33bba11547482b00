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
  /** End of the last whole record that LevelDB drops because it stands behind a damaged one in its block. */
  let droppedEnd = 0
  let logicalOpen = false
  let at = 0
  let badFrom = -1
  while (at + HEADER_BYTES <= file.length) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES)
    if (left < HEADER_BYTES) {
      at += left
      continue
    }
    const end = recordEnd(file, at)
    if (!isWhole(file, at)) {
      if (badFrom < 0) badFrom = at
      logicalOpen = false
      for (let next = end; isWhole(file, next); next = droppedEnd) droppedEnd = recordEnd(file, next)
      at += left // LevelDB goes on with the next block
      continue
    }
    const type = file[at + 6]
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
  // what a crash cut short has nothing whole behind it
  if (badFrom >= 0 && droppedEnd > badFrom) {
    damagedBytes += droppedEnd - badFrom
    wholeEnd = droppedEnd
  }
  return { records, tornBytes: trailing(file, wholeEnd), damagedBytes }
}

/** Where the physical record at `at` says that it ends. */
function recordEnd(file: Buffer, at: number): number {
  return at + HEADER_BYTES + file.readUInt16LE(at + 4)
}

/** True where a physical record stands whole within its block. */
function isWhole(file: Buffer, at: number): boolean {
  const left = BLOCK_BYTES - (at % BLOCK_BYTES)
  if (left < HEADER_BYTES || at + HEADER_BYTES > file.length) return false
  const end = recordEnd(file, at)
  const type = file[at + 6]!
  if (end > file.length || end - at > left || type < 1 || type > 4) return false
  return maskedCrc(file.subarray(at + 6, end)) === file.readUInt32LE(at)
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
