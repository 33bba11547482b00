/**
 * Looks into LevelDB's write-ahead file (`NNNNNN.log`), to know what LevelDB will drop when it opens: it does so without a word, and
 * what is dropped must be counted.
 */
import { type LogBytes, readLogFile } from './level-files/log-file.ts'

export interface WriteAheadState {
  /** Logical records that are whole: LevelDB will apply them. */
  readonly records: number
  /** Bytes after the last whole record, at the end of the file: a write that a crash cut short. */
  readonly tornBytes: number
  /** Bytes that LevelDB will not apply and that are not the torn end: damage in the middle of the file. */
  readonly damagedBytes: number
}

export async function inspectWriteAheadLog(file: LogBytes): Promise<WriteAheadState> {
  const state = { records: 0, tornBytes: 0, damagedBytes: 0 }
  for await (const piece of readLogFile(file)) {
    const bytes = piece.end - piece.at
    if (piece.kind === 'tail') state.tornBytes += bytes
    else if (piece.kind === 'record' && piece.isSeen) state.records++
    else state.damagedBytes += bytes
  }
  return state
}
