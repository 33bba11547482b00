/**
 * Whose a data directory is. LevelDB writes files of its own each time it is opened, also to be read: those that root makes in a directory of another
 * user that user's broker cannot write, and its next start fails.
 */
import { readFile, stat } from 'node:fs/promises'
import { DataDirectoryError } from '../errors.ts'

/** What the system says; a test hands in another one. */
export interface OwnerProbe {
  /** This process' own effective user id; undefined where the system has none. */
  readonly uid: number | undefined
  /** @throws where there is no such directory */
  ownerOf(directory: string): Promise<number>
  /** Null for an id without a name. */
  nameOf(uid: number): Promise<string | null>
}

export const systemOwners: OwnerProbe = {
  get uid() {
    return process.geteuid?.()
  },
  ownerOf: async (directory) => (await stat(directory)).uid,
  async nameOf(uid) {
    const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n')
    return lines.map((line) => line.split(':')).find((fields) => fields[2] === String(uid))?.[0] ?? null
  },
}

/**
 * For commands that open the directory beside its broker's back. A broker itself may run as root on what a container was given.
 * @throws DataDirectoryError where root would open a directory of another user
 */
export async function refuseRootOnOthers(
  directory: string,
  system: OwnerProbe = systemOwners,
): Promise<void> {
  if (system.uid !== 0) return
  const owner = await system.ownerOf(directory)
  if (owner === 0) return
  const name = (await system.nameOf(owner)) ?? `#${owner}`
  throw new DataDirectoryError(
    directory,
    `it belongs to ${name}, and files that root makes in it its broker could not write`,
    `run the same as that user: sudo -u ${name.startsWith('#') ? `'${name}'` : name} headwater ...`,
  )
}
