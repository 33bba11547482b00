/** What the archive asks of a file system: few operations, so that a test can cut them off at any step. */
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { nodeDisk } from '../../broker/index.ts'

export interface ArchiveFiles {
  makeDirectory(path: string): Promise<void>
  /** Names in a directory. */
  list(path: string): Promise<string[]>
  /** The whole file, or null when there is none. */
  read(path: string): Promise<Buffer | null>
  /** Its length, or null when there is none. */
  size(path: string): Promise<number | null>
  /** Writes at `position` and syncs the data; makes the file when there is none. */
  writeSynced(path: string, bytes: Buffer, position: number): Promise<void>
  /** Cuts a file to a length, and syncs. */
  truncate(path: string, bytes: number): Promise<void>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Makes names in a directory durable. */
  syncDirectory(path: string): Promise<void>
}

function nothingThere(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
  throw error
}

export const nodeArchiveFiles: ArchiveFiles = {
  makeDirectory: nodeDisk.makeDirectory,
  list: (path) => readdir(path),
  read: (path) => readFile(path).catch(nothingThere),
  size: (path) => stat(path).then((info) => info.size, nothingThere),
  async writeSynced(path, bytes, position) {
    const file = await open(path, position === 0 ? 'w' : 'r+')
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at)
        at += bytesWritten
      }
      await file.datasync()
    } finally {
      await file.close()
    }
  },
  async truncate(path, bytes) {
    const file = await open(path, 'r+')
    try {
      await file.truncate(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
  },
  rename,
  remove: (path) => rm(path, { force: true }),
  async syncDirectory(path) {
    const directory = await open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  },
}
