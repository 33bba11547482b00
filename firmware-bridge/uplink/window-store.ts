/**
 * The windows of all clients on one disk. Writes of all devices that come while one is under way, or within 2 ms of its beginning, go as
 * the next one, with one fsync; those that nobody waits for go with the next one that is waited for, or 5 ms later, 25 where nothing leaves then.
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
  decodeReserved,
  EntryState,
  encodeClient,
  entriesRange,
  entryRange,
  type IdRange,
  reservedKey,
  type StoredClient,
  type StoredEntry,
} from './window-format.ts'

/** Between the beginnings of two commits, on a disk that is faster than this: each costs some 80 us of a core, and flash its life. */
const COMMIT_MS = 2
/** What a PUBREL waits for. More would let PUBRELs pile up, and hold up others when they leave. */
const SOON_MS = 5
/** Where PUBREL waits for the next PUBLISH anyway (waiting-pubrels.ts), which mostly comes later than this. */
const LATER_MS = 25

export interface WindowStoreOptions {
  /** Messages remembered a client. */
  readonly windowMessages: number
  /** Clients remembered. */
  readonly windowClientsMax: number
}

interface Group {
  /** Monotonic ms. */
  dueAt: number
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
  #timer: NodeJS.Timeout | null = null
  #timerAt = 0
  #beganAt = Number.NEGATIVE_INFINITY
  /** Writes that reached the disk, and those that did not. */
  readonly counters = { commits: 0, failedCommits: 0 }
  /** How long the write under way has taken, ms; 0 where none is. */
  get waitingMs(): number {
    return this.#isWriting ? Math.max(0, performance.now() - this.#beganAt) : 0
  }

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
    const isNew = known === undefined || isClean
    const stored = isNew ? [] : await this.#load(clientId)
    const reserved = isNew ? null : await this.#loadReserved(clientId, known.epoch)
    const client = { epoch: epoch >>> 0, touched: this.#touched++ }
    this.#clients.delete(clientId)
    this.#clients.set(clientId, client)
    this.#open.add(clientId)
    const window = new ClientWindow(clientId, client.epoch, this.#options.windowMessages, reserved)
    window.restore(stored)
    // the range, too: closing the window before may still be on its way to the disk
    const changes = [[clientKey(clientId), encodeClient(client)] as const, window.reservation(reserved)]
    await this.write([...changes, ...(await this.#forgetSilent())])
    return window
  }

  /**
   * What is known of completed messages is kept, so that a later start has less to tell the broker; nothing depends on it.
   * @param isSettled the broker holds nothing that is not in the window
   */
  async closeWindow(window: ClientWindow, isSettled = false): Promise<void> {
    this.#open.delete(window.clientId)
    const last = window.entries().toSorted((a, b) => b.sequence - a.sequence)[0]
    const changes = last === undefined ? [] : [window.change(last)]
    if (isSettled && !window.reserved.isEmpty) changes.push(window.reservation(null))
    if (changes.length > 0) await this.write(changes)
  }

  /** Resolves when all of it is on disk. Changes get there in the order in which they were asked for. */
  write(changes: readonly WindowChange[]): Promise<void> {
    return this.#add(changes, Number.NEGATIVE_INFINITY)
  }

  /** The same, for what nobody waits for. */
  writeSoon(changes: readonly WindowChange[]): Promise<void> {
    return this.#add(changes, performance.now() + SOON_MS)
  }

  /** The same, where what comes of it waits for something else, too. */
  writeLater(changes: readonly WindowChange[]): Promise<void> {
    return this.#add(changes, performance.now() + LATER_MS)
  }

  #add(changes: readonly WindowChange[], dueAt: number): Promise<void> {
    this.#group ??= newGroup()
    this.#group.changes.push(...changes)
    if (dueAt < this.#group.dueAt) {
      this.#group.dueAt = dueAt
      this.#plan()
    }
    return this.#group.written
  }

  #plan(): void {
    if (this.#isWriting || this.#group === null) return
    const at = Math.max(this.#group.dueAt, this.#beganAt + COMMIT_MS)
    if (this.#timer !== null && this.#timerAt <= at) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const ms = at - performance.now()
    // all that is asked for in this turn of the event loop goes together
    if (ms <= 0) queueMicrotask(() => void this.#writeGroup())
    else {
      this.#timerAt = at
      this.#timer = setTimeout(() => void this.#writeGroup(), ms)
    }
  }

  async #writeGroup(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const group = this.#group
    if (this.#isWriting || group === null) return
    this.#isWriting = true
    this.#group = null
    this.#beganAt = performance.now()
    try {
      await this.#db.write(group.changes, true)
      this.counters.commits++
      group.resolve()
    } catch (error) {
      this.counters.failedCommits++
      group.reject(error)
    }
    this.#isWriting = false
    this.#plan()
  }

  async #load(clientId: string): Promise<{ slot: number; entry: StoredEntry }[]> {
    const found: { slot: number; entry: StoredEntry }[] = []
    for (const [key, value] of await this.#db.range(entryRange(clientId))) {
      const entry = decodeEntry(value)
      if (entry !== null) found.push({ slot: clientOfEntryKey(key).slot, entry })
    }
    return found
  }

  async #loadReserved(clientId: string, epoch: number): Promise<IdRange | null> {
    const key = reservedKey(clientId)
    const [found] = await this.#db.range({ from: key, to: Buffer.concat([key, Buffer.of(0)]) })
    return found === undefined ? null : decodeReserved(found[1], epoch)
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
      changes.push([clientKey(clientId), null], [reservedKey(clientId), null])
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
  return { dueAt: Number.POSITIVE_INFINITY, changes: [], written, resolve, reject }
}
