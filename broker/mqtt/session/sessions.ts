/**
 * All sessions of the broker, retained messages and wills, and their state in `DATA/mqtt` (DESIGN.md beside this file).
 */
import { join } from 'node:path'
import { LimitedLog } from '../../limited-log.ts'
import type { EventLog } from '../../log/event-log.ts'
import type { LogPartition } from '../../log/partition.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk } from '../../storage/store.ts'
import type { Message, Subscriber } from '../hub/message.ts'
import { filterText, type Subscription } from '../hub/subscription.ts'
import type { Connect, QoS, Subscribe, SubscriptionRequest } from '../packets/packet.ts'
import { MqttProtocolError, Reason } from '../packets/protocol-error.ts'
import { ClientSession } from './client-session.ts'
import { Drops } from './drops.ts'
import { InlineMessages } from './inline-messages.ts'
import { NEVER_SECONDS, SESSION_LIMITS, type SessionLimits } from './limits.ts'
import { MessageLoader, type MessageOfRecord } from './message-loader.ts'
import type { Outgoing } from './outgoing.ts'
import { replay } from './replay.ts'
import { RetainedMessages } from './retained.ts'
import { RetainedFeed } from './retained-feed.ts'
import { type DisconnectKind, Session, type SessionOwner } from './session.ts'
import { type ClockSource, SessionClock } from './session-clock.ts'
import type { SessionContext } from './session-context.ts'
import { countSessions, type SessionsStatus } from './sessions-status.ts'
import {
  type Away,
  appliedKey,
  encodeAway,
  encodeMeta,
  encodeOffset,
  encodeSession,
  encodeSubscription,
  encodeTime,
  FORMAT,
  KIND,
  META_KEY,
  parseFilter,
  type StoredMessage,
  sessionKey,
  TIME_KEY,
} from './state-format.ts'
import { type LoadedSession, type LoadedState, openState, STATE_DIRECTORY } from './state-load.ts'
import { StateStore } from './state-store.ts'
import { type PublishWill, Wills } from './wills.ts'

/** Who knows which session takes which topic: the hub, as sessions use it. */
export interface TopicHub {
  subscribe(subscriber: Subscriber, subscription: Subscription): void
  unsubscribe(subscriber: Subscriber, filterText: string): boolean
  removeAll(subscriber: Subscriber): void
  /** Calls `deliver` of each that takes it, once; No Local is the hub's affair. */
  publish(message: Message): number
}

export interface SessionsOptions {
  readonly disk: Disk
  /** The data directory. */
  readonly data: string
  readonly log: EventLog
  readonly hub: TopicHub
  readonly sink: LogSink
  readonly limits?: Partial<SessionLimits>
  readonly clock: ClockSource & {
    /** ms since 1970, the clock that gives messages and records their timestamps. */
    now(): number
  }
  readonly messageOf: MessageOfRecord
  readonly publishWill: PublishWill
  /** Calls back again and again, without keeping the process alive. @returns the way to stop */
  readonly every?: (ms: number, callback: () => void) => () => void
}

const TICK_MS = 1_000
/** Expired retained messages leave memory and disk this often; they are not delivered in between. */
const EXPIRE_RETAINED_TICKS = 60
/** Where nothing else is to be written, positions in the log are, so that a start has little to read. */
const APPLIED_TICKS = 30
const APPLIED_RECORDS = 50_000

export class Sessions implements SessionOwner {
  readonly #options: SessionsOptions
  readonly #limits: SessionLimits
  readonly #log: LogSink
  readonly #limited: LimitedLog
  readonly #store: StateStore
  readonly #clock: SessionClock
  readonly #drops = new Drops()
  readonly #inline: InlineMessages
  readonly #retained: RetainedMessages
  readonly #wills: Wills
  readonly #loader: MessageLoader
  readonly #context: SessionContext
  readonly #partitions = new Map<number, LogPartition>()
  readonly #byClient = new Map<string, ClientSession>()
  #nextSession = 0
  /** Without a connection, and with an end or a will to come. */
  readonly #away = new Map<ClientSession, Away>()
  /** The earliest of them; there may be none any more. */
  #nextEnd = Number.POSITIVE_INFINITY
  /** To be written with the next checkpoint. */
  #changed: ClientSession[] = []
  #changedAway = new Set<ClientSession>()
  #finished: Buffer[] = []
  readonly #applied = new Map<number, number>()
  #stalled = new Set<ClientSession>()
  #ticks = 0
  #stopTicking: () => void = () => {}
  #replayed = 0

