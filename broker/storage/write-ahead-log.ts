/**
 * Looks into LevelDB's write-ahead file (`NNNNNN.log`), to know what LevelDB will drop when it opens: it does so without a word, and
 * what is dropped must be counted.
 */
import { LOG_BLOCK_BYTES, LogParser, type LogPiece } from './level-files/log-file.ts'

export interface WriteAheadState {
  /** Logical records that are whole: LevelDB will apply them. */
  readonly records: number
  /** Bytes after the last whole record, at the end of the file: a write that a crash cut short. */
  readonly tornBytes: number
  /** Bytes that LevelDB will not apply and that are not the torn end: damage in the middle of the file. */
  readonly damagedBytes: number
}

/** @param file the whole write-ahead file: a few megabytes, the write buffer's size. */
export function inspectWriteAheadLog(file: Buffer): WriteAheadState {
  const state = { records: 0, tornBytes: 0, damagedBytes: 0 }
  for (const piece of piecesOf(file)) {
    const bytes = piece.end - piece.at
    if (piece.kind === 'tail') state.tornBytes += bytes
    else if (piece.kind === 'record' && piece.isSeen) state.records++
    else state.damagedBytes += bytes
  }
  return state
}

function* piecesOf(file: Buffer): Generator<LogPiece> {
  const parser = new LogParser()
  for (let at = 0; at < file.length; at += LOG_BLOCK_BYTES)
    yield* parser.block(file.subarray(at, at + LOG_BLOCK_BYTES), at)
  yield* parser.end(file.length)
}
