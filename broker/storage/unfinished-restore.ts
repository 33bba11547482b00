/**
 * A restore builds a data directory where it will stand and says so with a file beside it:
 *
 *   .restoring        made first, in an empty directory; removed last
 *   headwater.json    made when all the rest is there: with it the directory is a log
 *
 * | a cut leaves                       | the next start or restore                                      |
 * |------------------------------------|----------------------------------------------------------------|
 * | nothing, or an empty directory     | finds an empty directory                                       |
 * | `.restoring` and parts of a log    | removes them: nothing was acknowledged on top, the backup is there |
 * | `.restoring` beside headwater.json | removes `.restoring`: the restore was done                     |
 */
import { basename, dirname, join } from 'node:path'
import { DataDirectoryError, DataDirectoryLockedError } from '../errors.ts'
import { FactStore } from './fact-store.ts'
import type { Disk } from './store.ts'

export const RESTORING_FILE = '.restoring'
const PARTS = ['log', 'catalog.json', 'facts']

/**
 * Removes what a restore left that was cut short.
 * @returns true where there was one
 * @throws DataDirectoryLockedError while the restore is at work
 */
export async function clearUnfinishedRestore(disk: Disk, path: string): Promise<boolean> {
  const names = await disk.list(path)
  if (!names.includes(RESTORING_FILE)) return false
  // its name, where the last process did not live to sync it: it must not be forgotten before what it speaks of
  await disk.syncDirectory(path)
  if (names.includes('headwater.json')) {
    await removeMarker(disk, path)
    return false
  }
  try {
    const facts = await FactStore.open(disk, join(path, 'facts'))
    await facts.close()
  } catch (error) {
    // damaged by the cut: it goes all the same
    if (error instanceof DataDirectoryLockedError) throw error
  }
  await removeParts(disk, path)
  return true
}

async function removeParts(disk: Disk, path: string): Promise<void> {
  for (const name of PARTS) await disk.remove(join(path, name))
  // with the marker gone and a part back after a power cut, nobody would know whose it is
  await disk.syncDirectory(path)
  await removeMarker(disk, path)
}

async function removeMarker(disk: Disk, path: string): Promise<void> {
  await disk.remove(join(path, RESTORING_FILE))
  await disk.syncDirectory(path)
}

/** A directory that a restore has taken. */
export class RestoreTarget {
  readonly path: string
  /** Their lock keeps everybody else out of the directory. */
  readonly facts: FactStore
  readonly #disk: Disk
  readonly #isNew: boolean

  private constructor(disk: Disk, path: string, facts: FactStore, isNew: boolean) {
    this.#disk = disk
    this.path = path
    this.facts = facts
    this.#isNew = isNew
  }

  /** @throws DataDirectoryError where the directory is not empty, DataDirectoryLockedError */
  static async take(disk: Disk, path: string): Promise<RestoreTarget> {
    const isNew = !(await disk.list(dirname(path))).includes(basename(path))
    await clearUnfinishedRestore(disk, path)
    await refuseOccupied(disk, path)
    await disk.makeDirectory(path)
    try {
      await disk.replaceFile(join(path, RESTORING_FILE), Buffer.from('headwater restore is at work here\n'))
      const facts = await FactStore.open(disk, join(path, 'facts'))
      return new RestoreTarget(disk, path, facts, isNew)
    } catch (error) {
      if (isNew) await disk.remove(path).catch(() => undefined)
      else await removeParts(disk, path).catch(() => undefined)
      throw error
    }
  }

  /** headwater.json stands: the directory is a log. */
  async release(): Promise<void> {
    await this.facts.close()
    await removeMarker(this.#disk, this.path)
  }

  /** The restore failed: the directory is as it was. */
  async abandon(): Promise<void> {
    await this.facts.close()
    // where the last step failed it may be there: without it the rest is an unfinished restore
    await this.#disk.remove(join(this.path, 'headwater.json'))
    await this.#disk.syncDirectory(this.path)
    if (!this.#isNew) return removeParts(this.#disk, this.path)
    await this.#disk.remove(this.path)
    await this.#disk.syncDirectory(dirname(this.path))
  }
}

/** What every new file system has, and what a replaced file leaves after a cut, is nobody's. */
async function refuseOccupied(disk: Disk, path: string): Promise<void> {
  const names = (await disk.list(path)).filter((name) => name !== 'lost+found' && !/^\..*\.tmp$/.test(name))
  if (names.length === 0) return
  throw new DataDirectoryError(
    path,
    names.includes('headwater.json') ? 'it holds a log' : `it is not empty (${names.slice(0, 3).join(', ')})`,
    'restore into an empty or new directory with --data; nothing was changed',
  )
}
