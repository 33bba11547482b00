/**
 * Wills: stored before CONNACK, published when the connection is lost: after their delay, or at the end of the session where that is
 * first [MQTT 5, section 3.1.3.2.2]. A will is an event like any other: it goes through the ingress into the log. Its fact is removed
 * once it is there, so that a crash in between publishes it twice rather than never.
 */
import { RecordTooLargeError } from '../../errors.ts'
import type { LimitedLog } from '../../limited-log.ts'
import type { Will } from '../packets/packet.ts'
import { encodeWill, KIND, sessionKey } from './state-format.ts'
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
  /** Session time; null while its client is connected. */
  dueAt: number | null
  isPublishing: boolean
}

export class Wills {
  readonly #parts: WillsParts
  /** By session number. */
  readonly #entries = new Map<number, Entry>()
  readonly #publishing = new Set<Promise<void>>()
  /** Could not be published, and its client is back with another will. */
  #late: Entry[] = []
  #isStarted = false
  readonly counts = { published: 0, failed: 0, dropped: 0 }

  constructor(parts: WillsParts) {
    this.#parts = parts
  }

  get count(): number {
    return this.#entries.size
  }

  /** When the session's will is due; null while it is not, or where there is none. */
  dueAt(session: number): number | null {
    return this.#entries.get(session)?.dueAt ?? null
  }
  topicOf(session: number): string | null {
    return this.#entries.get(session)?.will.topic ?? null
  }
  has(session: number): boolean {
    return this.#entries.has(session)
  }

  /** Of a client that connects. It is on disk with the next flush. */
  set(session: number, owner: WillOwner, will: Will): void {
    const { clientId, user } = owner
    const payload = Buffer.from(will.payload)
    const own = { ...will, payload }
    this.#entries.set(session, { session, clientId, user, will: own, dueAt: null, isPublishing: false })
    this.#parts.store.put(sessionKey(KIND.will, session), encodeWill(clientId, own, user))
  }

  load({ session, clientId, user, will }: LoadedWill, dueAt: number): void {
    this.#entries.set(session, { session, clientId, user, will, dueAt, isPublishing: false })
  }

  /** The client is back: a will that is not due yet is none any more. @returns as `remove` */
  cancel(session: number, now: number): boolean {
    const entry = this.#entries.get(session)
    if (entry === undefined || entry.isPublishing) return false
    if (entry.dueAt !== null && entry.dueAt <= now) {
      // it could not be published yet
      this.#entries.delete(session)
      this.#late.push(entry)
      return false
    }
    return this.remove(session)
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
    for (const entry of this.#late.splice(0)) this.#publish(entry)
    for (const entry of this.#entries.values()) {
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
    if (this.#entries.get(entry.session) !== entry) this.#late.push(entry)
    this.counts.failed++
    const text = 'a will could not be published; it is tried again'
    this.#parts.limited.warn('will failed', text, fieldsOf(entry, error.message))
  }

  #drop(entry: Entry, reason: string): void {
    this.counts.dropped++
    this.#parts.limited.warn('will dropped', 'a will was dropped', fieldsOf(entry, reason))
    this.#forget(entry)
  }

  #forget(entry: Entry): void {
    const known = this.#entries.get(entry.session)
    // its client has come back with another one
    if (known !== undefined && known !== entry) return
    this.#entries.delete(entry.session)
    this.#parts.store.remove(sessionKey(KIND.will, entry.session))
  }

  /** Waits for those that are on their way. */
  async close(): Promise<void> {
    await Promise.all(this.#publishing)
    this.#isStarted = false
  }
}

function fieldsOf({ clientId, user, will }: Entry, reason: string): Record<string, unknown> {
  return { client: clientId, ...(user === null ? {} : { user }), topic: will.topic, reason }
}
