/** Sessions, wills and the rest as they were stored; without what the log holds beyond (catch-up.ts). */
import { filterText } from '../hub/subscription.ts'
import { isReplayFilter } from '../replay/replay-filter.ts'
import type { Replays } from '../replay/replays.ts'
import type { AwaySessions } from './away-sessions.ts'
import { ClientSession } from './client-session.ts'
import type { InlineMessages } from './inline-messages.ts'
import { NEVER_SECONDS } from './limits.ts'
import type { RetainedMessages } from './retained.ts'
import { RetainedFeed } from './retained-feed.ts'
import type { SessionContext } from './session-context.ts'
import type { Away } from './state-format.ts'
import type { LoadedSession, LoadedState } from './state-load.ts'
import type { TopicHub } from './topic-hub.ts'
import type { Wills } from './wills.ts'

export interface RestoreParts {
  readonly context: SessionContext
  readonly hub: TopicHub
  readonly replays: Replays
  readonly inline: InlineMessages
  readonly retained: RetainedMessages
  readonly wills: Wills
  readonly away: AwaySessions
}

/** @param now session time */
export function restore(loaded: LoadedState, parts: RestoreParts, now: number): ClientSession[] {
  const { context, inline, retained, wills, away } = parts
  for (const key of loaded.orphans) context.store.remove(key)
  for (const [number, bytes] of loaded.inline) inline.load(number, bytes)
  for (const entry of loaded.retained) retained.load(entry)
  const sessions = [...loaded.sessions.values()].map((stored) => restoreSession(stored, parts))
  inline.loaded()
  for (const loadedWill of loaded.wills) {
    const { session, will } = loadedWill
    const stored = loaded.sessions.get(session)
    // of a client that was connected: its connection ended with the broker
    const delayMs = Math.min(will.delaySeconds, stored?.expirySeconds ?? 0) * 1000
    wills.load(loadedWill, stored?.away?.willAt ?? now + delayMs, now)
  }
  for (const session of sessions) {
    const stored = loaded.sessions.get(session.number)!
    const endsAt = stored.away === null ? now + session.expirySeconds * 1000 : stored.away.endsAt
    if (session.expirySeconds !== NEVER_SECONDS) session.awaySince = endsAt! - session.expirySeconds * 1000
    if (stored.away !== null) away.load(session, stored.away)
    else away.set(session, awayFrom(session, wills.dueAt(session.number), now))
  }
  return sessions
}

/** Its connection has ended now. @param willAt when its will is due */
export function awayFrom({ expirySeconds }: ClientSession, willAt: number | null, now: number): Away {
  return { endsAt: expirySeconds === NEVER_SECONDS ? null : now + expirySeconds * 1000, willAt }
}

function restoreSession(stored: LoadedSession, parts: RestoreParts): ClientSession {
  const { context, hub, retained, replays } = parts
  const { clientId, number, expirySeconds, user } = stored
  const session = new ClientSession(clientId, number, expirySeconds, context)
  session.user = user
  for (const [chunk, bytes] of stored.chunks) session.loadChunk(chunk, bytes)
  for (const delivery of stored.qos2) session.loadQos2(delivery)
  session.loaded(stored.lastPacketId)
  for (const subscription of stored.subscriptions) {
    const text = filterText(subscription)
    if (isReplayFilter(subscription.filter)) {
      const replay = replays.restore(session.who, subscription, stored.replays.get(text))
      if (replay === null) continue
      session.subscriptions.set(text, subscription)
      session.flow.restoreReplay(replay)
      continue
    }
    session.subscriptions.set(text, subscription)
    hub.subscribe(session, subscription)
    if (!stored.feeds.includes(text)) continue
    const topics = retained.topicsOf(subscription.filter)
    session.flow.feeds.add(new RetainedFeed(text, subscription, topics, retained))
  }
  return session
}
