/**
 * The rules have changed while clients are away: a subscription that a client may not have any more would go on filling its queue until it is back,
 * and a will that it may not publish any more would be published. What a user had that is none any more would stay for nobody, and keep its client ids
 * from everybody.
 */
import type { LimitedLog } from '../../limited-log.ts'
import type { ClientSession } from './client-session.ts'

/** Who may do what (../connection/access.ts). */
export interface SessionRules {
  mayPublish(who: SessionUser, topic: string): boolean
  maySubscribe(who: SessionUser, filter: string): boolean
  readonly hasUsers: boolean
  isUser(name: string): boolean
  isGone(name: string): boolean
}

export interface SessionUser {
  readonly name: string | null
  readonly clientId: string
}

export interface AwayReviewParts {
  readonly limited: LimitedLog
  /** The topic of the session's will, or null. */
  willTopicOf(session: ClientSession): string | null
  dropWill(session: ClientSession): void
  unsubscribe(session: ClientSession, filters: readonly string[]): Promise<unknown>
  /** Nothing of it is left, nor is its will published. */
  remove(session: ClientSession): void
}

/** Of clients that are connected their connections take care. @param removed users that are none any more */
export function reviewAway(
  sessions: Iterable<ClientSession>,
  rules: SessionRules,
  removed: readonly string[],
  { limited, willTopicOf, dropWill, unsubscribe, remove }: AwayReviewParts,
): void {
  const gone = new Set(removed)
  for (const session of [...sessions]) {
    if (session.isOnline) continue
    const { clientId, user } = session
    if (user !== null && (gone.has(user) || rules.isGone(user))) {
      remove(session)
      limited.warn('gone', 'ended the session of a user that was removed', { client: clientId, user })
      continue
    }
    const who = { name: user, clientId }
    const topic = willTopicOf(session)
    if (topic !== null && !rules.mayPublish(who, topic)) dropWill(session)
    const forbidden: string[] = []
    for (const [text, { filter }] of session.subscriptions) {
      if (!rules.maySubscribe(who, filter)) forbidden.push(text)
    }
    if (forbidden.length === 0) continue
    // where the disk refuses it, the store says so, and tries again
    unsubscribe(session, forbidden).catch(() => undefined)
    limited.warn('forbidden', 'ended subscriptions that are not allowed any more', {
      ...session.who,
      filters: forbidden.slice(0, FILTERS_NAMED_MAX).join(' '),
      count: forbidden.length,
    })
  }
}

const FILTERS_NAMED_MAX = 10
