/** `Store` on level (classic-level), Google's LevelDB with prebuilt binaries for x64, arm64 and armv7. */
import { Level } from 'level'
import { CorruptLogError, DataDirectoryError, DataDirectoryLockedError, NoRoomError } from '../errors.ts'
import type { Entry, RangeOptions, Store, StoreOptions, StoreScan, WriteBatch } from './store.ts'

type Db = Level<Buffer, Buffer>

/** Entries a call into LevelDB brings at most; the bytes are bounded by the read's own limit. */
const ENTRIES_PER_CALL = 1000
/** Blocks read are used once: a large cache would only hold memory. */
const CACHE_BYTES = 1024 * 1024
const OPEN_FILES_MAX = 64
/** LevelDB's words for ENOSPC and EDQUOT. */
const NO_ROOM = /No space left|quota exceeded/i
/** What a scan has read ahead. */
const SCAN_BYTES = 64 * 1024

export async function openLevelStore(directory: string, options: StoreOptions): Promise<Store> {
  const db: Db = new Level(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: options.isCompressed ?? false,
    writeBufferSize: options.writeBufferBytes,
    ...(options.fileBytes === undefined ? {} : { maxFileSize: options.fileBytes }),
    cacheSize: CACHE_BYTES,
    maxOpenFiles: OPEN_FILES_MAX,
    createIfMissing: options.createIfMissing,
  })
  try {
    await db.open()
  } catch (error) {
    throw openFailure(directory, error)
  }
  return new LevelStore(directory, db)
}

/**
 * Whether a process has the store open, this one included. LevelDB takes the lock, then looks whether it may open at all: told that the
 * store must not exist it refuses before it reads or writes anything but its LOG.
 */
export async function isLevelStoreLocked(directory: string): Promise<boolean> {
  const db: Db = new Level(directory, { createIfMissing: false, errorIfExists: true })
  try {
    await db.open()
  } catch (error) {
    return (error as { cause?: { code?: string } }).cause?.code === 'LEVEL_LOCKED'
  }
  await db.close()
  return false
}

function openFailure(directory: string, error: unknown): Error {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause
  if (cause?.code === 'LEVEL_LOCKED') return new DataDirectoryLockedError(directory, cause)
  const reason = cause?.message ?? (error as Error).message
  const FailedError = NO_ROOM.test(reason) ? NoRoomError : DataDirectoryError
  return new FailedError(directory, reason, hintFor(reason), cause)
}

function hintFor(reason: string): string {
  if (NO_ROOM.test(reason)) return 'free some space on this disk'
  if (/Read-only file system/i.test(reason))
    return 'mount the disk for writing, or choose another with --data'
  if (/Permission denied/i.test(reason)) return 'give this user the directory, or choose another with --data'
  if (/Corruption/i.test(reason)) return 'run `headwater log verify`'
  return 'check the disk, or choose another directory with --data'
}

class LevelStore implements Store {
  readonly #directory: string
  readonly #db: Db

  constructor(directory: string, db: Db) {
    this.#directory = directory
    this.#db = db
  }

  batch(): WriteBatch {
    const batch = this.#db.batch()
    return {
      put: (key, value) => void batch.put(key, value),
      delete: (key) => void batch.del(key),
      write: (options) => batch.write(options),
    }
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#db.get(key, { fillCache: false }).catch((error) => this.#failed(error))
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#db.getMany(keys, { fillCache: false }).catch((error) => this.#failed(error))
  }

  async range({ from, to, bytesMax }: RangeOptions): Promise<Entry[]> {
    const scan = this.#scan(from, to, Math.min(bytesMax, 1024 * 1024))
    try {
      return await scan.next(bytesMax)
    } finally {
      await scan.close()
    }
  }

  scan(from: Buffer, to: Buffer): StoreScan {
    return this.#scan(from, to, SCAN_BYTES)
  }

  /** LevelDB's iterator sees the database as it is when it is made, which is in this call. */
  #scan(from: Buffer, to: Buffer, highWaterMarkBytes: number): StoreScan {
    const iterator = this.#db.iterator({ gte: from, lt: to, fillCache: false, highWaterMarkBytes })
    let ahead: [Buffer, Buffer][] = []
    const next = async (bytesMax: number): Promise<Entry[]> => {
      const entries: Entry[] = []
      let bytes = 0
      while (bytes < bytesMax) {
        if (ahead.length === 0) ahead = await iterator.nextv(ENTRIES_PER_CALL)
        if (ahead.length === 0) break
        let taken = 0
        while (taken < ahead.length && bytes < bytesMax) {
          const [key, value] = ahead[taken++]!
          entries.push({ key, value })
          bytes += key.length + value.length
        }
        ahead = taken === ahead.length ? [] : ahead.slice(taken)
      }
      return entries
    }
    return {
      next: (bytesMax) => next(bytesMax).catch((error) => this.#failed(error)),
      close: () => iterator.close(),
    }
  }

  close(): Promise<void> {
    return this.#db.close()
  }

  /** LevelDB's own structure is damaged: what it says of it does not name the place. */
  #failed(error: Error): never {
    if (/^Corruption/.test(error.message)) throw new CorruptLogError(this.#directory, error.message, error)
    throw error
  }
}
