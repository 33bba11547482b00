/**
 * Wills: stored before CONNACK, published when the connection is lost: after their delay, or at the end of the session where that is
 * first [MQTT 5, section 3.1.3.2.2]. A will is an event like any other: it goes through the ingress into the log. Its fact is removed
 * once it is there, so that a crash in between publishes it twice rather than never.
 *
 * One that could not be published is tried again each second. Of a client id only the newest one waits so: a client that comes and goes while the log is
 * full would otherwise leave one each time.
 */
import { RecordTooLargeError } from '../../errors.ts'
import type { LimitedLog } from '../../limited-log.ts'
import type { Will } from '../packets/packet.ts'
import { messageBytes } from './message-bytes.ts'
import { encodeWill, KIND, lateWillKey, sessionKey } from './state-format.ts'
import type { LoadedWill } from './state-load.ts'
import type { StateStore } from './state-store.ts'

/** Hands a will to the ingress. Resolves once it is in the log, or has gone to whoever takes it where no stream does. */
export type PublishWill = (will: Will, clientId: string) => Promise<void>

export interface WillOwner {
  readonly clientId: string
  /** null: a client without a name. */
  readonly user: string | null
}

export interface WillsParts {
  readonly store: StateStore
  readonly publishWill: PublishWill
  /** Asked when it is published: that can be long after its CONNECT, and after other rules. */
  mayPublish(owner: WillOwner, topic: string): boolean
  readonly limited: LimitedLog
}

interface Entry extends WillOwner {
  readonly session: number
  readonly will: Will
  readonly bytes: number
  /** Its place among all of them. */
  readonly nth: number
  /** Session time; null while its client is connected. */
  dueAt: number | null
  isPublishing: boolean
}

export class Wills {
  readonly #parts: WillsParts
  readonly #all = new Set<Entry>()
  /** The wills of connections and of sessions, by session number. */
  readonly #entries = new Map<number, Entry>()
  /** Of sessions whose client is back, and has another will: they could not be published yet. */
  readonly #late = new Map<number, Entry>()
  /** Those that could not be published, by client id. */
  readonly #waiting = new Map<string, Entry>()
  readonly #publishing = new Set<Promise<void>>()
  #bytes = 0
  /** null: of clients without a name. */
  readonly #bytesOf = new Map<string | null, number>()
  #isStarted = false
  #next = 0
  readonly counts = { published: 0, failed: 0, dropped: 0 }

  constructor(parts: WillsParts) {
    this.#parts = parts
  }

  get bytes(): number {
    return this.#bytes
  }
  get count(): number {
    return this.#all.size
  }

  /** When the session's will is due; null while it is not, or where there is none. */
  dueAt(session: number): number | null {
    return this.#entries.get(session)?.dueAt ?? null
  }
  topicOf(session: number): string | null {
    return this.#entries.get(session)?.will.topic ?? null
  }

