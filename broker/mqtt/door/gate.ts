/**
 * The door as a broker has it: who is let in, how fast, and where that comes from. Users are in a file that is looked at every few seconds; the rest
 * is configuration, which can be read again.
 */
import { join } from 'node:path'
import { LimitedLog } from '../../limited-log.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk } from '../../storage/store.ts'
import { Door } from './door.ts'
import type { PermissionRule } from './permissions.ts'
import { type RateLimits, Rates } from './rates.ts'
import { parseUsers, USERS_FILE, type Users } from './users.ts'

/** What the configuration says. */
export interface GateSettings {
  readonly anonymous: boolean
  readonly permissions: readonly PermissionRule[]
  /** By the name of the stream. */
  readonly writers: ReadonlyMap<string, string>
  readonly rates: RateLimits
  /** Some listener lets clients in by their certificates. */
  readonly takesCertificates: boolean
}

export interface GateWorld {
  readonly disk: Disk
  /** The data directory. */
  readonly data: string
  readonly sink: LogSink
  /** The stream that takes a topic. */
  streamOf(topic: string): string | null
}

export interface GateListeners {
  /** Those that other machines reach without a certificate. */
  readonly exposed: readonly string[]
  /** One of them asks clients for a certificate. */
  readonly takesCertificates: boolean
}

const USERS_CHECK_MS = 2_000

export class Gate {
  readonly door: Door
  readonly rates: Rates
  readonly #world: GateWorld
  readonly #limited: LimitedLog
  readonly #path: string
  #settings: GateSettings
  #users: Users
  /** What `#users` was read from; undefined: no file. */
  #bytes: Buffer | undefined
  #onChange: (removed: readonly string[]) => void = () => {}
  #timer: NodeJS.Timeout | undefined
  #isReading = false

  private constructor(world: GateWorld, settings: GateSettings, bytes: Buffer | undefined, path: string) {
    this.#world = world
    this.#limited = new LimitedLog(world.sink)
    this.#settings = settings
    this.#path = path
    this.#bytes = bytes
    this.#users = parseUsers(path, bytes)
    this.door = new Door(this.#rules(), this.#users)
    this.rates = new Rates(settings.rates)
  }

  /** @throws UsersFileError: without its users the door would stand open */
  static async open(world: GateWorld, settings: GateSettings): Promise<Gate> {
    const path = join(world.data, USERS_FILE)
    return new Gate(world, settings, await world.disk.readFile(path), path)
  }

  /** What is configured so far that it does not yet do what it is for, or that stands wide open. */
  sayWhoMayConnect({ exposed, takesCertificates }: GateListeners): void {
    const { sink } = this.#world
    const { anonymous, permissions } = this.#settings
    if (this.door.isUnguarded && exposed.length > 0) {
      const text = anonymous
        ? 'no users and no permissions are configured, and anonymous clients are let in: everybody may do everything'
        : 'no users and no permissions are configured: clients of other machines are refused. ' +
          'Add users with `headwater users add NAME` and what they may do to mqtt.permissions, or set mqtt.anonymous: true'
      sink.warn(text, { listeners: exposed.join(', ') })
    }
    if (this.#users.size > 0 && permissions.length === 0) {
      const text = 'there are users and no permissions: they can log in, and do nothing. '
      sink.warn(`${text}Say what they may do in mqtt.permissions, and \`headwater reload\``)
    }
    if (takesCertificates) return
    if (this.#users.size === 0 && permissions.length > 0 && !anonymous) {
      const text = 'there are permissions and no users: nobody can log in. '
      sink.warn(`${text}Add users with \`headwater users add NAME\`, or set mqtt.anonymous: true`)
    }
    const writers = this.unknownWriters
    if (writers.length === 0) return
    const text = 'a stream has a writer that is not among the users, so nobody can publish to it: '
    sink.warn(`${text}add it with \`headwater users add NAME\``, { writers: writers.join(', ') })
  }

  /** Names that are to write alone, and that no password lets in; a certificate still may. */
  get unknownWriters(): string[] {
    const names = [...this.#settings.writers.values()]
    return [...new Set(names)].filter((name) => !this.#users.has(name))
  }

  /** @param onChange after each change of who may do what, with users that were removed: connections and sessions are to be reviewed */
  watch(onChange: (removed: readonly string[]) => void): void {
    this.#onChange = onChange
    this.#timer = setInterval(() => void this.readUsers(), USERS_CHECK_MS)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** What the configuration says now. */
  update(settings: GateSettings): void {
    const areRatesNew = JSON.stringify(settings.rates) !== JSON.stringify(this.#settings.rates)
    this.#settings = settings
    if (areRatesNew) this.rates.update(settings.rates)
    this.#changed([])
  }

  /** Takes the users as they are in their file now; one that cannot be read is told, and those that are known stay. */
  async readUsers(): Promise<void> {
    if (this.#isReading) return
    this.#isReading = true
    try {
      const bytes = await this.#world.disk.readFile(this.#path)
      if (isSame(bytes, this.#bytes)) return
      const before = this.#users
      this.#users = parseUsers(this.#path, bytes)
      this.#bytes = bytes
      const isNew = (name: string) => !before.has(name)
      const added = [...this.#users.keys()].filter(isNew)
      const removed = [...before.keys()].filter((name) => !this.#users.has(name))
      const changed = [...this.#users].filter(
        ([name, { password }]) => !isNew(name) && before.get(name)?.password !== password,
      )
      this.#world.sink.info('users have changed', {
        users: this.#users.size,
        ...named('added', added),
        ...named('removed', removed),
        ...named(
          'passwords',
          changed.map(([name]) => name),
        ),
      })
      // a file that is missing for a moment, as one that is put in place by hand, removes nobody for good
      this.#changed(bytes === undefined ? [] : removed)
    } catch (error) {
      const reason = (error as Error).message
      this.#limited.warn(reason, 'the users cannot be read: those that were known stay', { reason })
    } finally {
      this.#isReading = false
    }
  }

  #changed(removed: readonly string[]): void {
    this.door.update(this.#rules(), this.#users)
    this.#onChange(removed)
  }

  #rules() {
    const { anonymous, permissions, writers, takesCertificates } = this.#settings
    const { streamOf } = this.#world
    const writerOf = (topic: string): string | null => {
      const stream = writers.size === 0 ? null : streamOf(topic)
      return stream === null ? null : (writers.get(stream) ?? null)
    }
    return { anonymous, permissions, writerOf, takesCertificates }
  }
}

const NAMED_MAX = 10

function named(key: string, names: readonly string[]): Record<string, string> {
  if (names.length === 0) return {}
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : ''
  return { [key]: names.slice(0, NAMED_MAX).join(', ') + more }
}

function isSame(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b)
}
