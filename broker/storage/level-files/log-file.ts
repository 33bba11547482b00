/**
 * LevelDB's log format, that of write-ahead files and manifests (google/leveldb, doc/log_format.md): blocks of 32 KiB, each a row of
 *
 *   piece := crc:u32le length:u16le type:u8 data        crc = masked CRC-32C of type and data
 *   type  := 1 full | 2 first | 3 middle | 4 last       a record of any size is one or more pieces
 *
 * A block's last six bytes or fewer are zero filling. LevelDB reads tolerantly: after a piece whose checksum is wrong it drops the rest
 * of the block; at one that runs past the end of the file, or that is all zeros, it does so without a word. This reader finds what
 * LevelDB finds, and what stands whole behind the damage besides: `isSeen` tells them apart. Behind a damaged piece it goes on where that
 * says it ends, else where a row of whole pieces begins that reaches the block's end: a piece alone can be what a client put into a payload.
 */
import { maskedCrc } from './masked-crc.ts'
import type { TolerantFile } from './tolerant-file.ts'

const LOG_BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7
/** Bytes read from the disk at once. */
const WINDOW_BYTES = 8 * LOG_BLOCK_BYTES
/** Space grown past this by one large record is let go with the next one. */
const KEPT_BYTES_MAX = 1024 * 1024

const FULL = 1
const FIRST = 2
const LAST = 4

export type LogPiece =
  /** `isSeen`: LevelDB finds it as well. `bytes` are there until the next piece is asked for. */
  | {
      readonly kind: 'record'
      readonly at: number
      readonly end: number
      readonly bytes: Buffer
      readonly isSeen: boolean
    }
  /** What is not whole, with something whole behind it. */
  | { readonly kind: 'damage'; readonly at: number; readonly end: number }
  /**
   * What follows the last that is whole, to the end of the file. `isSilent`: LevelDB passes over it without a report, which for a
   * manifest is the difference between a store that opens and one that does not.
   */
  | {
      readonly kind: 'tail'
      readonly at: number
      readonly end: number
      readonly isZeros: boolean
      readonly isSilent: boolean
    }

class LogParser {
  /** Where the last whole record ends. */
  #wholeEnd = 0
  /** Where the last piece ends that is whole and begins a record: what stands before it was not cut short by a crash. */
  #beginningEnd = 0
  /** Where the first record that is not whole, behind the last whole one, begins, and its damaged piece; -1: there is none. */
  #badFrom = -1
  #badPiece = -1
  /** The bytes of the record under way, where it began, and whether LevelDB has them as well. */
  #bytes = Buffer.alloc(0)
  #length = 0
  #isUnderWay = false
  #start = 0
  #isSeen = true
  /** LevelDB takes a block that it cannot read for the end of the file. */
  #isLevelAtEnd = false
  /** Nothing but zeros was met behind the last whole record. */
  #isZeros = true
  /** What was met there LevelDB passes over without a report. */
  #isSilent = true;

