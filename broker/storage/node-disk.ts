/** `Disk` on the real file system. */
import type { BigIntStats, Dirent } from 'node:fs'
import {
  access,
  constants,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isLevelStoreLocked, openLevelStore } from './level-store.ts'
import type { Disk, OpenFile } from './store.ts'

export const nodeDisk: Disk = {
  hasLevelFiles: true,
  openStore: openLevelStore,

  async isStoreLocked(directory) {
    const lock = await statOf(join(directory, 'LOCK'))
    if (lock === undefined) return false
    return (await isListedAsLocked(lock)) || isLevelStoreLocked(directory)
  },

  checkAccess: (path) => access(path, constants.R_OK | constants.W_OK),

  async readFile(path) {
    try {
      return await readFile(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  },

  async openFile(path) {
    let file: FileHandle
    try {
      file = await open(path, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    try {
      const state = await file.stat()
      if (state.isFile()) return openFile(file, state.size)
    } catch (error) {
      await file.close()
      throw error
    }
    await file.close()
    return undefined
  },

  async replaceFile(path, bytes) {
    const temporary = temporaryOf(path)
    try {
      await writeWhole(temporary, bytes)
      await rename(temporary, path)
    } catch (error) {
      // on a full disk it is room
      await rm(temporary, { force: true }).catch(() => undefined)
      throw error
    }
    await syncDirectory(dirname(path))
  },

  async move(from, to) {
    // a rename would replace a file, or an empty directory, without a word
    if (await exists(to))
      throw Object.assign(new Error(`EEXIST: file already exists, move to ${to}`), { code: 'EEXIST' })
    await rename(from, to)
    await syncDirectory(dirname(to))
    await syncDirectory(dirname(from))
  },

  async newFile(path) {
    // the rename would fail in the end, or take the place of a device
    const there = await stat(path).catch(() => null)
    if (there?.isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' })
    if (there?.isFile() === false)
      throw Object.assign(new Error('it is no regular file'), { code: 'ENOTSUP' })
    const temporary = `${path}.partial`
    const file = await open(temporary, 'w', 0o600)
    return {
      write: (bytes) => file.writeFile(bytes),
      async commit() {
        try {
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(temporary, path)
        await syncDirectory(dirname(path))
      },
      async discard() {
        await file.close().catch(() => undefined)
        await rm(temporary, { force: true })
      },
    }
  },

  async makeDirectory(path) {
    // level by level: a recursive mkdir of Node's says ENOENT on a read-only disk, and never ends below /proc
    const missing: string[] = []
    for (let level = path; !(await exists(level)) && level !== dirname(level); level = dirname(level)) {
      missing.unshift(level)
    }
    for (const level of missing) {
      await mkdir(level, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error
      })
      // a new level is an entry in the one above
      await syncDirectory(dirname(level))
    }
  },

  syncDirectory,

  async list(path) {
    try {
      return await readdir(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  },

  async settleStore(directory, options) {
    // opening writes what the write-ahead files hold to tables, with an fsync each, and a new manifest of the store
    const store = await openLevelStore(directory, options)
    await store.close()
    await syncDirectory(directory)
  },

  usage,

  async space(path) {
    try {
      const { bavail, blocks, bsize } = await statfs(path)
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
    } catch {
      return null
    }
  },

  async remove(path) {
    await rm(path, { recursive: true, force: true })
  },
}

/** Where what takes the place of `path` is written first. */
export function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.tmp`)
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function statOf(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/**
 * Whether Linux lists a lock on this file, which disturbs nobody. Not listed are locks of other PID namespaces, and those on file systems
 * that give their files another device than their locks (btrfs).
 *
 *   1: POSIX  ADVISORY  WRITE 27939 fe:00:9978766 0 EOF      device in hex, inode
 */
async function isListedAsLocked({ dev, ino }: BigIntStats): Promise<boolean> {
  const text = await readFile('/proc/locks', 'latin1').catch(() => '')
  // as glibc's gnu_dev_major and gnu_dev_minor
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  const hex = (number: bigint) => number.toString(16).padStart(2, '0')
  return text.includes(` ${hex(major)}:${hex(minor)}:${ino} `)
}

async function usage(path: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(path, { withFileTypes: true }).catch(unlessGone<Dirent[]>([]))) {
    const name = join(path, entry.name)
    // a file that LevelDB removes meanwhile takes nothing; the others still do
    bytes += entry.isDirectory() ? await usage(name) : await fileBytes(name)
  }
  return bytes
}

function fileBytes(path: string): Promise<number> {
  return stat(path)
    .then(({ size }) => size)
    .catch(unlessGone(0))
}

/** What stands for something that is not there (any more). */
function unlessGone<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code !== 'ENOENT') throw error
    return instead
  }
}

function openFile(file: FileHandle, size: number): OpenFile {
  return {
    size,
    async read(offset, length, into) {
      const wanted = Math.max(0, Math.min(length, size - offset))
      const bytes = into?.subarray(0, wanted) ?? Buffer.allocUnsafe(wanted)
      let filled = 0
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return bytes.subarray(0, filled)
    },
    close: () => file.close(),
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
