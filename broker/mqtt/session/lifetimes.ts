/** Sessions by client: how they begin, pass from one connection to the next, and end. */
import type { Connect } from '../packets/packet.ts'
import { MqttProtocolError, Reason } from '../packets/protocol-error.ts'
import type { SessionRules } from './away-review.ts'
import type { AwaySessions } from './away-sessions.ts'
import { ClientSession } from './client-session.ts'
import type { SessionLimits } from './limits.ts'
import type { Outgoing } from './outgoing.ts'
import type { Patience } from './patience.ts'
import { type DisconnectKind, Session, type SessionOwner } from './session.ts'
import type { SessionClock } from './session-clock.ts'
import type { SessionContext } from './session-context.ts'
import { awayFrom } from './session-restore.ts'
import type { SessionRoom } from './session-room.ts'
import type { SharedReturns } from './shared-returns.ts'
import type { StateStore } from './state-store.ts'
import { removeStored, storeExpiry } from './stored-session.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Wills } from './wills.ts'

export interface LifetimesParts {
  readonly owner: SessionOwner
  readonly limits: SessionLimits
  /** Without them everybody may do everything. */
  readonly rules: SessionRules | undefined
  readonly store: StateStore
  readonly clock: SessionClock
  readonly context: SessionContext
  readonly away: AwaySessions
  readonly wills: Wills
  readonly room: SessionRoom
  readonly subscriptions: Subscriptions
  readonly patience: Patience
  readonly returns: SharedReturns
  /** It is over: nobody else knows of it. */
  ended(session: ClientSession): void
}

export class Lifetimes {
  readonly #parts: LifetimesParts
  readonly byClient = new Map<string, ClientSession>()
  /** The number of the next session. */
  nextSession = 0

  constructor(parts: LifetimesParts) {
    this.#parts = parts
  }

  /** There is a session that stays. */
  get hasStored(): boolean {
    for (const { isStored } of this.byClient.values()) if (isStored) return true
    return false
  }

  /**
   * CONNECT. A connection that has the session is closed first [MQTT-3.1.4-3]. Resolves once all that a restart must know is on disk;
   * nothing is sent before `pump()` of what it resolves to. Where another connection has taken the session over meanwhile, that is not
   * attached any more.
   * @param user who asks for it; null: a client without a name. A session of a user that is none any more is over: nobody gets what it holds
   * @throws MqttProtocolError at a limit (session-room.ts), and where the session is another user's; SessionStateError where the disk is at fault
   */
  async connect(
    connect: Connect,
    outgoing: Outgoing,
    user: string | null = null,
  ): Promise<{ session: Session; isPresent: boolean }> {
    const { clientId, cleanStart, will } = connect
    const before = this.byClient.get(clientId)
    const isAnothers = before !== undefined && before.user !== null && before.user !== user
    if (isAnothers && this.#isUser(before.user!)) {
      throw new MqttProtocolError(
        Reason.notAuthorized,
        'MQTT-3.1.4-2',
        'the client id is that of another user',
      )
    }
    this.#checkDisk(connect, isAnothers ? undefined : before)
    this.#parts.room.check(connect, user, before, this.#parts.clock.now())
    if (isAnothers) this.#parts.wills.remove(before.number)
    if (before !== undefined && before.outgoing !== null) {
      before.link?.detach()
      before.outgoing.close(Reason.sessionTakenOver, 'another connection has taken its session over')
      this.lost(before, 'lost', null)
    }
    let known = this.byClient.get(clientId)
    if (known !== undefined && (cleanStart || isAnothers)) {
      this.end(known)
      known = undefined
    }
    const session = known ?? this.#create(clientId)
    let mustSync = known === undefined && before?.isStored === true
    if (this.#parts.away.delete(session)) mustSync = true
    if (this.#parts.wills.cancel(session.number, this.#parts.clock.now())) mustSync = true
    const expirySeconds = Math.min(connect.sessionExpirySeconds, this.#parts.limits.expirySecondsMax)
    const isChanged = known === undefined || session.user !== user
    session.user = user
    if (storeExpiry(this.#parts.store, session, expirySeconds, isChanged)) mustSync = true
    this.#parts.room.owned.update(session)
    if (will !== null) {
      this.#parts.wills.set(session.number, { clientId, user }, will)
      mustSync = true
    }
    const link = new Session(session, this.#parts.owner)
    session.attach(link, outgoing)
    // a session that begins must not be given what the log had before: the positions go with it
    if (mustSync) await this.#onDisk(link, known === undefined)
    return { session: link, isPresent: known !== undefined }
  }

  /** What has to be on disk and cannot be is refused before it leaves anything that waits for the disk. @throws SessionStateError */
  #checkDisk({ will, cleanStart, sessionExpirySeconds }: Connect, known: ClientSession | undefined): void {
    const { failure } = this.#parts.store
    if (failure === null) return
    const begins = cleanStart || known?.isStored !== true
    const stays = Math.min(sessionExpirySeconds, this.#parts.limits.expirySecondsMax) > 0
    if (will !== null || (stays && begins)) throw failure
  }

  async #onDisk(link: Session, isNew: boolean): Promise<void> {
    try {
      await this.#parts.store.flush(true)
    } catch (error) {
      link.disconnect('clean', isNew ? 0 : null)
      throw error
    }
  }

  #create(clientId: string): ClientSession {
    const session = new ClientSession(clientId, this.nextSession++, 0, this.#parts.context)
    this.byClient.set(clientId, session)
    return session
  }

  /** Its connection has ended. */
  lost(session: ClientSession, kind: DisconnectKind, expirySeconds: number | null): void {
    const now = this.#parts.clock.now()
    let mustSync = false
    if (expirySeconds !== null) {
      const granted = Math.min(expirySeconds, this.#parts.limits.expirySecondsMax)
      mustSync = granted > 0 && storeExpiry(this.#parts.store, session, granted, false)
      if (granted === 0) session.expirySeconds = 0
      else this.#parts.room.owned.update(session)
    }
    if (kind === 'clean') mustSync = this.#parts.wills.remove(session.number) || mustSync
    else this.#parts.wills.schedule(session.number, now, session.expirySeconds)
    session.detach()
    this.#parts.patience.ended(session)
    session.awaySince = now
    if (session.expirySeconds === 0) {
      mustSync ||= session.isStored
      this.end(session)
    } else this.#parts.away.set(session, awayFrom(session, this.#parts.wills.dueAt(session.number), now))
    if (mustSync) this.#parts.store.flush().catch(() => undefined)
  }

  /** The session is over: a will that waits is published [MQTT-3.1.2-10]. */
  end(session: ClientSession): void {
    if (session.isStored) removeStored(this.#parts.store, session)
    this.#parts.away.delete(session)
    this.#parts.ended(session)
    const shared = this.#parts.returns.taken(session.flow.shared())
    session.end()
    this.#parts.room.owned.delete(session)
    this.#parts.subscriptions.end(session)
    this.#parts.returns.give(shared)
    this.byClient.delete(session.clientId)
    this.#parts.wills.sessionEnded(session.number, this.#parts.clock.now())
  }

  #isUser(name: string): boolean {
    return this.#parts.rules?.isUser(name) ?? true
  }
}
