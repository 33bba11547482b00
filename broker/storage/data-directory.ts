/**
 * The data directory: who it belongs to, its version, its lock.
 *
 *   headwater.json   identity.ts, replaced atomically; a copy is among the facts
 *   facts/           fact-store.ts; its LOCK guards the whole directory. facts-recovery.ts has names beside it
 *   quarantine/      quarantine.ts
 *   catalog.json     log/catalog.ts
 *   log/             log/chain.ts
 *   .restoring       unfinished-restore.ts
 *
 * | headwater.json                | its copy   | identity                                                                   |
 * |-------------------------------|------------|----------------------------------------------------------------------------|
 * | whole                         | the same   | it                                                                         |
 * | whole                         | another, none | it; the copy is written anew                                            |
 * | without a checksum            | another    | the copy: every start that writes a copy writes the checksum               |
 * | missing, damaged, unreadable  | whole      | the copy; counted, told; a damaged file goes to quarantine                 |
 * | missing, damaged, unreadable  | none       | a new one, counted and told where there was one                            |
 * | of a newer format             | any        | refused, nothing is changed                                                |
 *
 * Order of the two. A new directory: the file, then the copy, so that a copy alone means a file that was lost. A rename: the copy, then the
 * file, whose replacement is the rename: one that fails or is cut short before it has changed nothing that counts (the next start takes
 * the copy back), and damage to the file after it cannot bring the old name back.
 */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DataDirectoryError, DataDirectoryLockedError, HeadwaterError, NoLogError } from '../errors.ts'
import { type LogSink, silentSink } from '../log-sink.ts'
import { type DirectoryRecovery, noDirectoryRecovery } from './directory-recovery.ts'
import type { FactStore } from './fact-store.ts'
import { FACTS, openFacts, SALVAGED_FACTS } from './facts-recovery.ts'
import {
  DATA_FORMAT,
  decodeIdentity,
  encodeIdentity,
  type Identity,
  isSameIdentity,
  type StoredIdentity,
} from './identity.ts'
import { quarantine } from './quarantine.ts'
import type { Disk } from './store.ts'
import { clearUnfinishedRestore, RESTORING_FILE } from './unfinished-restore.ts'

export { DATA_FORMAT, type Identity } from './identity.ts'

const IDENTITY_FILE = 'headwater.json'
/** What a disk says that has lost a block of the file; EISDIR: something else stands in its place. */
const UNREADABLE_CODES = new Set(['EIO', 'EBADMSG', 'ENODATA', 'EUCLEAN', 'EISDIR'])

export interface DataDirectory {
  readonly path: string
  readonly identity: Identity
  readonly facts: FactStore
  /** What was mended, since this was opened. */
  readonly recovery: DirectoryRecovery
}

/** A name for an edge that has none. */
export interface EdgeName {
  readonly name: string
  readonly isExplicit: boolean
  /** For those that only read: an identity that is lost is left to the next start of a broker. */
  readonly isReading?: boolean
}

type FoundIdentity = Exclude<StoredIdentity, { kind: 'newer' }> | { readonly kind: 'missing' }

/**
 * Opens a data directory, and makes one where there is none.
 * @param edge the name to give a new directory; an existing one keeps its own unless `edge` is given and differs,
 *   which is refused: the name is the identity upstream.
 * @throws DataDirectoryLockedError, DataDirectoryError
 */
