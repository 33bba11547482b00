/** `headwater users`: who may log in to MQTT. It writes a file in the data directory, which a running broker looks at every two seconds. */
import { chown, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../../config/schema.ts'
import { hashPassword } from '../../mqtt/door/password.ts'
import { rulesFor } from '../../mqtt/door/permissions.ts'
import { isUserName, readUsers, USERS_FILE, type User, writeUsers } from '../../mqtt/door/users.ts'
import { nodeDisk } from '../../storage/node-disk.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'

export type UsersOptions = ConfigOptions & { readonly json: boolean }
export type PasswordOptions = UsersOptions & { readonly passwordFile?: string | undefined }

const PASSWORD_CHARACTERS_MIN = 8
const PASSWORD_BYTES_MAX = 1024
/** Another command writes: it is waited for so long. A lock that is older was left behind. */
const LOCK_MS_MAX = 10_000
const LOCK_POLL_MS = 50

export async function runUsersAdd(
  context: CommandContext,
  name: string,
  options: PasswordOptions,
): Promise<number> {
  if (!isUserName(name)) {
    const hint = '1 to 128 characters without "/", "+", "#" and "*", and not "anonymous"'
    throw new UsageError(`"${printable(name)}" is no name for a user`, hint)
  }
  const directory = await dataDirectoryOf(context, options)
  if ((await readUsers(nodeDisk, directory)).has(name)) throw alreadyThere(name)
  const password = await hashPassword(await passwordOf(context, name, options))
  const count = await change(directory, (users) => {
    if (users.has(name)) throw alreadyThere(name)
    users.set(name, { password })
  })
  if (options.json) {
    context.out.json({ added: name, users: count })
    return ExitCode.ok
  }
  context.out.line(`user "${name}" is added; a running broker takes it within seconds`)
  if (count === 1) {
    context.out.line('it is the first: from now on a client without a user name needs mqtt.anonymous: true')
  }
  const config = await configOf(context, options)
  if (config !== null && rulesFor(config.mqtt.permissions, name).length === 0) {
    const example = `- { users: [${JSON.stringify(name)}], publish: ["plant/#"], subscribe: ["plant/#"] }`
    context.out.line(`no permission allows it anything yet: add one to mqtt.permissions, such as ${example}`)
    context.out.line('and then `headwater reload`')
  }
  return ExitCode.ok
}

export async function runUsersPasswd(
  context: CommandContext,
  name: string,
  options: PasswordOptions,
): Promise<number> {
  const directory = await dataDirectoryOf(context, options)
  const known = await readUsers(nodeDisk, directory)
  if (!known.has(name)) throw unknownUser(name, known.keys())
  const password = await hashPassword(await passwordOf(context, name, options))
  await change(directory, (users) => {
    if (!users.has(name)) throw unknownUser(name, users.keys())
    users.set(name, { password })
  })
  if (options.json) context.out.json({ changed: name })
  else
    context.out.line(
      `user "${printable(name)}" has a new password; a running broker ends its connections within seconds`,
    )
  return ExitCode.ok
}

export async function runUsersRemove(
  context: CommandContext,
  name: string,
  options: UsersOptions,
): Promise<number> {
  const count = await change(await dataDirectoryOf(context, options), (users) => {
    if (!users.delete(name)) throw unknownUser(name, users.keys())
  })
  if (options.json) {
    context.out.json({ removed: name, users: count })
    return ExitCode.ok
  }
  context.out.line(
    `user "${printable(name)}" is removed; a running broker ends its connections within seconds`,
  )
  const config = await configOf(context, options)
  if (count === 0 && (config === null || config.mqtt.permissions.length === 0)) {
    context.out.line('it was the last: without permissions, clients of this machine may do everything again')
  }
  return ExitCode.ok
}

export async function runUsersList(context: CommandContext, options: UsersOptions): Promise<number> {
  const users = await readUsers(nodeDisk, await dataDirectoryOf(context, options))
  const permissions = (await configOf(context, options))?.mqtt.permissions ?? []
  const rows = [...users.keys()].sort().map((name) => {
    const rules = rulesFor(permissions, name)
    return {
      name,
      publish: rules.flatMap(({ publish }) => publish).map((filter) => named(filter, name)),
      subscribe: rules.flatMap(({ subscribe }) => subscribe).map((filter) => named(filter, name)),
    }
  })
  if (options.json) context.out.json({ users: rows })
  else if (rows.length === 0) context.out.line('no users; `headwater users add NAME` adds one')
  else {
    const list = (filters: readonly string[]) => printable(filters.join(' ') || '-')
    const lines = rows.map(({ name, publish, subscribe }) => [
      printable(name),
      list(publish),
      list(subscribe),
    ])
    printTable(context.out, [{ title: 'USER' }, { title: 'MAY PUBLISH' }, { title: 'MAY SUBSCRIBE' }], lines)
  }
  return ExitCode.ok
}

/** A name has nothing in it that a filter gives a meaning; which client id it comes with is not known here. */
function named(filter: string, name: string): string {
  return filter.replaceAll('%u', () => name)
}

// -- the file ---------------------------------------------------------------------------------------------------------

/** @returns how many users there are now */
async function change(directory: string, apply: (users: Map<string, User>) => void): Promise<number> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  return alone(join(directory, `.${USERS_FILE}.lock`), async () => {
    const users = new Map(await readUsers(nodeDisk, directory))
    apply(users)
    await writeUsers(nodeDisk, directory, users)
    await giveToOwner(directory)
    return users.size
  })
}

