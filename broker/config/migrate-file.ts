/**
 * Writes a configuration file anew in the newest version, with a backup first.
 *
 *   1 FILE.backup-VERSION-DATE, with the bytes of the file: temporary, fsync, rename, fsync of the directory
 *   2 FILE, migrated: the same
 *
 * A crash before 2 leaves the file as it was: the next try finds its backup there and makes no second one. One after it leaves the new file,
 * for which there is nothing to do. Owner and mode are the file's own; of a symbolic link the file that it names is written.
 */
import { type FileHandle, lstat, open, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { parseDocument } from 'yaml'
import { type Migration, migrateDocument, newestVersion, versionOf } from './migrations.ts'

export interface FileMigration {
  /** The file that was, or would be, written: of a symbolic link what it names. */
  readonly file: string
  readonly from: number
  readonly to: number
  readonly done: readonly Pick<Migration, 'to' | 'summary'>[]
  /** null where nothing was to be done, and where nothing was to be written. */
  readonly backup: string | null
}

/** The steps that change the disk; a test ends the process between any two. */
export interface MigrationSteps {
  write(path: string, bytes: Uint8Array, like: { uid: number; gid: number; mode: number }): Promise<void>
  rename(from: string, to: string): Promise<void>
  syncDirectory(path: string): Promise<void>
}

export interface MigrateOptions {
  readonly migrations: readonly Migration[]
  /** ms since 1970 */
  readonly now: number
  /** Nothing is written. */
  readonly isTrial?: boolean
  readonly steps?: MigrationSteps
}

/** @param text a well-formed file of a version that is known: it was loaded before */
export function migratedText(
  text: string,
  migrations: readonly Migration[],
): { readonly from: number; readonly text: string; readonly done: readonly Migration[] } {
  const document = parseDocument(text, { stringKeys: true })
  const from = versionOf(document) ?? 1
  const done = migrateDocument(document, migrations)
  // lines are not folded: what a person wrote on one stays on one
  return { from, done, text: done.length === 0 ? text : document.toString({ lineWidth: 0 }) }
}

/** @throws what the disk says; the file is then as it was */
export async function migrateFile(path: string, options: MigrateOptions): Promise<FileMigration> {
  const { migrations, now, isTrial = false, steps = nodeSteps } = options
  const file = await realpath(path)
  const bytes = await readFile(file)
  const { from, text, done } = migratedText(bytes.toString('utf8'), migrations)
  const result = {
    file,
    from,
    to: newestVersion(migrations),
    done: done.map(({ to, summary }) => ({ to, summary })),
  }
  if (done.length === 0 || isTrial) return { ...result, backup: null }
  const like = await stat(file)
  const backup = (await backupOf(file, from, bytes)) ?? (await freeName(file, from, now))
  await replace(steps, backup, bytes, like)
  await replace(steps, file, Buffer.from(text, 'utf8'), like)
  return { ...result, backup }
}

/** Written by a try that ended before the file itself was. */
async function backupOf(file: string, version: number, bytes: Buffer): Promise<string | null> {
  const prefix = `${basename(file)}.backup-${version}-`
  for (const name of await readdir(dirname(file))) {
    if (!name.startsWith(prefix)) continue
    const path = join(dirname(file), name)
    const known = await readFile(path).catch(() => null)
    if (known?.equals(bytes)) return path
  }
  return null
}

/** Nobody's file is replaced by a backup. */
async function freeName(file: string, version: number, now: number): Promise<string> {
  const date = new Date(now)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '')
  const name = `${file}.backup-${version}-${date}`
  for (let count = 1; ; count++) {
    const path = count === 1 ? name : `${name}-${count}`
    if ((await lstat(path).catch(() => null)) === null) return path
  }
}

async function replace(
  steps: MigrationSteps,
  path: string,
  bytes: Uint8Array,
  like: { uid: number; gid: number; mode: number },
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`)
  try {
    await steps.write(temporary, bytes, like)
    await steps.rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
  await steps.syncDirectory(dirname(path))
}

export const nodeSteps: MigrationSteps = {
  async write(path, bytes, { uid, gid, mode }) {
    // what a try that was cut off has left belongs to nobody
    await rm(path, { force: true })
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      await ownedLike(file, uid, gid)
      await file.chmod(mode & 0o7777)
      await file.sync()
    } finally {
      await file.close()
    }
  },
  rename,
  async syncDirectory(path) {
    const directory = await open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  },
}

/** Only root may give files away; whoever else may write here is the owner or in the group. */
async function ownedLike(file: FileHandle, uid: number, gid: number): Promise<void> {
  const own = await file.stat()
  if (own.uid !== uid || own.gid !== gid)
    await file
      .chown(uid, gid)
      .catch(() => file.chown(own.uid, gid))
      .catch(() => {})
}