  private constructor(options: SessionsOptions, store: StateStore, loaded: LoadedState | null) {
    const { sink, clock, publishWill, messageOf, log } = options
    const now = () => clock.now()
    this.#options = options
    this.#limits = { ...SESSION_LIMITS, ...options.limits }
    this.#log = sink
    this.#limited = new LimitedLog(sink)
    this.#store = store
    this.#clock = new SessionClock(clock, loaded?.time ?? null)
    for (const chain of log.chains()) {
      for (const partition of chain.partitions.values()) this.#partitions.set(partition.id, partition)
    }
    const limits = this.#limits
    this.#inline = new InlineMessages(store, limits.inlineBytesMax)
    this.#retained = new RetainedMessages({
      store,
      clock: this.#clock,
      limits,
      drops: this.#drops,
      log: sink,
      now,
      placeOf: (stored) => this.#placeOf(stored),
    })
    this.#wills = new Wills(store, publishWill, sink)
    const partition = (id: number) => this.#partitions.get(id)
    this.#loader = new MessageLoader({ log, inline: this.#inline, messageOf, partition, now })
    this.#context = {
      limits,
      drops: this.#drops,
      store,
      inline: this.#inline,
      loader: this.#loader,
      held: { bytes: 0 },
      now,
      changed: (session) => void this.#changed.push(session),
      finished: (key) => void this.#finished.push(key),
      stalled: (session) => void this.#stalled.add(session),
      queueFull: (session) => this.#sayQueueFull(session),
      // not at once: the hub may be going through its subscribers
      closed: (link) => void setImmediate(() => link.disconnect('lost', null)),
    }
  }

  /**
   * Opens what is stored, and brings it up to the log's end.
   * @throws where the disk is at fault; LogUnavailableError
   */
  static async open(options: SessionsOptions): Promise<Sessions> {
    const { disk, data, log, sink } = options
    const durableOffsets = new Map<number, number>()
    for (const chain of log.chains()) {
      for (const { id, durableOffset } of chain.partitions.values()) durableOffsets.set(id, durableOffset)
    }
    const { store, loaded } = await openState({ disk, data, log: sink, durableOffsets })
    const state = new StateStore(disk, join(data, STATE_DIRECTORY), store, sink)
    const sessions = new Sessions(options, state, loaded)
    try {
      if (loaded !== null) await sessions.#load(loaded)
      state.build = () => sessions.#build()
      // where the disk refuses it, it is tried again, and said
      await state.flush(true).catch(() => undefined)
    } catch (error) {
      await store.close()
      throw error
    }
    return sessions
  }

  /** The ingress takes messages: wills go out, and time counts. */
  start(): void {
    this.#wills.start()
    this.#stopTicking = (this.#options.every ?? everyMs)(TICK_MS, () => this.tick())
    this.tick()
  }

  // -- connections --------------------------------------------------------------------------------------------------

  /**
   * CONNECT. A connection that has the session is closed first [MQTT-3.1.4-3]. Resolves once all that a restart must know is on disk;
   * nothing is sent before `pump()` of what it resolves to. Where another connection has taken the session over meanwhile, that is not
   * attached any more.
   * @throws MqttProtocolError at the limit of sessions; SessionStateError where the disk is at fault
   */
  async connect(connect: Connect, outgoing: Outgoing): Promise<{ session: Session; isPresent: boolean }> {
    const { clientId, cleanStart, will } = connect
    const before = this.#byClient.get(clientId)
    if (before !== undefined && before.outgoing !== null) {
      before.link?.detach()
      before.outgoing.close(Reason.sessionTakenOver, 'another connection has taken its session over')
      this.#lost(before, 'lost', null)
    }
    let known = this.#byClient.get(clientId)
    if (known !== undefined && cleanStart) {
      this.#end(known)
      known = undefined
    }
    const session = known ?? this.#create(clientId)
    let mustSync = known === undefined && before?.isStored === true
    if (this.#away.delete(session)) {
      this.#changedAway.delete(session)
      this.#store.remove(sessionKey(KIND.away, session.number))
      mustSync = true
    }
    if (this.#wills.cancel(session.number, this.#clock.now())) mustSync = true
    const expirySeconds = Math.min(connect.sessionExpirySeconds, this.#limits.expirySecondsMax)
    if (this.#setExpiry(session, expirySeconds, known === undefined)) mustSync = true
    if (will !== null) {
      this.#wills.set(session.number, clientId, will)
      mustSync = true
    }
    const link = new Session(session, this)
    session.attach(link, outgoing)
    // a session that begins must not be given what the log had before: the positions go with it
    if (mustSync) await this.#onDisk(link, known === undefined)
    return { session: link, isPresent: known !== undefined }
  }

  async #onDisk(link: Session, isNew: boolean): Promise<void> {
    try {
      await this.#store.flush(true)
    } catch (error) {
      link.disconnect('clean', isNew ? 0 : null)
      throw error
    }
  }

  #create(clientId: string): ClientSession {
    if (this.#byClient.size >= this.#limits.sessionsMax) {
      const reason = `there are ${this.#byClient.size} sessions, and no more may be`
      this.#limited.warn('sessions', `a client was refused: ${reason}`, { client: clientId })
      throw new MqttProtocolError(Reason.quotaExceeded, 'MQTT-3.1.4-2', reason)
    }
    const session = new ClientSession(clientId, this.#nextSession++, 0, this.#context)
    this.#byClient.set(clientId, session)
    return session
  }

  /** @returns whether something was put: it is on disk with the next flush */
  #setExpiry(session: ClientSession, seconds: number, isNew: boolean): boolean {
    const wasStored = session.isStored
    const isSame = session.expirySeconds === seconds && !isNew
    if (wasStored && seconds === 0) this.#removeStored(session)
    session.setExpiry(seconds)
    if (seconds === 0 || isSame) return wasStored && seconds === 0
    this.#store.put(sessionKey(KIND.session, session.number), encodeSession(session.clientId, seconds))
    if (!wasStored) this.#putSubscriptions(session)
    return true
  }

  #putSubscriptions(session: ClientSession): void {
    for (const [text, subscription] of session.subscriptions) {
      this.#store.put(sessionKey(KIND.subscription, session.number, text), encodeSubscription(subscription))
    }
  }

  #removeStored(session: ClientSession): void {
    const { number } = session
    this.#store.remove(sessionKey(KIND.session, number))
    this.#store.remove(sessionKey(KIND.away, number))
    for (const text of session.subscriptions.keys()) {
      this.#store.remove(sessionKey(KIND.subscription, number, text))
      this.#store.remove(sessionKey(KIND.feed, number, text))
    }
    for (const key of session.storedKeys()) this.#store.remove(key)
  }

  /** The session's connection has ended (`Session.disconnect`). */
  disconnect(session: ClientSession, kind: DisconnectKind, sessionExpirySeconds: number | null): void {
    this.#lost(session, kind, sessionExpirySeconds)
  }

  #lost(session: ClientSession, kind: DisconnectKind, expirySeconds: number | null): void {
    const now = this.#clock.now()
    let mustSync = false
    if (expirySeconds !== null) {
      const granted = Math.min(expirySeconds, this.#limits.expirySecondsMax)
      mustSync = granted > 0 && this.#setExpiry(session, granted, false)
      if (granted === 0) session.expirySeconds = 0
    }
    if (kind === 'clean') mustSync = this.#wills.remove(session.number) || mustSync
    else this.#wills.schedule(session.number, now, session.expirySeconds)
    session.detach()
    if (session.expirySeconds === 0) {
      mustSync ||= session.isStored
      this.#end(session)
    } else this.#setAway(session, now)
    if (mustSync) this.#store.flush().catch(() => undefined)
  }

  #setAway(session: ClientSession, now: number): void {
    const { expirySeconds } = session
    const endsAt = expirySeconds === NEVER_SECONDS ? null : now + expirySeconds * 1000
    const willAt = this.#wills.dueAt(session.number)
    if (endsAt === null && willAt === null) return
    this.#away.set(session, { endsAt, willAt })
    this.#changedAway.add(session)
    this.#nextEnd = Math.min(this.#nextEnd, endsAt ?? Number.POSITIVE_INFINITY)
  }

  /** The session is over: a will that waits is published [MQTT-3.1.2-10]. */
  #end(session: ClientSession): void {
    this.#options.hub.removeAll(session)
    if (session.isStored) this.#removeStored(session)
    this.#away.delete(session)
    this.#changedAway.delete(session)
    this.#stalled.delete(session)
    session.end()
    this.#byClient.delete(session.clientId)
    this.#wills.sessionEnded(session.number, this.#clock.now())
  }

  // -- subscriptions ------------------------------------------------------------------------------------------------

  async subscribe(session: ClientSession, request: Subscribe, grants: readonly number[]): Promise<number[]> {
    const feeds: RetainedFeed[] = []
    const codes = request.subscriptions.map((wanted, i) => {
      const grant = grants[i]!
      return grant > 2 ? grant : this.#subscribe(session, wanted, grant as QoS, request.identifier, feeds)
    })
    if (session.isStored && codes.some((code) => code < 0x80)) await this.#store.flush(true)
    if (feeds.length > 0) {
      // SUBACK first
      setImmediate(() => {
        for (const feed of feeds) if (session.subscriptions.has(feed.filter)) session.flow.feed(feed)
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
    if (isNew && session.subscriptions.size >= this.#limits.subscriptionsMax) {
      const fields = { client: session.clientId, subscriptionsMax: this.#limits.subscriptionsMax }
      this.#limited.warn('subscriptions', 'a subscription was refused: the client has too many', fields)
      return Reason.quotaExceeded
    }
    const subscription = { ...parseFilter(text), qos, isNoLocal, isRetainAsPublished, identifier }
    session.subscriptions.set(text, subscription)
    this.#options.hub.subscribe(session, subscription)
    if (session.isStored) {
      this.#store.put(sessionKey(KIND.subscription, session.number, text), encodeSubscription(subscription))
    }
    // a shared subscription gets no retained messages [MQTT 5, section 3.8.3.1]
    const isFed = retainHandling === 0 || (retainHandling === 1 && isNew)
    if (isFed && subscription.shareName === null) this.#feed(session, text, subscription, feeds)
    return qos
  }

  #feed(session: ClientSession, text: string, subscription: Subscription, feeds: RetainedFeed[]): void {
    const topics = this.#retained.topicsOf(subscription.filter)
    if (topics.length === 0) return
    feeds.push(new RetainedFeed(text, subscription, topics, this.#retained))
    if (session.isStored) this.#store.put(sessionKey(KIND.feed, session.number, text), Buffer.alloc(0))
  }

  async unsubscribe(session: ClientSession, filters: readonly string[]): Promise<number[]> {
    let isChanged = false
    const codes = filters.map((text) => {
      if (!session.subscriptions.delete(text)) return Reason.noSubscriptionExisted
      isChanged = true
      this.#options.hub.unsubscribe(session, text)
      session.flow.unfeed(text)
      if (session.isStored) {
        this.#store.remove(sessionKey(KIND.subscription, session.number, text))
        this.#store.remove(sessionKey(KIND.feed, session.number, text))
      }
      return Reason.success
    })
    if (session.isStored && isChanged) await this.#store.flush(true)
    return codes
  }

  // -- messages -----------------------------------------------------------------------------------------------------

  /**
   * A message is in the log. To be called in commit order, for all messages of a commit in one go from the commit's listener: positions
   * that are written in between would pass over those that have not come. One that is not retained and that nobody takes need not come.
   */
  onCommitted(message: Message): void {
    if (message.isRetained) this.#retained.set(message)
    this.#options.hub.publish(message)
  }

  /** A message of the broker's own, of QoS 0: to whoever is connected, and retained in memory alone. */
  publishHeld(message: Message): void {
    this.#retained.hold(message)
    this.#options.hub.publish(message)
  }

  /**
   * The same for a message that no stream takes. Resolves once what has to survive a restart is on disk: it as retained, and in the queues
   * of sessions that stay.
   * @throws SessionStateError
   */
  async storeInline(message: Message): Promise<void> {
    this.onCommitted(message)
    if (message.isRetained || this.#inline.isUnwritten) await this.#store.flush(true)
  }

  /** Retained messages that match a filter, each with what is left of its expiry. */
  async *retained(filter: string): AsyncGenerator<Message, void, void> {
    for (const topic of this.#retained.topicsOf(filter)) {
      const message = await this.#retained.get(topic)
      if (message !== null) yield message
    }
  }

  #sayQueueFull(session: ClientSession): void {
    const fields = { client: session.clientId, queued: session.queued, isConnected: session.isOnline }
    const text = session.isStored
      ? 'the queue of a session is full: new messages for it are dropped'
      : 'the queue of a session is full: its connection is closed'
    this.#limited.warn('queue', text, fields)
  }

  #placeOf(stored: StoredMessage['place']): Message['place'] {
    const partition = stored === null ? undefined : this.#partitions.get(stored.partition)
    return partition === undefined ? null : { partition, offset: stored!.offset }
  }

  // -- time ---------------------------------------------------------------------------------------------------------

  /** Each second. */
  tick(): void {
    this.#ticks++
    this.#clock.look()
    const now = this.#clock.now()
    this.#wills.look(now)
    if (now >= this.#nextEnd) this.#endExpired(now)
    if (this.#ticks % EXPIRE_RETAINED_TICKS === 0) this.#retained.expire()
    if (this.#stalled.size > 0) {
      const stalled = this.#stalled
      this.#stalled = new Set()
      for (const session of stalled) session.flow.pump()
    }
    if (this.#isCheckpointDue()) this.#store.checkpoint()
  }

  #endExpired(now: number): void {
    this.#nextEnd = Number.POSITIVE_INFINITY
    for (const [session, { endsAt }] of [...this.#away]) {
      if (endsAt === null) continue
      if (endsAt <= now) this.#end(session)
      else this.#nextEnd = Math.min(this.#nextEnd, endsAt)
    }
  }

  #isCheckpointDue(): boolean {
    const isChanged =
      this.#changed.length > 0 ||
      this.#changedAway.size > 0 ||
      this.#finished.length > 0 ||
      this.#retained.isChanged ||
      this.#store.hasPending
    if (isChanged) return true
    let lag = 0
    for (const { id, durableOffset } of this.#partitions.values()) {
      lag += durableOffset - (this.#applied.get(id) ?? 0)
    }
    if (lag >= APPLIED_RECORDS) return true
    // session time is written as well
    return this.#ticks % APPLIED_TICKS === 0 && (lag > 0 || this.#away.size > 0)
  }

  // -- to disk, and from it -----------------------------------------------------------------------------------------

  /** Puts all derived state that has changed: it is of one moment, because nothing here waits. */
  #build(): void {
    const store = this.#store
    store.put(META_KEY, encodeMeta({ format: FORMAT, sessions: this.#nextSession }))
    for (const session of this.#changed.splice(0)) {
      // one that ended meanwhile has nothing on disk
      if (session.isStored && this.#byClient.get(session.clientId) === session) session.build()
    }
    for (const session of this.#changedAway) {
      store.put(sessionKey(KIND.away, session.number), encodeAway(this.#away.get(session)!))
    }
    this.#changedAway.clear()
    for (const key of this.#finished.splice(0)) store.remove(key)
    this.#inline.build()
    this.#retained.build()
    for (const { id, durableOffset } of this.#partitions.values()) {
      if (this.#applied.get(id) === durableOffset) continue
      this.#applied.set(id, durableOffset)
      store.put(appliedKey(id), encodeOffset(durableOffset))
    }
    store.put(TIME_KEY, encodeTime(this.#clock.stored()))
  }

  async #load(loaded: LoadedState): Promise<void> {
    const now = this.#clock.now()
    this.#nextSession = loaded.nextSession
    for (const key of loaded.orphans) this.#store.remove(key)
    for (const [number, bytes] of loaded.inline) this.#inline.load(number, bytes)
    for (const retained of loaded.retained) this.#retained.load(retained)
    const wills = new Map(loaded.wills.map((will) => [will.session, will]))
    for (const stored of loaded.sessions.values()) this.#loadSession(stored)
    this.#inline.loaded()
    for (const { session: number, clientId, will } of wills.values()) {
      const stored = loaded.sessions.get(number)
      // of a client that was connected: its connection ended with the broker
      const delayMs = Math.min(will.delaySeconds, stored?.expirySeconds ?? 0) * 1000
      this.#wills.load(number, clientId, will, stored?.away?.willAt ?? now + delayMs)
    }
    for (const { clientId, away } of loaded.sessions.values()) {
      const session = this.#byClient.get(clientId)!
      if (away === null) this.#setAway(session, now)
      else this.#away.set(session, away)
    }
    this.#endExpired(now)
    for (const [id, offset] of loaded.applied) this.#applied.set(id, offset)
    const partitions = [...this.#partitions.values()].filter(({ stream }) => stream !== '')
    this.#replayed = await replay(this.#options.log, partitions, loaded.applied, this.#loader, (message) =>
      this.onCommitted(message),
    )
    for (const session of this.#byClient.values()) session.replayed()
    this.#log.info('the MQTT sessions are back', {
      sessions: this.#byClient.size,
      retained: this.#retained.count,
      wills: this.#wills.count,
      replayed: this.#replayed,
    })
  }

  #loadSession(stored: LoadedSession): void {
    const { clientId, number, expirySeconds } = stored
    const session = new ClientSession(clientId, number, expirySeconds, this.#context)
    this.#byClient.set(clientId, session)
    for (const [chunk, bytes] of stored.chunks) session.loadChunk(chunk, bytes)
    for (const delivery of stored.qos2) session.loadQos2(delivery)
    session.flow.loaded()
    for (const subscription of stored.subscriptions) {
      const text = filterText(subscription)
      session.subscriptions.set(text, subscription)
      this.#options.hub.subscribe(session, subscription)
      if (!stored.feeds.includes(text)) continue
      const topics = this.#retained.topicsOf(subscription.filter)
      session.flow.feed(new RetainedFeed(text, subscription, topics, this.#retained))
    }
  }

  status(): SessionsStatus {
    return countSessions(this.#byClient.values(), {
      dropped: this.#drops.counts(),
      retained: this.#retained.count,
      retainedBytes: this.#retained.bytes,
      wills: this.#wills.count,
      willsPublished: this.#wills.counts.published,
      willsFailed: this.#wills.counts.failed,
      heldBytes: this.#context.held.bytes,
      inlineMessages: this.#inline.count,
      inlineBytes: this.#inline.bytes,
      replayed: this.#replayed,
      writes: this.#store.stats.writes,
      syncedWrites: this.#store.stats.synced,
      failedWrites: this.#store.stats.failed,
      writtenBytes: this.#store.stats.bytes,
      failure: this.#store.failure?.message ?? null,
    })
  }

  /** After the connections have ended, and before the log is closed: writes all that is known, with fsync. */
  async close(): Promise<void> {
    this.#stopTicking()
    await this.#wills.close()
    await this.#store.close()
  }
}

function everyMs(ms: number, callback: () => void): () => void {
  const timer = setInterval(callback, ms)
  timer.unref()
  return () => clearInterval(timer)
}
