/**
 * The data directory: who it belongs to, its version, its lock.
 *
 *   headwater.json   { "format": 1, "edge", "incarnation", "createdAt" }, replaced atomically
 *   facts/           fact-store.ts; its LOCK guards the whole directory
 *   catalog.json     log/catalog.ts
 *   log/             log/chain.ts
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { DataDirectoryError, DataDirectoryLockedError, HeadwaterError } from '../errors.ts'
import { FactStore } from './fact-store.ts'
import type { Disk } from './store.ts'

/** On disk: raised when an older Headwater could not read what a newer one wrote. */
export const DATA_FORMAT = 1

export interface Identity {
  readonly format: number
  readonly edge: string
  readonly incarnation: string
  readonly createdAt: string
}

export interface DataDirectory {
  readonly path: string
  readonly identity: Identity
  readonly facts: FactStore
}

/**
 * Opens a data directory, and makes one where there is none.
 * @param edge the name to give a new directory; an existing one keeps its own unless `edge` is given and differs,
 *   which is refused: the name is the identity upstream.
 * @throws DataDirectoryLockedError, DataDirectoryError
 */
export async function openDataDirectory(
  disk: Disk,
  path: string,
  edge: { name: string; isExplicit: boolean },
): Promise<DataDirectory> {
  const file = join(path, 'headwater.json')
  try {
    await disk.makeDirectory(path)
    await access(path, constants.R_OK | constants.W_OK)
    await refuseForeign(disk, path)
    // before the facts are opened: LevelDB writes files of its own each time
    const stored = await disk.readFile(file)
    if (stored !== undefined) checkIdentity(path, stored, edge)
  } catch (error) {
    throw asDirectoryError(path, error)
  }
  const facts = await openFacts(disk, path)
  try {
    const identity = await identify(disk, path, file, edge)
    return { path, identity, facts }
  } catch (error) {
    await facts.close()
    throw asDirectoryError(path, error)
  }
}

/**
 * Gives a log another name and a new incarnation: for a cloned card or a restored backup, which upstream must not take for the
 * first one. Upstream then gets the whole log that is here, under the new name.
 * @returns the identity before and after
 * @throws DataDirectoryLockedError while a broker runs; DataDirectoryError where there is no log
 */
export async function renameEdge(
  disk: Disk,
  path: string,
  edge: string,
): Promise<{ from: Identity; to: Identity }> {
  const file = join(path, 'headwater.json')
  const stored = await disk.readFile(file)
  if (stored === undefined)
    throw new DataDirectoryError(path, 'it holds no log', 'name the right one with --data')
  const from = parseIdentity(path, stored)
  const facts = await openFacts(disk, path)
  try {
    const to: Identity = { ...from, edge, incarnation: randomUUID() }
    await disk.replaceFile(file, identityFile(to))
    return { from, to }
  } catch (error) {
    throw asDirectoryError(path, error)
  } finally {
    await facts.close()
  }
}

/** The lock is named by the directory that it guards. */
async function openFacts(disk: Disk, path: string): Promise<FactStore> {
  try {
    return await FactStore.open(disk, join(path, 'facts'))
  } catch (error) {
    throw error instanceof DataDirectoryLockedError ? new DataDirectoryLockedError(path, error.cause) : error
  }
}

function identityFile(identity: Identity): Buffer {
  return Buffer.from(`${JSON.stringify(identity, null, 2)}\n`)
}

/** True where the directory holds a log: reading commands do not make one. */
export async function isDataDirectory(disk: Disk, path: string): Promise<boolean> {
  return (await disk.readFile(join(path, 'headwater.json'))) !== undefined
}

async function refuseForeign(disk: Disk, path: string): Promise<void> {
  const names = await disk.list(path)
  if (names.includes('headwater.json') || names.includes('facts')) return
  const foreign = names.filter(
    (name) => !name.startsWith('.') && name !== 'upstream' && name !== 'lost+found',
  )
  if (foreign.length > 0) {
    throw new DataDirectoryError(
      path,
      `it holds files of another program (${foreign.slice(0, 3).join(', ')})`,
      'choose an empty directory with --data; nothing was changed',
    )
  }
}

async function identify(
  disk: Disk,
  path: string,
  file: string,
  edge: { name: string; isExplicit: boolean },
): Promise<Identity> {
  const stored = await disk.readFile(file)
  if (stored === undefined) {
    const identity: Identity = {
      format: DATA_FORMAT,
      edge: edge.name,
      incarnation: randomUUID(),
      createdAt: new Date().toISOString(),
    }
    await disk.replaceFile(file, identityFile(identity))
    return identity
  }
  const identity = checkIdentity(path, stored, edge)
  await disk.syncDirectory(path)
  return identity
}

function checkIdentity(path: string, stored: Buffer, edge: { name: string; isExplicit: boolean }): Identity {
  const identity = parseIdentity(path, stored)
  if (edge.isExplicit && edge.name !== identity.edge) {
    throw new DataDirectoryError(
      path,
      `it belongs to the edge "${identity.edge}", the configuration says "${edge.name}"`,
      `set edge: ${identity.edge}; give "${edge.name}" a directory of its own; or \`headwater rename ${edge.name}\``,
    )
  }
  return identity
}

function parseIdentity(path: string, stored: Buffer): Identity {
  let identity: Partial<Identity>
  try {
    identity = (JSON.parse(stored.toString('utf8')) ?? {}) as Partial<Identity>
  } catch (error) {
    throw new DataDirectoryError(path, 'headwater.json is not JSON', 'restore it from a backup', error)
  }
  if (typeof identity.format !== 'number' || typeof identity.edge !== 'string' || !identity.incarnation) {
    throw new DataDirectoryError(
      path,
      'headwater.json lacks format, edge or incarnation',
      'restore it from a backup',
    )
  }
  if (identity.format !== DATA_FORMAT) {
    throw new DataDirectoryError(
      path,
      `it has format ${identity.format}, this Headwater reads ${DATA_FORMAT}`,
      'use the version that wrote it; nothing was changed',
    )
  }
  return identity as Identity
}

function asDirectoryError(path: string, error: unknown): Error {
  if (error instanceof HeadwaterError) return error
  const code = (error as NodeJS.ErrnoException).code
  const reason = REASONS[code ?? ''] ?? [
    (error as Error).message,
    'check the disk, or choose another with --data',
  ]
  return new DataDirectoryError(path, reason[0], reason[1], error)
}

const REASONS: Record<string, [string, string]> = {
  EACCES: ['permission denied', 'give this user the directory, or choose another with --data'],
  EPERM: ['permission denied', 'give this user the directory, or choose another with --data'],
  EROFS: ['the file system is read-only', 'mount it for writing, or choose another with --data'],
  ENOSPC: ['no space is left on the disk', 'free some space on it'],
  ENOTDIR: ['a part of the path is a file', 'choose another path with --data'],
  EEXIST: ['a file stands in its place', 'choose another path with --data'],
  ENOENT: ['the path cannot be made', 'choose another path with --data'],
}