  /**
   * Bytes of wills, once a client has this one in the place of what its session has now.
   * @param now session time
   */
  bytesWith(
    will: Will,
    user: string | null,
    session: number | undefined,
    now: number,
  ): { readonly all: number; readonly ofUser: number } {
    const bytes = messageBytes(will)
    const known = session === undefined ? undefined : this.#entries.get(session)
    const isReplaced =
      known !== undefined && !known.isPublishing && (known.dueAt === null || known.dueAt > now)
    const freed = isReplaced ? known.bytes : 0
    const ofUser = (this.#bytesOf.get(user) ?? 0) + bytes - (known?.user === user ? freed : 0)
    return { all: this.#bytes + bytes - freed, ofUser }
  }

  /** Of a client that connects. It is on disk with the next flush. */
  set(session: number, owner: WillOwner, will: Will): void {
    const before = this.#entries.get(session)
    if (before !== undefined) this.#leaveBehind(before)
    const entry = this.#add(session, owner, { ...will, payload: Buffer.from(will.payload) }, null)
    this.#entries.set(session, entry)
    this.#parts.store.put(sessionKey(KIND.will, session), encoded(entry))
  }

  /** @param now session time, at which one that is late is due */
  load({ session, isLate, will, ...owner }: LoadedWill, dueAt: number, now: number): void {
    const entry = this.#add(session, owner, will, isLate ? now : dueAt)
    const place = isLate ? this.#late : this.#entries
    place.set(session, entry)
  }

  #add(session: number, { clientId, user }: WillOwner, will: Will, dueAt: number | null): Entry {
    const bytes = messageBytes(will)
    const entry = { session, clientId, user, will, bytes, nth: this.#next++, dueAt, isPublishing: false }
    this.#all.add(entry)
    this.#count(user, bytes)
    return entry
  }

  #count(user: string | null, bytes: number): void {
    this.#bytes += bytes
    const own = (this.#bytesOf.get(user) ?? 0) + bytes
    if (own > 0) this.#bytesOf.set(user, own)
    else this.#bytesOf.delete(user)
  }

  /** The client is back: a will that is not due yet is none any more. @returns as `remove` */
  cancel(session: number, now: number): boolean {
    const entry = this.#entries.get(session)
    if (entry === undefined || entry.isPublishing) return false
    if (entry.dueAt === null || entry.dueAt > now) return this.remove(session)
    this.#leaveBehind(entry)
    return true
  }

  /** It is due, and its session goes on without it. */
  #leaveBehind(entry: Entry): void {
    const { session } = entry
    this.#entries.delete(session)
    this.#late.set(session, entry)
    this.#parts.store.remove(sessionKey(KIND.will, session))
    this.#parts.store.put(lateWillKey(session), encoded(entry))
  }

  /** @returns whether there was one: its removal is on disk with the next flush */
  remove(session: number): boolean {
    const entry = this.#entries.get(session)
    // one that is on its way cannot be called back
    if (entry === undefined || entry.isPublishing) return false
    this.#forget(entry)
    return true
  }

  /** The connection is lost. */
  schedule(session: number, now: number, expirySeconds: number): void {
    const entry = this.#entries.get(session)
    if (entry === undefined) return
    entry.dueAt = now + Math.min(entry.will.delaySeconds, expirySeconds) * 1000
    if (entry.dueAt <= now) this.#publish(entry)
  }

  /** The session is over: no delay counts any more. */
  sessionEnded(session: number, now: number): void {
    const entry = this.#entries.get(session)
    if (entry === undefined) return
    entry.dueAt = now
    this.#publish(entry)
  }

  /** Messages are taken from now on. */
  start(): void {
    this.#isStarted = true
  }

  /** Publishes what is due, and tries again what could not be published. */
  look(now: number): void {
    for (const entry of [...this.#all]) {
      if (entry.dueAt !== null && entry.dueAt <= now) this.#publish(entry)
    }
  }

  #publish(entry: Entry): void {
    if (!this.#isStarted || entry.isPublishing) return
    const { publishWill, mayPublish } = this.#parts
    if (!mayPublish(entry, entry.will.topic)) {
      this.#drop(entry, 'it may not be published any more')
      return
    }
    entry.isPublishing = true
    const publishing = publishWill(entry.will, entry.clientId).then(
      () => {
        this.counts.published++
        this.#forget(entry)
      },
      (error: Error) => this.#failed(entry, error),
    )
    this.#publishing.add(publishing)
    void publishing.then(() => this.#publishing.delete(publishing))
  }

  #failed(entry: Entry, error: Error): void {
    entry.isPublishing = false
    if (error instanceof RecordTooLargeError) {
      this.#drop(entry, error.message)
      return
    }
    this.counts.failed++
    const text = 'a will could not be published; it is tried again'
    this.#parts.limited.warn('will failed', text, fieldsOf(entry, error.message))
    this.#wait(entry)
  }

  #wait(entry: Entry): void {
    const other = this.#waiting.get(entry.clientId)
    if (other === entry) return
    const isNewer = other === undefined || other.nth < entry.nth
    if (isNewer) this.#waiting.set(entry.clientId, entry)
    const older = isNewer ? other : entry
    if (older !== undefined && !older.isPublishing) {
      this.#drop(older, 'a newer one of its client could not be published either')
    }
  }

  #drop(entry: Entry, reason: string): void {
    this.counts.dropped++
    this.#parts.limited.warn('will dropped', 'a will was dropped', fieldsOf(entry, reason))
    this.#forget(entry)
  }

  #forget(entry: Entry): void {
    const { session, clientId, user, bytes } = entry
    if (this.#all.delete(entry)) this.#count(user, -bytes)
    if (this.#waiting.get(clientId) === entry) this.#waiting.delete(clientId)
    if (this.#entries.get(session) === entry) {
      this.#entries.delete(session)
      this.#parts.store.remove(sessionKey(KIND.will, session))
    } else if (this.#late.get(session) === entry) {
      this.#late.delete(session)
      this.#parts.store.remove(lateWillKey(session))
    }
  }

  /** Waits for those that are on their way. */
  async close(): Promise<void> {
    await Promise.all(this.#publishing)
    this.#isStarted = false
  }
}

function encoded({ clientId, will, user }: Entry): Buffer {
  return encodeWill(clientId, will, user)
}

function fieldsOf({ clientId, user, will }: Entry, reason: string): Record<string, unknown> {
  return { client: clientId, ...(user === null ? {} : { user }), topic: will.topic, reason }
}
