/**
 * The users and their passwords: a small file in the data directory that `headwater users` writes and a running broker reads again when it
 * changes.
 *
 *   users.json := { "format": 1, "users": { NAME: { "password": HASH } } }        HASH as in password.ts
 *
 * A file that cannot be read lets nobody in by a password: the users that were known before stay while the broker runs.
 */
import { join } from 'node:path'
import { UsersFileError } from '../../errors.ts'
import type { Disk } from '../../storage/store.ts'
import { isPasswordHash } from './password.ts'

export const USERS_FILE = 'users.json'
const FORMAT = 1
const USERS_MAX = 100_000
/** As in MQTT, without what would be a wildcard or a level in a permission. */
const NAME = /^[^\p{Cc}/+#*]{1,128}$/u

export interface User {
  /** As password.ts writes it. */
  readonly password: string
}

export type Users = ReadonlyMap<string, User>

export function isUserName(name: string): boolean {
  return NAME.test(name) && name !== 'anonymous'
}

/** @returns none where there is no file @throws UsersFileError */
export async function readUsers(disk: Disk, dataDirectory: string): Promise<Users> {
  const path = join(dataDirectory, USERS_FILE)
  const bytes = await disk.readFile(path)
  return parseUsers(path, bytes)
}

export function writeUsers(disk: Disk, dataDirectory: string, users: Users): Promise<void> {
  const sorted = [...users].sort(([a], [b]) => (a < b ? -1 : 1))
  const text = JSON.stringify({ format: FORMAT, users: Object.fromEntries(sorted) }, null, 2)
  return disk.replaceFile(join(dataDirectory, USERS_FILE), Buffer.from(`${text}\n`))
}

/** @param bytes undefined where there is no file @throws UsersFileError */
export function parseUsers(path: string, bytes: Buffer | undefined): Users {
  if (bytes === undefined) return new Map()
  let found: unknown
  try {
    found = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw new UsersFileError(path, `it is not JSON: ${(error as Error).message}`)
  }
  const { format, users } = (found ?? {}) as { format?: unknown; users?: unknown }
  if (format !== FORMAT)
    throw new UsersFileError(path, `its format is ${String(format)}, this version reads ${FORMAT}`)
  if (typeof users !== 'object' || users === null) throw new UsersFileError(path, 'it has no users')
  const entries = Object.entries(users as Record<string, { password?: unknown } | null>)
  if (entries.length > USERS_MAX) throw new UsersFileError(path, `it has more than ${USERS_MAX} users`)
  return new Map(
    entries.map(([name, user]) => {
      const password = user?.password
      if (!isUserName(name)) throw new UsersFileError(path, `"${name}" is no name for a user`)
      if (typeof password !== 'string' || !isPasswordHash(password))
        throw new UsersFileError(
          path,
          `the password of "${name}" is not a hash as \`headwater users\` writes it`,
        )
      return [name, { password }] as const
    }),
  )
}
