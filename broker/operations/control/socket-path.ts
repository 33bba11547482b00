/**
 * Where the control socket of a data directory is: `headwater.sock` in it. A socket's path has room for about a hundred
 * bytes; where the directory's is longer, the socket is in a new private directory among the temporary ones and the file
 * `headwater.sock.path` says where.
 */
import { mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** `sun_path` has 104 bytes on some systems, 108 on Linux, one of them for the end. */
const SOCKET_PATH_BYTES_MAX = 100

const SOCKET = 'headwater.sock'
const POINTER = 'headwater.sock.path'

/** Chooses a path for a new socket and clears away what an earlier process left. The caller holds the directory's lock. */
export async function prepareSocketPath(dataDirectory: string): Promise<string> {
  await removeSocket(dataDirectory)
  const path = join(dataDirectory, SOCKET)
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path
  const base = Buffer.byteLength(tmpdir()) <= 60 ? tmpdir() : '/tmp'
  const elsewhere = join(await mkdtemp(join(base, 'headwater-')), SOCKET)
  await writeFile(join(dataDirectory, POINTER), elsewhere, { mode: 0o600 })
  return elsewhere
}

/** @returns the path to connect to; nothing may be there. */
export async function findSocketPath(dataDirectory: string): Promise<string> {
  return (await pointedTo(dataDirectory)) ?? join(dataDirectory, SOCKET)
}

export async function removeSocket(dataDirectory: string): Promise<void> {
  const elsewhere = await pointedTo(dataDirectory)
  if (elsewhere !== null && /[/\\]headwater-[^/\\]+[/\\]headwater\.sock$/.test(elsewhere)) {
    await rm(elsewhere, { force: true })
    await rmdir(dirname(elsewhere)).catch(() => {})
  }
  await rm(join(dataDirectory, POINTER), { force: true })
  await rm(join(dataDirectory, SOCKET), { force: true })
}

async function pointedTo(dataDirectory: string): Promise<string | null> {
  try {
    return (await readFile(join(dataDirectory, POINTER), 'utf8')).trim()
  } catch {
    return null
  }
}
