/**
 * All sessions of the broker, retained messages and wills, and their state in `DATA/mqtt` (DESIGN.md beside this file).
 */
import { join } from 'node:path'
import { LimitedLog } from '../../limited-log.ts'
import type { EventLog } from '../../log/event-log.ts'
import type { LogPartition } from '../../log/partition.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk } from '../../storage/store.ts'
import type { Message } from '../hub/message.ts'
import type { Connect, Subscribe } from '../packets/packet.ts'
import { MqttProtocolError, Reason } from '../packets/protocol-error.ts'
import { Replays } from '../replay/replays.ts'
import { AppliedPositions } from './applied-positions.ts'
import { reviewAway, type SessionRules } from './away-review.ts'
import { AwaySessions } from './away-sessions.ts'
import { ClientSession } from './client-session.ts'
import { Drops } from './drops.ts'
import { InlineMessages } from './inline-messages.ts'
import { SESSION_LIMITS, type SessionLimits } from './limits.ts'
import { MessageLoader, type MessageOfRecord } from './message-loader.ts'
import type { Outgoing } from './outgoing.ts'
import { Patience } from './patience.ts'
import { replay } from './replay.ts'
import { RetainedMessages } from './retained.ts'
import { type DisconnectKind, Session, type SessionOwner } from './session.ts'
import { type ClockSource, SessionClock } from './session-clock.ts'
import type { SessionContext } from './session-context.ts'
import { awayFrom, restore } from './session-restore.ts'
import { SessionRoom } from './session-room.ts'
import { countSessions, type SessionsStatus } from './sessions-status.ts'
import { encodeMeta, encodeTime, FORMAT, META_KEY, type StoredMessage, TIME_KEY } from './state-format.ts'
import { type LoadedState, openState, STATE_DIRECTORY } from './state-load.ts'
import { StateStore } from './state-store.ts'
import { removeStored, storeExpiry } from './stored-session.ts'
import { Subscriptions } from './subscriptions.ts'
import type { TopicHub } from './topic-hub.ts'
import { type PublishWill, type WillOwner, Wills } from './wills.ts'

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
  /** Without them everybody may do everything. */
  readonly rules?: SessionRules
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
  readonly #room: SessionRoom
  readonly #loader: MessageLoader
  readonly #context: SessionContext
  readonly #partitions = new Map<number, LogPartition>()
  readonly #byClient = new Map<string, ClientSession>()
  #nextSession = 0
  readonly #away: AwaySessions
  /** To be written with the next checkpoint. */
  #changed: ClientSession[] = []
  readonly #applied: AppliedPositions
  readonly #subscriptions: Subscriptions
  readonly #replays: Replays
  readonly #patience: Patience
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
    this.#away = new AwaySessions(store)
    this.#applied = new AppliedPositions([...this.#partitions.values()])
    this.#inline = new InlineMessages(store, limits.inlineBytesMax, this.#limited)
    this.#retained = new RetainedMessages({
      store,
      clock: this.#clock,
      limits,
      drops: this.#drops,
      log: sink,
      now,
      placeOf: (stored) => this.#placeOf(stored),
    })
    this.#wills = new Wills({
      store,
      publishWill,
      mayPublish: (owner, topic) => this.#mayPublishWill(owner, topic),
      limited: this.#limited,
    })
    this.#room = new SessionRoom({
      limits,
      wills: this.#wills,
      rules: options.rules ?? { hasUsers: false },
      limited: this.#limited,
      end: (session) => this.#end(session),
    })
    this.#replays = new Replays(log, this.#limited, limits)
    this.#subscriptions = new Subscriptions({
      hub: options.hub,
      store,
      retained: this.#retained,
      replays: this.#replays,
      limits,
      limited: this.#limited,
    })
    this.#patience = new Patience(limits, this.#limited, () => clock.monotonic())
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
      finished: (key) => store.removeLater(key),
      stalled: (session) => void this.#stalled.add(session),
      queueFull: (session) => this.#sayQueueFull(session),
      isLetGo: (session) => this.#patience.isLetGo(session),
      awaited: (session, isAwaited) => this.#patience.awaited(session, isAwaited),
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
   * @param user who asks for it; null: a client without a name. A session of a user that is none any more is over: nobody gets what it holds
   * @throws MqttProtocolError at a limit (session-room.ts), and where the session is another user's; SessionStateError where the disk is at fault
   */
  async connect(
    connect: Connect,
    outgoing: Outgoing,
    user: string | null = null,
  ): Promise<{ session: Session; isPresent: boolean }> {
    const { clientId, cleanStart, will } = connect
    const before = this.#byClient.get(clientId)
    const isAnothers = before !== undefined && before.user !== null && before.user !== user
    if (isAnothers && this.#isUser(before.user!)) {
      throw new MqttProtocolError(
        Reason.notAuthorized,
        'MQTT-3.1.4-2',
        'the client id is that of another user',
      )
    }
    this.#checkDisk(connect, isAnothers ? undefined : before)
    this.#room.check(connect, user, before, this.#clock.now())
    if (isAnothers) this.#wills.remove(before.number)
    if (before !== undefined && before.outgoing !== null) {
      before.link?.detach()
      before.outgoing.close(Reason.sessionTakenOver, 'another connection has taken its session over')
      this.#lost(before, 'lost', null)
    }
    let known = this.#byClient.get(clientId)
    if (known !== undefined && (cleanStart || isAnothers)) {
      this.#end(known)
      known = undefined
    }
    const session = known ?? this.#create(clientId)
    let mustSync = known === undefined && before?.isStored === true
    if (this.#away.delete(session)) mustSync = true
    if (this.#wills.cancel(session.number, this.#clock.now())) mustSync = true
    const expirySeconds = Math.min(connect.sessionExpirySeconds, this.#limits.expirySecondsMax)
    const isChanged = known === undefined || session.user !== user
    session.user = user
    if (storeExpiry(this.#store, session, expirySeconds, isChanged)) mustSync = true
    this.#room.owned.update(session)
    if (will !== null) {
      this.#wills.set(session.number, { clientId, user }, will)
      mustSync = true
    }
    const link = new Session(session, this)
    session.attach(link, outgoing)
    // a session that begins must not be given what the log had before: the positions go with it
    if (mustSync) await this.#onDisk(link, known === undefined)
    return { session: link, isPresent: known !== undefined }
  }

  /** What has to be on disk and cannot be is refused before it leaves anything that waits for the disk. @throws SessionStateError */
  #checkDisk({ will, cleanStart, sessionExpirySeconds }: Connect, known: ClientSession | undefined): void {
    const { failure } = this.#store
    if (failure === null) return
    const begins = cleanStart || known?.isStored !== true
    const stays = Math.min(sessionExpirySeconds, this.#limits.expirySecondsMax) > 0
    if (will !== null || (stays && begins)) throw failure
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
    const session = new ClientSession(clientId, this.#nextSession++, 0, this.#context)
    this.#byClient.set(clientId, session)
    return session
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
      mustSync = granted > 0 && storeExpiry(this.#store, session, granted, false)
      if (granted === 0) session.expirySeconds = 0
      else this.#room.owned.update(session)
    }
    if (kind === 'clean') mustSync = this.#wills.remove(session.number) || mustSync
    else this.#wills.schedule(session.number, now, session.expirySeconds)
    session.detach()
    this.#patience.ended(session)
    session.awaySince = now
    if (session.expirySeconds === 0) {
      mustSync ||= session.isStored
      this.#end(session)
    } else this.#away.set(session, awayFrom(session, this.#wills.dueAt(session.number), now))
    if (mustSync) this.#store.flush().catch(() => undefined)
  }

  /** The session is over: a will that waits is published [MQTT-3.1.2-10]. */
  #end(session: ClientSession): void {
    if (session.isStored) removeStored(this.#store, session)
    this.#away.delete(session)
    this.#stalled.delete(session)
    session.end()
    this.#room.owned.delete(session)
    this.#subscriptions.end(session)
    this.#byClient.delete(session.clientId)
    this.#wills.sessionEnded(session.number, this.#clock.now())
  }

  #isUser(name: string): boolean {
    return this.#options.rules?.isUser(name) ?? true
  }

  #mayPublishWill({ clientId, user }: WillOwner, topic: string): boolean {
    const { rules } = this.#options
    if (rules === undefined) return true
    return (user === null || !rules.isGone(user)) && rules.mayPublish({ name: user, clientId }, topic)
  }

  /** Who may do what has changed. @param removed users that are none any more */
  review(rules: SessionRules, removed: readonly string[] = []): void {
    reviewAway(this.#byClient.values(), rules, removed, {
      limited: this.#limited,
      willTopicOf: ({ number }) => this.#wills.topicOf(number),
      dropWill: (session) => this.dropWill(session),
      unsubscribe: (session, filters) => this.unsubscribe(session, filters),
      remove: (session) => {
        this.#wills.remove(session.number)
        this.#end(session)
        if (session.expirySeconds > 0) this.#store.flush().catch(() => undefined)
      },
    })
  }

  dropWill({ number }: ClientSession): void {
    if (this.#wills.remove(number)) this.#store.flush().catch(() => undefined)
  }

  // -- subscriptions ------------------------------------------------------------------------------------------------

  subscribe(session: ClientSession, request: Subscribe, grants: readonly number[]): Promise<number[]> {
    return this.#subscriptions.subscribe(session, request, grants)
  }

  unsubscribe(session: ClientSession, filters: readonly string[]): Promise<number[]> {
    return this.#subscriptions.unsubscribe(session, filters)
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
    const fields = { ...session.who, queued: session.queued, isConnected: session.isOnline }
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
    for (const session of this.#away.ended(now)) this.#end(session)
    this.#loader.rest()
    this.#patience.look((clientId) => this.#byClient.get(clientId))
    if (this.#ticks % EXPIRE_RETAINED_TICKS === 0) this.#retained.expire()
    if (this.#stalled.size > 0) {
      const stalled = this.#stalled
      this.#stalled = new Set()
      for (const session of stalled) session.flow.pump()
    }
    if (this.#isCheckpointDue()) this.#store.checkpoint()
  }

  #isCheckpointDue(): boolean {
    const isChanged =
      this.#changed.length > 0 ||
      this.#away.isChanged ||
      this.#retained.isChanged ||
      this.#store.unwritten > 0
    if (isChanged) return true
    const { lag } = this.#applied
    if (lag >= APPLIED_RECORDS) return true
    // session time is written as well
    return this.#ticks % APPLIED_TICKS === 0 && (lag > 0 || this.#away.count > 0)
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
    this.#away.build()
    this.#inline.build()
    this.#retained.build()
    this.#applied.build(store)
    store.put(TIME_KEY, encodeTime(this.#clock.stored()))
  }

  async #load(loaded: LoadedState): Promise<void> {
    const now = this.#clock.now()
    const { hub, log } = this.#options
    const parts = {
      context: this.#context,
      hub,
      inline: this.#inline,
      retained: this.#retained,
      replays: this.#replays,
      wills: this.#wills,
      away: this.#away,
    }
    this.#nextSession = loaded.nextSession
    for (const session of restore(loaded, parts, now)) {
      this.#byClient.set(session.clientId, session)
      this.#room.owned.update(session)
    }
    for (const session of this.#away.ended(now)) this.#end(session)
    this.#applied.load(loaded.applied)
    const partitions = [...this.#partitions.values()].filter(({ stream }) => stream !== '')
    this.#replayed = await replay(log, partitions, loaded.applied, this.#loader, (message) =>
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

  status(): SessionsStatus {
    return countSessions(this.#byClient.values(), {
      dropped: this.#drops.counts(),
      evicted: this.#room.evicted,
      retained: this.#retained.count,
      retainedOwn: this.#retained.ownCount,
      retainedBytes: this.#retained.bytes,
      wills: this.#wills.count,
      willsBytes: this.#wills.bytes,
      willsPublished: this.#wills.counts.published,
      willsFailed: this.#wills.counts.failed,
      willsDropped: this.#wills.counts.dropped,
      heldBytes: this.#context.held.bytes,
      waitedFor: this.#patience.waitedFor,
      letGo: this.#patience.letGo,
      inlineMessages: this.#inline.count,
      inlineBytes: this.#inline.bytes,
      replays: this.#replays.count,
      replayed: this.#replayed,
      writes: this.#store.stats.writes,
      syncedWrites: this.#store.stats.synced,
      failedWrites: this.#store.stats.failed,
      unwritten: this.#store.unwritten,
      writtenBytes: this.#store.stats.bytes,
      failure: this.#store.failure?.message ?? null,
    })
  }

  /** After the connections have ended, and before the log is closed: writes all that is known, with fsync. */
  async close(): Promise<void> {
    this.#stopTicking()
    this.#replays.close()
    await this.#wills.close()
    await this.#store.close()
  }
}

function everyMs(ms: number, callback: () => void): () => void {
  const timer = setInterval(callback, ms)
  timer.unref()
  return () => clearInterval(timer)
}
