/** `Disk` on the real file system. */
import { access, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { openLevelStore } from './level-store.ts'
import type { Disk } from './store.ts'

export const nodeDisk: Disk = {
  openStore: openLevelStore,

  async readFile(path) {
    try {
      return await readFile(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  },

  async replaceFile(path, bytes) {
    const temporary = join(dirname(path), `.${basename(path)}.tmp`)
    const file = await open(temporary, 'w', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  },

  async makeDirectory(path) {
    const first = await mkdir(path, { recursive: true, mode: 0o700 }).catch((error) => realReason(path, error))
    if (first === undefined) return
    // every new level is an entry in the one above
    for (let level = path; ; level = dirname(level)) {
      await syncDirectory(dirname(level))
      if (level === first || level === dirname(level)) return
    }
  },

  async list(path) {
    try {
      return await readdir(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  },

  async remove(path) {
    await rm(path, { recursive: true, force: true })
  },
}

/** Node says ENOENT where a recursive mkdir meets a read-only disk; the first missing level alone says why. */
async function realReason(path: string, error: unknown): Promise<never> {
  let missing = path
  for (let above = dirname(path); above !== missing; above = dirname(above)) {
    const exists = await access(above).then(
      () => true,
      () => false,
    )
    if (exists) break
    missing = above
  }
  await mkdir(missing, { mode: 0o700 })
  throw error
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
