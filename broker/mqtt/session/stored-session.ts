/** A session's facts in the store: they are on disk with the next flush. */
import type { ClientSession } from './client-session.ts'
import { encodeSession, encodeSubscription, KIND, sessionKey } from './state-format.ts'
import type { StateStore } from './state-store.ts'

/** @param isChanged it is new, or another user's @returns whether something was put */
export function storeExpiry(
  store: StateStore,
  session: ClientSession,
  seconds: number,
  isChanged: boolean,
): boolean {
  const wasStored = session.isStored
  const isSame = session.expirySeconds === seconds && !isChanged
  if (wasStored && seconds === 0) removeStored(store, session)
  session.setExpiry(seconds)
  if (seconds === 0 || isSame) return wasStored && seconds === 0
  store.put(sessionKey(KIND.session, session.number), encodeSession(session.clientId, seconds, session.user))
  if (wasStored) return true
  for (const [text, subscription] of session.subscriptions) {
    store.put(sessionKey(KIND.subscription, session.number, text), encodeSubscription(subscription))
  }
  return true
}

export function removeStored(store: StateStore, session: ClientSession): void {
  const { number } = session
  store.remove(sessionKey(KIND.session, number))
  store.remove(sessionKey(KIND.away, number))
  for (const text of session.subscriptions.keys()) {
    store.remove(sessionKey(KIND.subscription, number, text))
    store.remove(sessionKey(KIND.feed, number, text))
  }
  for (const key of session.storedKeys()) store.remove(key)
}