export async function openDataDirectory(
  disk: Disk,
  path: string,
  edge: EdgeName,
  log: LogSink = silentSink,
): Promise<DataDirectory> {
  const recovery = noDirectoryRecovery()
  let facts: FactStore | undefined
  try {
    await disk.makeDirectory(path)
    await disk.checkAccess(path)
    if (await clearUnfinishedRestore(disk, path)) {
      recovery.restoresCleared++
      log.warn(
        'removed what an unfinished restore had left: this is a new log; restore into another directory',
      )
    }
    await refuseForeign(disk, path)
    // before the facts are opened: LevelDB writes files of its own each time
    const found = await readIdentity(disk, path)
    if (found.kind === 'whole' && found.hasCrc) refuseOtherEdge(path, found.identity, edge)
    const isExpected = found.kind !== 'missing' || (await holdsLog(disk, path))
    facts = await openFacts({ disk, path, log, recovery, isExpected })
    const identity = await identify({ disk, path, facts, edge, log, recovery })
    return { path, identity, facts, recovery }
  } catch (error) {
    await facts?.close()
    throw directoryError(path, error)
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
  log: LogSink = silentSink,
): Promise<{ from: Identity; to: Identity }> {
  if (!(await isDataDirectory(disk, path))) throw new NoLogError(path)
  const reading = { name: '', isExplicit: false, isReading: true }
  const { facts, identity: from } = await openDataDirectory(disk, path, reading, log)
  try {
    const to: Identity = { ...from, edge, incarnation: randomUUID() }
    await facts.putIdentity(to)
    await writeIdentity(disk, path, to)
    return { from, to }
  } catch (error) {
    throw directoryError(path, error)
  } finally {
    await facts.close()
  }
}

/** True where the directory holds a log: reading commands do not make one. */
export async function isDataDirectory(disk: Disk, path: string): Promise<boolean> {
  const names = await disk.list(path)
  return names.includes(IDENTITY_FILE) || (!names.includes(RESTORING_FILE) && (await holdsLog(disk, path)))
}

/** With it a directory is a log: written last of all. */
export function writeIdentity(disk: Disk, path: string, identity: Identity): Promise<void> {
  return disk.replaceFile(join(path, IDENTITY_FILE), encodeIdentity(identity))
}

/** What may be in a directory that no broker has used yet: users can be added before the first start. */
const BEFORE_FIRST_START = ['upstream', 'lost+found', 'users.json']

/** Of the names in a directory those that say that a broker, or another program, has used it. */
export function namesInUse(names: readonly string[]): string[] {
  return names.filter((name) => !name.startsWith('.') && !BEFORE_FIRST_START.includes(name))
}

async function refuseForeign(disk: Disk, path: string): Promise<void> {
  const names = await disk.list(path)
  const isOwn = [IDENTITY_FILE, FACTS, SALVAGED_FACTS].some((name) => names.includes(name))
  if (isOwn || (await holdsLog(disk, path))) return
  const foreign = namesInUse(names)
  if (foreign.length > 0) {
    throw new DataDirectoryError(
      path,
      `it holds files of another program (${foreign.slice(0, 3).join(', ')})`,
      'choose an empty directory with --data; nothing was changed',
    )
  }
}

/** A chain with a manifest or a segment: `log/` alone can be any program's. */
async function holdsLog(disk: Disk, path: string): Promise<boolean> {
  const log = join(path, 'log')
  if (!(await disk.list(path)).includes('log')) return false
  for (const chain of await listed(disk, log)) {
    const names = await listed(disk, join(log, chain))
    if (names.some((name) => name === 'manifest.json' || /^[0-9a-f]{8}$/.test(name))) return true
  }
  return false
}

/** Nothing where that is no directory, or none that can be read. */
function listed(disk: Disk, path: string): Promise<string[]> {
  return disk.list(path).catch(() => [])
}

/** @throws DataDirectoryError for a newer format */
async function readIdentity(disk: Disk, path: string): Promise<FoundIdentity> {
  let bytes: Buffer | undefined
  try {
    bytes = await disk.readFile(join(path, IDENTITY_FILE))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (UNREADABLE_CODES.has(code ?? '')) return { kind: 'damaged', reason: `it cannot be read: ${code}` }
    throw error
  }
  if (bytes === undefined) return { kind: 'missing' }
  const stored = decodeIdentity(bytes)
  if (stored.kind === 'newer') throw newerFormat(path, stored.format)
  return stored
}

function newerFormat(path: string, format: number): DataDirectoryError {
  return new DataDirectoryError(
    path,
    `it has format ${format}, this Headwater reads ${DATA_FORMAT}`,
    'use the version that wrote it; nothing was changed',
  )
}

function refuseOtherEdge(path: string, identity: Identity, edge: EdgeName): void {
  if (!edge.isExplicit || edge.name === identity.edge) return
  throw otherEdge(path, identity.edge, edge.name)
}

/** A data directory keeps the name of its edge, by which upstream knows its records. */
export function otherEdge(path: string, stored: string, configured: string): DataDirectoryError {
  return new DataDirectoryError(
    path,
    `it belongs to the edge "${stored}", the configuration says "${configured}"`,
    `set edge: ${stored}; give "${configured}" a directory of its own; or stop the broker and \`headwater rename ${configured}\``,
  )
}

interface Opened {
  readonly disk: Disk
  readonly path: string
  readonly facts: FactStore
  readonly edge: EdgeName
  readonly log: LogSink
  readonly recovery: DirectoryRecovery
}

/** The table on top. The facts are open: nobody else changes the file now. */
async function identify(opened: Opened): Promise<Identity> {
  const { disk, path, facts, edge } = opened
  const found = await readIdentity(disk, path)
  const stored = await facts.identity()
  const copy = stored?.kind === 'whole' ? stored.identity : null
  if (found.kind === 'whole') {
    const { identity, hasCrc } = found
    const isCopied = copy !== null && isSameIdentity(identity, copy)
    if (hasCrc || copy === null || isCopied) {
      refuseOtherEdge(path, identity, edge)
      // the file's rename, where the last process ended or failed before its fsync
      await disk.syncDirectory(path)
      if (!hasCrc) await attempt(opened, () => writeIdentity(disk, path, identity))
      if (!isCopied) await attempt(opened, () => facts.putIdentity(identity))
      return identity
    }
  }
  if (stored?.kind === 'newer') throw newerFormat(path, stored.format)
  const damage = damageOf(found)
  if (copy === null) return makeIdentity(opened, damage)
  refuseOtherEdge(path, copy, edge)
  await attempt(opened, async () => {
    if (damage !== null) await setAside(opened, damage)
    await writeIdentity(disk, path, copy)
  })
  opened.recovery.identityRestored++
  opened.log.warn('headwater.json was lost and is restored from its copy', {
    edge: copy.edge,
    incarnation: copy.incarnation,
    reason: damage ?? 'it was missing',
  })
  return copy
}

function damageOf(found: FoundIdentity): string | null {
  if (found.kind === 'missing') return null
  return found.kind === 'damaged' ? found.reason : 'it has no checksum and is not as its copy'
}

/** @param damage why the file that is there does not count; null where there is none */
async function makeIdentity(
  { disk, path, facts, edge, log, recovery }: Opened,
  damage: string | null,
): Promise<Identity> {
  const identity: Identity = {
    format: DATA_FORMAT,
    edge: edge.name,
    incarnation: randomUUID(),
    createdAt: new Date().toISOString(),
  }
  if (edge.isReading === true) return identity
  const isLost = damage !== null || (await holdsLog(disk, path))
  if (damage !== null) await setAside({ disk, path, log }, damage)
  await writeIdentity(disk, path, identity)
  await facts.putIdentity(identity)
  if (!isLost) return identity
  recovery.identityReplaced++
  log.error(
    `the identity of this edge was lost, headwater.json and its copy: it goes on as "${identity.edge}" with a new incarnation. ` +
      'An upstream that knows the earlier one stops with HW_CHECKPOINT_MISMATCH, so that two logs are never mixed there. To send it ' +
      'the whole log under another name: stop the broker, `headwater rename NAME`; an archive gets another directory instead',
    { incarnation: identity.incarnation, reason: damage ?? 'it was missing' },
  )
  return identity
}

async function setAside({ disk, path, log }: Pick<Opened, 'disk' | 'path' | 'log'>, damage: string) {
  const what = `headwater.json is damaged: ${damage}`
  await quarantine(disk, join(path, IDENTITY_FILE), join(path, 'quarantine'), { what }, log)
}

/** The identity is known and durable in one of its places: that the other cannot be written now, as on a full disk, stops no start. */
async function attempt({ log }: Opened, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    log.warn('the second copy of the identity could not be written; the next start tries again', {
      reason: (error as Error).message,
    })
  }
}

/** What went wrong at a data directory, in an operator's words. */
export function directoryError(path: string, error: unknown): Error {
  if (error instanceof DataDirectoryLockedError) return new DataDirectoryLockedError(path, error.cause)
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
