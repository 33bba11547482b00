/** `WindowDb` on level (LevelDB), whose lock keeps a second bridge from the same data directory. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { BridgeDataError, BridgeLockedError } from '../errors.ts'
import type { WindowDb } from './window-db.ts'

/** The entries of all clients are few; a larger buffer would only hold memory. */
const WRITE_BUFFER_BYTES = 256 * 1024
const CACHE_BYTES = 64 * 1024
const OPEN_FILES_MAX = 16

/** @throws BridgeLockedError, BridgeDataError */
export async function openLevelWindowDb(dataDirectory: string): Promise<WindowDb> {
  const directory = join(dataDirectory, 'window')
  const db = new Level<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    writeBufferSize: WRITE_BUFFER_BYTES,
    cacheSize: CACHE_BYTES,
    maxOpenFiles: OPEN_FILES_MAX,
  })
  try {
    await mkdir(dataDirectory, { recursive: true, mode: 0o700 })
    await db.open()
  } catch (error) {
    throw openFailure(dataDirectory, error)
  }
  return {
    range: ({ from, to }) => db.iterator({ gte: from, lt: to }).all(),
    async write(changes, isSynced) {
      const batch = db.batch()
      for (const [key, value] of changes) {
        if (value === null) batch.del(key)
        else batch.put(key, value)
      }
      await batch.write({ sync: isSynced })
    },
    close: () => db.close(),
  }
}

function openFailure(directory: string, error: unknown): Error {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause
  if (cause?.code === 'LEVEL_LOCKED') return new BridgeLockedError(directory, cause)
  const reason = cause?.message ?? (error as Error).message
  return new BridgeDataError(directory, reason, hintFor(reason), error)
}

function hintFor(reason: string): string {
  if (/permission denied|EACCES|EPERM/i.test(reason)) {
    return 'give this user the directory, or choose another with --data'
  }
  if (/read-only file system|EROFS/i.test(reason))
    return 'mount the disk for writing, or choose another with --data'
  if (/no space left|quota exceeded|ENOSPC/i.test(reason)) return 'free some space on this disk'
  if (/corruption/i.test(reason)) {
    return 'move its folder "window" away: what devices repeat from before is then sent once more'
  }
  return 'check the disk, or choose another directory with --data'
}
