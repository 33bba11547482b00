/** Judges a write-ahead file that LevelDB will replay. */
import { join } from 'node:path'
import type { Disk } from '../store.ts'
import type { Findings } from './findings.ts'
import { readLogFile } from './log-file.ts'
import { TolerantFile } from './tolerant-file.ts'
import { checkBatch } from './write-batch.ts'

/**
 * @param afterSequence the newest sequence of the logs before this one, -1 where there are none
 * @returns the newest sequence up to the end of this one
 */
export async function checkLog(
  disk: Disk,
  directory: string,
  name: string,
  afterSequence: number,
  findings: Findings,
): Promise<number> {
  const file = await TolerantFile.open(disk, join(directory, name), name)
  if (file === undefined || file.isLost) {
    findings.add({ kind: 'unreadable', file: name, reason: 'it cannot be opened' })
    return afterSequence
  }
  let newest = afterSequence
  let isHiding = false
  try {
    for await (const piece of readLogFile(file)) {
      const place = { file: name, at: piece.at, bytes: piece.end - piece.at }
      if (piece.kind === 'record') {
        const { sequence, lastSequence, fault } = checkBatch(piece.bytes)
        if (fault !== null) {
          findings.add({ kind: 'wal-foreign', ...place, reason: fault })
          continue
        }
        if (sequence <= newest)
          findings.add({ kind: 'wal-repeats', ...place, reason: 'its sequence was there before' })
        newest = Math.max(newest, lastSequence)
        if (piece.isSeen || isHiding) continue
        isHiding = true
        findings.add({
          kind: 'wal-hides-records',
          ...place,
          reason: 'LevelDB drops it with the damage before it',
        })
      } else if (file.isUnreadable(piece.at, piece.end)) {
        // also at the end: what the disk does not give back may be writes that were acknowledged
        findings.add({ kind: 'unreadable', ...place, reason: 'the disk does not give it back' })
      } else if (piece.kind === 'damage') {
        findings.add({ kind: 'wal-damaged', ...place, reason: 'records follow it' })
      } else if (piece.isZeros) {
        findings.add({ kind: 'wal-zeros', ...place, reason: 'nothing but zeros to its end' })
      } else {
        findings.add({ kind: 'wal-torn', ...place, reason: 'a write was cut short' })
      }
    }
  } finally {
    await file.close()
  }
  return newest
}
