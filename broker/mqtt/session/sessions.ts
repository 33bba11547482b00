/**
 * All sessions of the broker, retained messages and wills, and their state in `DATA/mqtt` (DESIGN.md beside this file).
 */
import { join } from 'node:path'
import { LimitedLog } from '../../limited-log.ts'
import type { LogPartition } from '../../log/partition.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Message } from '../hub/message.ts'
import type { Connect, Subscribe } from '../packets/packet.ts'
import { Replays } from '../replay/replays.ts'
import { AppliedPositions } from './applied-positions.ts'
import { reviewAway, type SessionRules } from './away-review.ts'
import { AwaySessions } from './away-sessions.ts'
import { catchUp } from './catch-up.ts'
import { Checkpoint } from './checkpoint.ts'
import type { ClientSession } from './client-session.ts'
import { Drops } from './drops.ts'
import { InlineMessages } from './inline-messages.ts'
import { Lifetimes } from './lifetimes.ts'
import { SESSION_LIMITS, type SessionLimits } from './limits.ts'
import { MessageLoader } from './message-loader.ts'
import type { Outgoing } from './outgoing.ts'
import { Patience } from './patience.ts'
import { ReadTurns } from './read-turns.ts'
import { RetainedMessages } from './retained.ts'
import type { DisconnectKind, Session, SessionOwner } from './session.ts'
import { SessionClock } from './session-clock.ts'
import type { SessionContext } from './session-context.ts'
import { restore } from './session-restore.ts'
import { SessionRoom } from './session-room.ts'
import { everyMs, type SessionsOptions } from './sessions-options.ts'
import { countSessions, type SessionsStatus } from './sessions-status.ts'
import { SharedReturns } from './shared-returns.ts'
import type { StoredMessage } from './state-format.ts'
import { type LoadedState, openState, STATE_DIRECTORY } from './state-load.ts'
import { StateStore } from './state-store.ts'
import { Subscriptions } from './subscriptions.ts'
import { type WillOwner, Wills } from './wills.ts'

const TICK_MS = 1_000
/** Expired retained messages leave memory and disk this often; they are not delivered in between. */
const EXPIRE_RETAINED_TICKS = 60

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
  readonly #lifetimes: Lifetimes
  readonly #away: AwaySessions
  readonly #checkpoint: Checkpoint
  readonly #applied: AppliedPositions
  readonly #subscriptions: Subscriptions
  readonly #replays: Replays
  readonly #patience: Patience
  readonly #returns: SharedReturns
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
    const reads = new ReadTurns()
    this.#away = new AwaySessions(store)
    this.#applied = new AppliedPositions([...this.#partitions.values()])
    this.#inline = new InlineMessages(store, limits.inlineBytesMax, this.#limited)
    this.#retained = new RetainedMessages({
      store,
      clock: this.#clock,
      limits,
      drops: this.#drops,
      log: sink,
      reads,
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
      end: (session) => this.#lifetimes.end(session),
    })
    this.#replays = new Replays(log, this.#limited, limits, reads, options.rules)
    this.#subscriptions = new Subscriptions({
      hub: options.hub,
      store,
      retained: this.#retained,
      replays: this.#replays,
      limits,
      limited: this.#limited,
    })
    this.#patience = new Patience(limits, this.#limited, () => clock.monotonic())
    this.#checkpoint = new Checkpoint({
      store,
      applied: this.#applied,
      away: this.#away,
      inline: this.#inline,
      retained: this.#retained,
      clock: this.#clock,
    })
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
      changed: (session) => this.#checkpoint.changed(session),
      finished: (key) => store.removeLater(key),
      stalled: (session) => void this.#stalled.add(session),
      queueFull: (session) => this.#sayQueueFull(session),
      isLetGo: (session) => this.#patience.isLetGo(session),
      awaited: (session, isAwaited) => this.#patience.awaited(session, isAwaited),
      // not at once: the hub may be going through its subscribers
      closed: (link) => void setImmediate(() => link.disconnect('lost', null)),
    }
    this.#returns = new SharedReturns(this.#loader, this.#drops)
    this.#lifetimes = new Lifetimes({
      owner: this,
      limits,
      rules: options.rules,
      store,
      clock: this.#clock,
      context: this.#context,
      away: this.#away,
      wills: this.#wills,
      room: this.#room,
      subscriptions: this.#subscriptions,
      patience: this.#patience,
      returns: this.#returns,
      ended: (session) => void this.#stalled.delete(session),
    })
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
      state.build = () => sessions.#checkpoint.build(sessions.#lifetimes)
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

  /** As `Lifetimes.connect`. */
  connect(
    connect: Connect,
    outgoing: Outgoing,
    user: string | null = null,
  ): Promise<{ session: Session; isPresent: boolean }> {
    return this.#lifetimes.connect(connect, outgoing, user)
  }

  /** The session's connection has ended (`Session.disconnect`). */
  disconnect(session: ClientSession, kind: DisconnectKind, sessionExpirySeconds: number | null): void {
    this.#lifetimes.lost(session, kind, sessionExpirySeconds)
  }

  #mayPublishWill({ clientId, user }: WillOwner, topic: string): boolean {
    const { rules } = this.#options
    if (rules === undefined) return true
    return (user === null || !rules.isGone(user)) && rules.mayPublish({ name: user, clientId }, topic)
  }

  /** Who may do what has changed. @param removed users that are none any more */
  review(rules: SessionRules, removed: readonly string[] = []): void {
    reviewAway(this.#lifetimes.byClient.values(), rules, removed, {
      limited: this.#limited,
      willTopicOf: ({ number }) => this.#wills.topicOf(number),
      dropWill: (session) => this.dropWill(session),
      unsubscribe: (session, filters) => this.unsubscribe(session, filters),
      remove: (session) => {
        this.#wills.remove(session.number)
        this.#lifetimes.end(session)
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
    this.#checkpoint.passed()
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
    for (const session of this.#away.ended(now)) this.#lifetimes.end(session)
    this.#loader.rest()
    this.#returns.look()
    this.#patience.look((clientId) => this.#lifetimes.byClient.get(clientId))
    if (this.#ticks % EXPIRE_RETAINED_TICKS === 0) this.#retained.expire()
    if (this.#stalled.size > 0) {
      const stalled = this.#stalled
      this.#stalled = new Set()
      for (const session of stalled) session.flow.pump()
    }
    if (this.#checkpoint.isDue(this.#ticks, this.#lifetimes)) this.#store.checkpoint()
  }

  // -- from disk ----------------------------------------------------------------------------------------------------

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
    this.#lifetimes.nextSession = loaded.nextSession
    for (const session of restore(loaded, parts, now)) {
      this.#lifetimes.byClient.set(session.clientId, session)
      this.#room.owned.update(session)
    }
    for (const session of this.#away.ended(now)) this.#lifetimes.end(session)
    this.#applied.load(loaded.applied)
    const partitions = [...this.#partitions.values()].filter(({ stream }) => stream !== '')
    this.#replayed = await catchUp(log, partitions, loaded.applied, this.#loader, (message) =>
      this.onCommitted(message),
    )
    for (const session of this.#lifetimes.byClient.values()) session.replayed()
    this.#log.info('the MQTT sessions are back', {
      sessions: this.#lifetimes.byClient.size,
      retained: this.#retained.count,
      wills: this.#wills.count,
      replayed: this.#replayed,
    })
  }

  status(): SessionsStatus {
    return countSessions(this.#lifetimes.byClient.values(), {
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
    this.#returns.close()
    await this.#wills.close()
    await this.#store.close()
  }
}
