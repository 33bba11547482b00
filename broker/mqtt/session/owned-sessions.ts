/** Sessions that stay when their connection ends, by their users: those without a name have one user, null. */
import type { ClientSession } from './client-session.ts'

export class OwnedSessions {
  readonly #byUser = new Map<string | null, Set<ClientSession>>()
  /** As each was counted. */
  readonly #userOf = new Map<ClientSession, string | null>()

  get count(): number {
    return this.#userOf.size
  }

  countOf(user: string | null): number {
    return this.#byUser.get(user)?.size ?? 0
  }

  /** It may stay from now on, or have another user. */
  update(session: ClientSession): void {
    this.delete(session)
    if (!session.isStored) return
    const { user } = session
    let own = this.#byUser.get(user)
    if (own === undefined) {
      own = new Set()
      this.#byUser.set(user, own)
    }
    own.add(session)
    this.#userOf.set(session, user)
  }

  delete(session: ClientSession): void {
    const user = this.#userOf.get(session)
    if (user === undefined) return
    this.#userOf.delete(session)
    const own = this.#byUser.get(user)!
    own.delete(session)
    if (own.size === 0) this.#byUser.delete(user)
  }

  /** Of those without a connection, the one that lost it first. */
  longestAway(user: string | null): ClientSession | null {
    let longest: ClientSession | null = null
    for (const session of this.#byUser.get(user) ?? []) {
      if (session.isOnline) continue
      if (longest === null || session.awaySince < longest.awaySince) longest = session
    }
    return longest
  }
}
