/**
 * The versions of a configuration file. A file says which one it has by `configVersion`; one that says nothing has version 1. A migration
 * is a pure function on the YAML document, whose comments and order stay: from version `to - 1` to version `to`.
 *
 * A file with an older version is read as it would be after its migrations, and stays as it is until somebody asks for it to be written
 * anew (migrate-file.ts). A file with a newer one is refused: what it says could mean something else here.
 */
import { type Document, isMap, isScalar } from 'yaml'

export interface Migration {
  /** The version that it makes. */
  readonly to: number
  /** What it changes and why, in one line for an operator. */
  readonly summary: string
  /** Changes the document in place; again on its own result it changes nothing. */
  migrate(document: Document): void
}

export const CONFIG_VERSION_KEY = 'configVersion'

/** In the order of their versions, without a gap. None yet: no key that was ever released has been renamed. */
export const MIGRATIONS: readonly Migration[] = []

/** The version that these migrations end at. */
export function newestVersion(migrations: readonly Migration[]): number {
  return migrations.at(-1)?.to ?? 1
}

/** What new files say. */
export const CONFIG_VERSION = newestVersion(MIGRATIONS)

/** @returns 1 where the file says nothing, null where what it says is no version */
export function versionOf(document: Document): number | null {
  if (!isMap(document.contents)) return 1
  const value = document.get(CONFIG_VERSION_KEY)
  if (value === undefined || value === null) return 1
  return Number.isInteger(value) && (value as number) >= 1 ? (value as number) : null
}

/** Those that a file of this version lacks. */
export function pendingMigrations(version: number, migrations: readonly Migration[]): readonly Migration[] {
  return migrations.filter(({ to }) => to > version)
}

/** @returns what was done to the document, which says the newest version now */
export function migrateDocument(document: Document, migrations: readonly Migration[]): readonly Migration[] {
  const version = versionOf(document)
  const pending = version === null ? [] : pendingMigrations(version, migrations)
  for (const migration of pending) {
    migration.migrate(document)
    setVersion(document, migration.to)
  }
  return pending
}

/** Where it stands already, or as the first key, below the comment that heads the file. */
function setVersion(document: Document, version: number): void {
  const { contents } = document
  if (!isMap(contents)) return
  if (contents.has(CONFIG_VERSION_KEY)) {
    contents.set(CONFIG_VERSION_KEY, version)
    return
  }
  const pair = document.createPair(CONFIG_VERSION_KEY, version)
  const [first] = contents.items
  // a comment above the first key belongs to that key
  if (first !== undefined && isScalar(first.key) && isScalar(pair.key) && first.key.spaceBefore) {
    pair.key.spaceBefore = true
  }
  contents.items.unshift(pair)
}