  /**
   * @param block 32 KiB, or fewer at the end of the file
   * @param base where in the file it stands
   * @param isUnreadable a part of it came as zeros, because the disk did not give it
   */
  *block(block: Buffer, base: number, isUnreadable = false): Generator<LogPiece> {
    if (isUnreadable) {
      this.#isLevelAtEnd = true
      this.#isSilent = false
    }
    let isDropping = this.#isLevelAtEnd
    let at = 0
    while (at + HEADER_BYTES <= block.length) {
      if (isWhole(block, at)) {
        const end = endOf(block, at)
        yield* this.#piece(block, base, at, end, !isDropping)
        at = end
        continue
      }
      const end = endOf(block, at)
      const isFilling = block[at + 6] === 0 && end === at + HEADER_BYTES && !this.#isUnderWay
      const isCutShort = end > block.length && block.length < LOG_BLOCK_BYTES
      this.#bad(base + at, isFilling || isCutShort)
      const next = isWhole(block, end) ? end : wholePiecesToTheEnd(block, at + 1)
      if (next < 0) break
      // LevelDB has dropped the rest of the block
      isDropping = true
      at = next
    }
    const rest = block.subarray(Math.min(at, block.length))
    if (this.#isZeros) this.#isZeros = !isUnreadable && isZero(rest)
  }

  *#piece(block: Buffer, base: number, at: number, end: number, isSeen: boolean): Generator<LogPiece> {
    const type = block[at + 6]!
    const data = block.subarray(at + HEADER_BYTES, end)
    this.#isZeros = false
    if (type === FULL || type === FIRST) {
      // one under way lacks its end
      if (this.#isUnderWay) this.#bad(base + at, false)
      this.#beginningEnd = base + end
      this.#isUnderWay = true
      this.#length = 0
      this.#start = base + at
      this.#isSeen = true
    } else if (!this.#isUnderWay) {
      this.#bad(base + at, false)
      return
    }
    if (type !== FULL) this.#append(data)
    this.#isSeen &&= isSeen
    if (type !== FULL && type !== LAST) return
    if (this.#badFrom >= 0) yield { kind: 'damage', at: this.#badFrom, end: this.#start }
    const bytes = type === FULL ? data : this.#bytes.subarray(0, this.#length)
    yield { kind: 'record', at: this.#start, end: base + end, bytes, isSeen: this.#isSeen }
    this.#wholeEnd = base + end
    this.#badFrom = -1
    this.#badPiece = -1
    this.#isUnderWay = false
    this.#isZeros = true
    this.#isSilent = !this.#isLevelAtEnd
  }

  #append(data: Buffer): void {
    const needed = this.#length + data.length
    const isKept = this.#bytes.length <= KEPT_BYTES_MAX || this.#length > 0
    if (needed > this.#bytes.length || !isKept) {
      const grown = Buffer.allocUnsafe(Math.max(needed, isKept ? 2 * this.#bytes.length : 0))
      this.#bytes.copy(grown, 0, 0, this.#length)
      this.#bytes = grown
    }
    data.copy(this.#bytes, this.#length)
    this.#length = needed
  }

  #bad(at: number, isSilent: boolean): void {
    this.#isSilent &&= isSilent
    if (this.#badFrom < 0) {
      this.#badFrom = this.#isUnderWay ? this.#start : at
      this.#badPiece = at
    }
    this.#isUnderWay = false
  }

  /** @param size of the whole file */
  *end(size: number): Generator<LogPiece> {
    let from = this.#wholeEnd
    // what a crash cut short has nothing whole behind it
    if (this.#badPiece >= 0 && this.#beginningEnd > this.#badPiece) {
      yield { kind: 'damage', at: this.#badFrom, end: this.#beginningEnd }
      from = this.#beginningEnd
    }
    if (size === from || (size - from < HEADER_BYTES && this.#isZeros)) return
    yield { kind: 'tail', at: from, end: size, isZeros: this.#isZeros, isSilent: this.#isSilent }
  }
}

/** What is read of a file here. */
export type LogBytes = Pick<TolerantFile, 'size' | 'read' | 'isUnreadable'>

/** Reads a log file from its beginning: memory is bounded by a window and one record, and used again. */
export async function* readLogFile(file: LogBytes): AsyncGenerator<LogPiece> {
  const parser = new LogParser()
  const memory = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, file.size))
  for (let base = 0; base < file.size; base += WINDOW_BYTES) {
    const window = await file.read(base, WINDOW_BYTES, memory)
    for (let at = 0; at < window.length; at += LOG_BLOCK_BYTES) {
      const block = window.subarray(at, at + LOG_BLOCK_BYTES)
      yield* parser.block(block, base + at, file.isUnreadable(base + at, base + at + block.length))
    }
  }
  yield* parser.end(file.size)
}

/** Where the piece at `at` says that it ends. */
function endOf(block: Buffer, at: number): number {
  return at + HEADER_BYTES + block.readUInt16LE(at + 4)
}

function isWhole(block: Buffer, at: number): boolean {
  if (at + HEADER_BYTES > block.length) return false
  const end = endOf(block, at)
  const type = block[at + 6]!
  if (end > block.length || type < FULL || type > LAST) return false
  return maskedCrc(block.subarray(at + 6, end)) === block.readUInt32LE(at)
}

/** Where whole pieces begin that follow one another to the end of the block; -1 where there are none. */
function wholePiecesToTheEnd(block: Buffer, from: number): number {
  const isFull = block.length === LOG_BLOCK_BYTES
  for (let at = from; at + HEADER_BYTES <= block.length; at++) {
    let end = at
    while (isWhole(block, end)) end = endOf(block, end)
    const left = block.length - end
    if (end > at && (left === 0 || (isFull && left < HEADER_BYTES))) return at
  }
  return -1
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}
