/**
 * The windows of all clients on one disk. Writes of all devices that come while one is under way, or within 2 ms of its beginning, go as
 * the next one, with one fsync.
 * Clients that were silent longest are forgotten once there are too many.
 */
import { ClientWindow } from './client-window.ts'
import type { WindowChange, WindowDb } from './window-db.ts'
import {
  clientIdOfKey,
  clientKey,
  clientOfEntryKey,
  clientsRange,
  decodeClient,
  decodeEntry,
  EntryState,
  encodeClient,
  entriesRange,
  entryRange,
  type StoredClient,
  type StoredEntry,
} from './window-format.ts'

/** Between the beginnings of two commits, on a disk that is faster than this: each costs some 80 us of a core, and flash its life. */
const COMMIT_MS = 2

export interface WindowStoreOptions {
  /** Messages remembered a client. */
  readonly windowMessages: number
  /** Clients remembered. */
  readonly windowClientsMax: number
}

interface Group {
  readonly changes: WindowChange[]
  readonly written: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class WindowStore {
  readonly #db: WindowDb
  readonly #options: WindowStoreOptions
  /** The one that was silent longest first. */
  readonly #clients = new Map<string, StoredClient>()
  readonly #open = new Set<string>()
  #touched = 0
  #group: Group | null = null
  #isWriting = false
  #beganAt = Number.NEGATIVE_INFINITY
  /** Writes that reached the disk, and those that did not. */
  readonly counters = { commits: 0, failedCommits: 0 }

  private constructor(db: WindowDb, options: WindowStoreOptions) {
    this.#db = db
    this.#options = options
  }

  static async open(db: WindowDb, options: WindowStoreOptions): Promise<WindowStore> {
    const store = new WindowStore(db, options)
    const found: [string, StoredClient][] = []
    for (const [key, value] of await db.range(clientsRange)) {
      const client = decodeClient(value)
      if (client !== null) found.push([clientIdOfKey(key), client])
    }
    found.sort(([, a], [, b]) => a.touched - b.touched)
    for (const [clientId, client] of found) store.#clients.set(clientId, client)
    store.#touched = (found.at(-1)?.[1].touched ?? 0) + 1
    return store
  }

  /**
   * Resolves once it is on disk that the client has this epoch: after a device has begun anew, nothing of before is taken for a repetition.
   * @param isClean the device began anew
   */
  async openWindow(clientId: string, isClean: boolean): Promise<ClientWindow> {
    const known = this.#clients.get(clientId)
    const epoch = (known?.epoch ?? 0) + (isClean && known !== undefined ? 1 : 0)
    const stored = known === undefined || isClean ? [] : await this.#load(clientId)
    const client = { epoch: epoch >>> 0, touched: this.#touched++ }
    this.#clients.delete(clientId)
    this.#clients.set(clientId, client)
    this.#open.add(clientId)
    await this.write([[clientKey(clientId), encodeClient(client)], ...(await this.#forgetSilent())])
    const window = new ClientWindow(clientId, client.epoch, this.#options.windowMessages)
    window.restore(stored)
    return window
  }

  /** What is known of completed messages is kept, so that a later start has less to tell the broker; nothing depends on it. */
  async closeWindow(window: ClientWindow): Promise<void> {
    this.#open.delete(window.clientId)
    const last = window.entries().toSorted((a, b) => b.sequence - a.sequence)[0]
    if (last !== undefined) await this.write([window.change(last)])
  }

  /** Resolves when all of it is on disk. */
  write(changes: readonly WindowChange[]): Promise<void> {
    if (this.#group === null) {
      this.#group = newGroup()
      // all that is asked for in this turn of the event loop goes together
      if (!this.#isWriting) queueMicrotask(() => void this.#writeGroups())
    }
    this.#group.changes.push(...changes)
    return this.#group.written
  }

  async #writeGroups(): Promise<void> {
    if (this.#isWriting) return
    this.#isWriting = true
    while (this.#group !== null) {
      const pauseMs = this.#beganAt + COMMIT_MS - performance.now()
      // what comes meanwhile goes with it
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
      this.#beganAt = performance.now()
      const group = this.#group
      this.#group = null
      try {
        await this.#db.write(group.changes, true)
        this.counters.commits++
        group.resolve()
      } catch (error) {
        this.counters.failedCommits++
        group.reject(error)
      }
    }
    this.#isWriting = false
  }

  async #load(clientId: string): Promise<{ slot: number; entry: StoredEntry }[]> {
    const found: { slot: number; entry: StoredEntry }[] = []
    for (const [key, value] of await this.#db.range(entryRange(clientId))) {
      const entry = decodeEntry(value)
      if (entry !== null) found.push({ slot: clientOfEntryKey(key).slot, entry })
    }
    return found
  }

  /** Packet ids that stood for a message of some device when the process before ended, and what is known of it (aggregated mode). */
  async unfinished(): Promise<{ packetId: number; state: EntryState }[]> {
    const all: (StoredEntry & { clientId: string })[] = []
    const completedBelow = new Map<string, number>()
    for (const [key, value] of await this.#db.range(entriesRange)) {
      const entry = decodeEntry(value)
      const { clientId } = clientOfEntryKey(key)
      if (entry === null || entry.epoch !== this.#clients.get(clientId)?.epoch) continue
      all.push({ ...entry, clientId })
      completedBelow.set(clientId, Math.max(entry.completedBelow, completedBelow.get(clientId) ?? 0))
    }
    return all.filter(
      ({ clientId, sequence, state }) =>
        state === EntryState.sent || sequence >= (completedBelow.get(clientId) ?? 0),
    )
  }

  async #forgetSilent(): Promise<WindowChange[]> {
    const changes: WindowChange[] = []
    for (const clientId of this.#clients.keys()) {
      if (this.#clients.size <= this.#options.windowClientsMax) break
      if (this.#open.has(clientId)) continue
      this.#clients.delete(clientId)
      changes.push([clientKey(clientId), null])
      for (const [key] of await this.#db.range(entryRange(clientId))) changes.push([key, null])
    }
    return changes
  }

  async close(): Promise<void> {
    while (this.#group !== null || this.#isWriting) {
      await (this.#group?.written ?? new Promise((resolve) => setImmediate(resolve))).catch(() => {})
    }
    await this.#db.close()
  }
}

function newGroup(): Group {
  let resolve = () => {}
  let reject: (error: unknown) => void = () => {}
  const written = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  // whoever waits for it hears of it; nobody may wait
  written.catch(() => {})
  return { changes: [], written, resolve, reject }
}
