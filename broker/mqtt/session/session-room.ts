/** What a CONNECT asks for is within the limits of all and of its user: asked before it disturbs anybody. */
import type { LimitedLog } from '../../limited-log.ts'
import type { Connect, Will } from '../packets/packet.ts'
import { MqttProtocolError, Reason } from '../packets/protocol-error.ts'
import type { SessionRules } from './away-review.ts'
import type { ClientSession } from './client-session.ts'
import type { SessionLimits } from './limits.ts'
import { OwnedSessions } from './owned-sessions.ts'
import type { Wills } from './wills.ts'

/** One user's wills are at most this part of all. */
const WILLS_SHARE = 10
/** From this share of a limit of sessions on a warning says that it comes near. */
const NEAR_SHARE = 0.9

export interface SessionRoomParts {
  readonly limits: SessionLimits
  readonly wills: Wills
  readonly rules: Pick<SessionRules, 'hasUsers'>
  readonly limited: LimitedLog
  end(session: ClientSession): void
}

export class SessionRoom {
  readonly #parts: SessionRoomParts

  readonly owned = new OwnedSessions()
  /** Sessions that ended so that a newer one of their user could begin. */
  evicted = 0

  constructor(parts: SessionRoomParts) {
    this.#parts = parts
  }

  /**
   * At a limit of sessions the one of the same user that has been away for longest makes room: so no user can shut out another, nor itself for good.
   * @param before the session of its client id
   * @param now session time
   * @throws MqttProtocolError
   */
  check(connect: Connect, user: string | null, before: ClientSession | undefined, now: number): void {
    const { will, sessionExpirySeconds } = connect
    if (will !== null) this.#checkWill(will, user, before, now)
    const stays = Math.min(sessionExpirySeconds, this.#parts.limits.expirySecondsMax) > 0
    const isCounted = before?.isStored === true && before.user === user
    if (!stays || isCounted) return
    const isEvicted = this.#makeRoom(user, before)
    if (!isEvicted) this.#warnNear(user)
  }

  /** Before the first session has to go. */
  #warnNear(user: string | null): void {
    const { sessionsMax, sessionsPerUserMax } = this.#parts.limits
    const ofUser = this.owned.countOf(user) + 1
    const all = this.owned.count + 1
    const warn = (kind: string, count: number, key: string, max: number) => {
      if (count < max * NEAR_SHARE) return
      this.#parts.limited.warn(`near ${kind}`, 'sessions that stay come near their limit', {
        ...(user === null ? {} : { user }),
        sessions: count,
        reason: `${key} is ${max}: at it the session that has been away for longest ends for a new one`,
      })
    }
    if (this.#isApart(user)) warn(`of ${user ?? ''}`, ofUser, 'limits.sessionsPerUserMax', sessionsPerUserMax)
    warn('of all', all, 'limits.sessionsMax', sessionsMax)
  }

  /** @returns whether another one had to end for it */
  #makeRoom(user: string | null, before: ClientSession | undefined): boolean {
    const limit = this.#limitOf(user, before?.isStored === true)
    if (limit === null) return false
    const oldest = this.owned.longestAway(user)
    if (oldest === null) refuse(`${limit} is reached`)
    this.evicted++
    const { clientId } = oldest
    const text = 'ended the session of a client that is away, for a newer one of its user'
    this.#parts.limited.warn('evicted', text, {
      client: clientId,
      ...(user === null ? {} : { user }),
      reason: `${limit} is reached`,
    })
    this.#parts.end(oldest)
    return true
  }

  /** @param isReplaced one session ends @returns the limit that is reached */
  #limitOf(user: string | null, isReplaced: boolean): string | null {
    const { sessionsMax, sessionsPerUserMax } = this.#parts.limits
    if (this.owned.count - (isReplaced ? 1 : 0) >= sessionsMax) return `limits.sessionsMax of ${sessionsMax}`
    if (!this.#isApart(user) || this.owned.countOf(user) < sessionsPerUserMax) return null
    return `limits.sessionsPerUserMax of ${sessionsPerUserMax}`
  }

  #checkWill(will: Will, user: string | null, before: ClientSession | undefined, now: number): void {
    const { wills, limits } = this.#parts
    const { all, ofUser } = wills.bytesWith(will, user, before?.number, now)
    const { willsBytesMax } = limits
    if (all > willsBytesMax) refuse(`limits.willsBytesMax of ${willsBytesMax} is reached`)
    const share = Math.floor(willsBytesMax / WILLS_SHARE)
    if (this.#isApart(user) && ofUser > share)
      refuse(`its user’s share of limits.willsBytesMax, ${share}, is reached`)
  }

  /** Clients without a name are one user, unless all are. */
  #isApart(user: string | null): boolean {
    return user !== null || this.#parts.rules.hasUsers
  }
}

function refuse(text: string): never {
  throw new MqttProtocolError(Reason.quotaExceeded, 'MQTT-3.1.4-2', text)
}
