/**
 * How long publishers wait for a subscriber that is slower than they are. They wait as long as it takes `subscriberRateMin` messages a second, measured
 * over the time for which somebody waits. One that does not is let go: publishers go on, and its queue fills and ends as any full one does. It is
 * waited for again after a minute, once its queue has sunk: a client that stalls and connects anew cannot stop publishers each time.
 */
import type { LimitedLog } from '../../limited-log.ts'
import type { ClientSession } from './client-session.ts'
import type { SessionLimits } from './limits.ts'

export const LET_GO_MS = 60_000
/** Clients that are remembered as too slow; the oldest is forgotten. */
const LET_GO_MAX = 1_000

/** For how long, and what it took meanwhile. */
interface Wait {
  /** Of earlier waits since it was judged last. */
  ms: number
  completed: number
  /** null: nobody waits now. */
  since: number | null
  completedBefore: number
}

export class Patience {
  readonly #limits: SessionLimits
  readonly #limited: LimitedLog
  readonly #now: () => number
  readonly #waits = new Map<ClientSession, Wait>()
  /** By client id: until when, ms. */
  readonly #letGo = new Map<string, number>()
  /** Since the start. */
  letGo = 0

  /** @param now ms of any origin, never steps */
  constructor(limits: SessionLimits, limited: LimitedLog, now: () => number) {
    this.#limits = limits
    this.#limited = limited
    this.#now = now
  }

  /** Sessions that publishers wait for now. */
  get waitedFor(): number {
    let count = 0
    for (const { since } of this.#waits.values()) if (since !== null) count++
    return count
  }

  /** Nobody waits for it. */
  isLetGo({ clientId }: ClientSession): boolean {
    return this.#letGo.has(clientId)
  }

  awaited(session: ClientSession, isAwaited: boolean): void {
    const { completed } = session.backlog
    const wait = this.#waits.get(session)
    if (wait === undefined) {
      if (!isAwaited) return
      this.#waits.set(session, { ms: 0, completed: 0, since: this.#now(), completedBefore: completed })
      this.#limited.warn('held', 'publishers wait for a subscriber that is slower than they are', {
        client: session.clientId,
        queued: session.queued,
      })
    } else if (isAwaited && wait.since === null) {
      wait.since = this.#now()
      wait.completedBefore = completed
    } else if (!isAwaited && wait.since !== null) {
      wait.ms += this.#now() - wait.since
      wait.completed += completed - wait.completedBefore
      wait.since = null
    }
  }

  /** Its connection has ended. */
  ended(session: ClientSession): void {
    this.#waits.delete(session)
  }

  /** Each second. */
  look(sessionOf: (clientId: string) => ClientSession | undefined): void {
    const now = this.#now()
    for (const [session, wait] of this.#waits) this.#judge(session, wait, now)
    for (const [clientId, until] of this.#letGo) {
      if (until <= now && sessionOf(clientId)?.backlog.isLow !== false) this.#letGo.delete(clientId)
    }
  }

  #judge(session: ClientSession, wait: Wait, now: number): void {
    const isAwaited = wait.since !== null
    const ms = wait.ms + (isAwaited ? now - wait.since! : 0)
    if (ms < this.#limits.subscriberStallSecondsMax * 1000) return
    const completed = wait.completed + (isAwaited ? session.backlog.completed - wait.completedBefore : 0)
    this.#waits.delete(session)
    const perSecond = Math.floor((completed * 1000) / ms)
    if (perSecond < this.#limits.subscriberRateMin) this.#letGoOf(session, perSecond, now)
    else if (isAwaited) this.awaited(session, true)
  }

  #letGoOf(session: ClientSession, messagesPerSecond: number, now: number): void {
    this.letGo++
    const { clientId, queued } = session
    this.#limited.warn('slow', 'a subscriber is too slow: publishers do not wait for it any more', {
      client: clientId,
      messagesPerSecond,
      queued,
    })
    this.#letGo.set(clientId, now + LET_GO_MS)
    if (this.#letGo.size > LET_GO_MAX) {
      const [oldest] = this.#letGo.keys()
      this.#letGo.delete(oldest!)
    }
    session.backlog.release()
  }
}