/** Written by root, it is still for the user that the broker runs as: the owner of the data directory. */
async function giveToOwner(directory: string): Promise<void> {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = await stat(directory)
  if (uid !== 0) await chown(join(directory, USERS_FILE), uid, gid)
}

/** One command at a time: none loses what another has written. */
async function alone<T>(lock: string, work: () => Promise<T>): Promise<T> {
  const until = Date.now() + LOCK_MS_MAX
  for (;;) {
    try {
      await (await open(lock, 'wx', 0o600)).close()
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (Date.now() > until) await rm(lock, { force: true })
      else await delay(LOCK_POLL_MS)
    }
  }
  try {
    return await work()
  } finally {
    await rm(lock, { force: true })
  }
}

// -- the password -----------------------------------------------------------------------------------------------------

/** From a file, from a terminal (twice), or from standard input. @throws UsageError */
async function passwordOf(
  context: CommandContext,
  name: string,
  { passwordFile }: PasswordOptions,
): Promise<Buffer> {
  if (passwordFile !== undefined) return checked(await fromFile(passwordFile), name)
  const { askSecret, readInput } = context
  if (askSecret === undefined) {
    if (readInput === undefined)
      throw new UsageError('no password is given', 'name a file with --password-file')
    return checked(withoutLineEnd(await readInput()), name)
  }
  const password = checked(Buffer.from(await askSecret(`password of ${printable(name)}: `)), name)
  const again = Buffer.from(await askSecret('once more: '))
  if (!password.equals(again)) throw new UsageError('the two passwords differ', 'try again')
  return password
}

async function fromFile(file: string): Promise<Buffer> {
  try {
    return withoutLineEnd(await readFile(file))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new UsageError(
      `the password file ${printable(file)} cannot be read: ${code ?? message}`,
      'name another',
    )
  }
}

function withoutLineEnd(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replace(/\r?\n$/, '')
  return Buffer.from(text, 'latin1')
}

function checked(password: Buffer, name: string): Buffer {
  const text = password.toString('utf8')
  const characters = [...text]
  const fault =
    password.length === 0
      ? 'the password is empty'
      : /[\r\n]/.test(text)
        ? 'the password has more than one line'
        : password.length > PASSWORD_BYTES_MAX
          ? `the password is longer than ${PASSWORD_BYTES_MAX} bytes`
          : characters.length < PASSWORD_CHARACTERS_MIN
            ? `the password has ${characters.length} characters`
            : text === name
              ? 'the password is the name of the user'
              : new Set(characters).size === 1
                ? 'the password is one character again and again'
                : null
  if (fault === null) return password
  throw new UsageError(fault, `it has ${PASSWORD_CHARACTERS_MIN} characters or more, in one line`)
}

// -- words ------------------------------------------------------------------------------------------------------------

function alreadyThere(name: string): UsageError {
  const hint = '`headwater users passwd` changes its password'
  return new UsageError(`there is a user "${printable(name)}" already`, hint)
}

function unknownUser(name: string, known: Iterable<string>): UsageError {
  const names = [...known].sort().slice(0, 20).map(printable).join(', ')
  const hint = names === '' ? 'there are none; `headwater users add` adds one' : `users here: ${names}`
  return new UsageError(`there is no user "${printable(name)}"`, hint)
}

/** null where it cannot be read: what is said of permissions is left out then. */
async function configOf(context: CommandContext, options: ConfigOptions): Promise<Config | null> {
  const loaded = await context.loadConfig(options)
  return loaded.ok ? loaded.config : null
}
