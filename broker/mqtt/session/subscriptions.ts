/** SUBSCRIBE and UNSUBSCRIBE of a session: what it holds, what the hub knows, what is stored, and the retained messages that follow. */
import type { LimitedLog } from '../../limited-log.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { QoS, Subscribe, SubscriptionRequest } from '../packets/packet.ts'
import { Reason } from '../packets/protocol-error.ts'
import { isReplayFilter } from '../replay/replay-filter.ts'
import type { Replays } from '../replay/replays.ts'
import type { ClientSession } from './client-session.ts'
import type { SessionLimits } from './limits.ts'
import type { RetainedMessages } from './retained.ts'
import { RetainedFeed } from './retained-feed.ts'
import { encodeSubscription, KIND, parseFilter, sessionKey } from './state-format.ts'
import type { StateStore } from './state-store.ts'
import type { TopicHub } from './topic-hub.ts'

export interface SubscriptionsParts {
  readonly hub: TopicHub
  readonly store: StateStore
  readonly retained: RetainedMessages
  readonly replays: Replays
  readonly limits: SessionLimits
  readonly limited: LimitedLog
}

export class Subscriptions {
  readonly #parts: SubscriptionsParts

  constructor(parts: SubscriptionsParts) {
    this.#parts = parts
  }

  /** As `Session.subscribe`. */
  async subscribe(session: ClientSession, request: Subscribe, grants: readonly number[]): Promise<number[]> {
    const feeds: RetainedFeed[] = []
    const codes = request.subscriptions.map((wanted, i) => {
      const grant = grants[i]!
      return grant > 2 ? grant : this.#subscribe(session, wanted, grant as QoS, request.identifier, feeds)
    })
    if (session.isStored && codes.some((code) => code < 0x80)) await this.#parts.store.flush(true)
    if (feeds.length > 0 || session.hasReplays) {
      // SUBACK first
      setImmediate(() => {
        for (const feed of feeds) if (session.subscriptions.has(feed.filter)) session.flow.feeds.add(feed)
        session.flow.pump()
      })
    }
    return codes
  }

  #subscribe(
    session: ClientSession,
    wanted: SubscriptionRequest,
    qos: QoS,
    identifier: number | null,
    feeds: RetainedFeed[],
  ): number {
    const { filter: text, isNoLocal, isRetainAsPublished, retainHandling } = wanted
    const isNew = !session.subscriptions.has(text)
    if (isNew && session.subscriptions.size >= this.#parts.limits.subscriptionsMax) {
      const reason = `limits.subscriptionsPerClientMax of ${this.#parts.limits.subscriptionsMax} is reached`
      const fields = { ...session.who, filter: text, reason }
      this.#parts.limited.warn('subscriptions', 'refused a subscription', fields)
      return Reason.quotaExceeded
    }
    const subscription = { ...parseFilter(text), qos, isNoLocal, isRetainAsPublished, identifier }
    if (isReplayFilter(subscription.filter)) return this.#replay(session, subscription)
    this.#parts.hub.subscribe(session, subscription)
    this.#keep(session, text, subscription)
    // a shared subscription gets no retained messages [MQTT 5, section 3.8.3.1]
    const isFed = retainHandling === 0 || (retainHandling === 1 && isNew)
    if (isFed && subscription.shareName === null) this.#feed(session, text, subscription, feeds)
    return qos
  }

  #keep(session: ClientSession, text: string, subscription: Subscription): void {
    session.subscriptions.set(text, subscription)
    if (!session.isStored) return
    this.#parts.store.put(
      sessionKey(KIND.subscription, session.number, text),
      encodeSubscription(subscription),
    )
  }

  /** One that there is goes on where it is: clients subscribe again whenever they connect. */
  #replay(session: ClientSession, wanted: Subscription): number {
    const { replays } = session.flow
    const subscription = wanted.qos === 2 ? { ...wanted, qos: 1 as const } : wanted
    const known = wanted.shareName === null ? replays.get(wanted.filter) : undefined
    if (known !== undefined) known.subscription = subscription
    else {
      const replay = this.#parts.replays.open(session.who, subscription, replays.count)
      if (typeof replay === 'number') return replay
      replays.add(replay)
    }
    this.#keep(session, wanted.filter, subscription)
    return subscription.qos
  }

  /** The session is over. */
  end(session: ClientSession): void {
    this.#parts.hub.removeAll(session)
    if (!session.hasReplays) return
    for (const replay of session.flow.replays.all()) this.#parts.replays.closed(replay)
  }

  #endReplay(session: ClientSession, text: string): void {
    const replay = session.hasReplays ? session.flow.replays.get(text) : undefined
    if (replay === undefined) return
    session.flow.replays.remove(replay)
    this.#parts.replays.closed(replay)
    if (session.isStored) this.#parts.store.remove(sessionKey(KIND.replay, session.number, text))
  }

  #feed(session: ClientSession, text: string, subscription: Subscription, feeds: RetainedFeed[]): void {
    const topics = this.#parts.retained.topicsOf(subscription.filter)
    if (topics.length === 0) return
    const feed = new RetainedFeed(text, subscription, topics, this.#parts.retained)
    feeds.push(feed)
    session.flow.feeds.expect(feed)
    if (session.isStored) this.#parts.store.put(sessionKey(KIND.feed, session.number, text), Buffer.alloc(0))
  }

  /** As `Session.unsubscribe`. */
  async unsubscribe(session: ClientSession, filters: readonly string[]): Promise<number[]> {
    let isChanged = false
    const codes = filters.map((text) => {
      if (!session.subscriptions.delete(text)) return Reason.noSubscriptionExisted
      isChanged = true
      this.#parts.hub.unsubscribe(session, text)
      session.flow.feeds.remove(text)
      this.#endReplay(session, text)
      if (session.isStored) {
        this.#parts.store.remove(sessionKey(KIND.subscription, session.number, text))
        this.#parts.store.remove(sessionKey(KIND.feed, session.number, text))
      }
      return Reason.success
    })
    if (session.isStored && isChanged) await this.#parts.store.flush(true)
    return codes
  }
}
