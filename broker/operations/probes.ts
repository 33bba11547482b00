/** Tries what `start` will need, and leaves nothing behind. */
import { access, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { type ListenAddress, listenError } from '../config/address.ts'
import type { ListenError } from '../errors.ts'

/** About what an empty log takes. */
const PROBE_BYTES = 65_536

export interface DirectoryFault {
  readonly reason: string
  readonly hint: string
}

/** Listens for a moment. @returns null when the address is free. */
export function probeListen(
  address: ListenAddress,
  key: 'mqtt.listeners' | 'http.address' = 'mqtt.listeners',
): Promise<ListenError | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(listenError(address, error, key)))
    const options =
      address.host === null ? { port: address.port } : { host: address.host, port: address.port }
    server.listen(options, () => server.close(() => resolve(null)))
  })
}

/** Whether a directory can be written, or, where it does not exist yet, the nearest one above it. */
export async function probeDirectory(path: string): Promise<DirectoryFault | null> {
  let existing = path
  try {
    existing = await nearestExisting(path)
    if (!(await stat(existing)).isDirectory()) {
      return { reason: `${existing} is a file`, hint: 'choose another path' }
    }
    // Permissions alone do not tell of a read-only or full file system.
    const directory = await mkdtemp(join(existing, '.headwater-check-'))
    try {
      await writeFile(join(directory, 'probe'), Buffer.alloc(PROBE_BYTES), { flush: true })
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
    return null
  } catch (error) {
    return directoryFault(existing, error as NodeJS.ErrnoException)
  }
}

/** The path, or the nearest directory above it that exists. */
export async function nearestExisting(path: string): Promise<string> {
  try {
    await access(path)
    return path
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if ((code !== 'ENOENT' && code !== 'ENOTDIR') || dirname(path) === path) throw error
    return nearestExisting(dirname(path))
  }
}

function directoryFault(path: string, error: NodeJS.ErrnoException): DirectoryFault {
  switch (error.code) {
    case 'EACCES':
    case 'EPERM':
      return {
        reason: `no permission to write in ${path}`,
        hint: 'give this user the directory, or choose another',
      }
    case 'EROFS':
      return {
        reason: `${path} is on a read-only file system`,
        hint: 'mount it for writing, or choose another',
      }
    case 'ENOSPC':
    case 'EDQUOT':
      return { reason: `no space is left where ${path} is`, hint: 'free some' }
    default:
      return { reason: `${path} cannot be written (${error.code ?? error.message})`, hint: 'choose another' }
  }
}
