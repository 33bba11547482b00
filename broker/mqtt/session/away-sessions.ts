/** Sessions without a connection that have an end or a will to come, and when. What changes is written with the next checkpoint. */
import type { ClientSession } from './client-session.ts'
import { type Away, encodeAway, KIND, sessionKey } from './state-format.ts'
import type { StateStore } from './state-store.ts'

export class AwaySessions {
  readonly #store: StateStore
  readonly #away = new Map<ClientSession, Away>()
  readonly #changed = new Set<ClientSession>()
  /** The earliest end; there may be none any more. */
  #nextEnd = Number.POSITIVE_INFINITY

  constructor(store: StateStore) {
    this.#store = store
  }

  get count(): number {
    return this.#away.size
  }
  get isChanged(): boolean {
    return this.#changed.size > 0
  }

  set(session: ClientSession, away: Away): void {
    if (away.endsAt === null && away.willAt === null) return
    this.load(session, away)
    this.#changed.add(session)
  }

  /** As it is on disk. */
  load(session: ClientSession, away: Away): void {
    this.#away.set(session, away)
    this.#nextEnd = Math.min(this.#nextEnd, away.endsAt ?? Number.POSITIVE_INFINITY)
  }

  /** It has a connection again, or is over. @returns whether something was put: it is on disk with the next flush */
  delete(session: ClientSession): boolean {
    if (!this.#away.delete(session)) return false
    this.#changed.delete(session)
    this.#store.remove(sessionKey(KIND.away, session.number))
    return true
  }

  /** Those whose end has come. @param now session time */
  ended(now: number): ClientSession[] {
    if (now < this.#nextEnd) return []
    this.#nextEnd = Number.POSITIVE_INFINITY
    const ended: ClientSession[] = []
    for (const [session, { endsAt }] of this.#away) {
      if (endsAt === null) continue
      if (endsAt <= now) ended.push(session)
      else this.#nextEnd = Math.min(this.#nextEnd, endsAt)
    }
    return ended
  }

  build(): void {
    for (const session of this.#changed) {
      this.#store.put(sessionKey(KIND.away, session.number), encodeAway(this.#away.get(session)!))
    }
    this.#changed.clear()
  }
}
