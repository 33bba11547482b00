/**
 * Bytes put aside while the disk has room, and let go when a start, or the log after a failed commit, needs them: other
 * programs can fill the disk to the last byte, and recovery writes (LevelDB turns its write-ahead files into tables). Nothing is
 * ever read from it; a power cut at any point leaves it whole, in part, or not at all.
 */
import { randomFillSync } from 'node:crypto'
import { join } from 'node:path'
import { temporaryOf } from '../storage/node-disk.ts'
import type { Disk } from '../storage/store.ts'

export const BALLAST_FILE = 'ballast'
/** What recovery may write: the write-ahead files of a chain or two, as tables, and small files. */
export const BALLAST_BYTES = 8 * 1024 * 1024
/** It is let go below this much free space. */
const TIGHT_BYTES = BALLAST_BYTES

/** Before the first store is opened. @returns whether it was let go */
export async function dropBallast(disk: Disk, directory: string): Promise<boolean> {
  const space = await disk.space(directory)
  if (space === null || space.freeBytes >= TIGHT_BYTES) return false
  const names = await disk.list(directory)
  // of a directory that is not ours nothing is removed
  if (!names.includes('headwater.json')) return false
  // a power cut while it was written has left up to as much
  await disk.remove(temporaryOf(join(directory, BALLAST_FILE)))
  if (!names.includes(BALLAST_FILE)) return false
  await disk.remove(join(directory, BALLAST_FILE))
  return true
}

/** Puts it aside again, if it is not there. Call it while the disk has room for it and more. */
export async function keepBallast(disk: Disk, directory: string): Promise<void> {
  const names = await disk.list(directory)
  if (names.includes(BALLAST_FILE)) return
  // not zeros: some file systems would store none of them
  await disk.replaceFile(join(directory, BALLAST_FILE), randomFillSync(Buffer.allocUnsafe(BALLAST_BYTES)))
}
