/**
 * MQTT 3.1, 3.1.1 and 5: the parts put together. Listeners bring connections; connections hand what is published to the ingress and acknowledge by its
 * commits; what is committed goes to the hub and from there to sessions, which send it through their connections.
 */
import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { LimitedLog } from '../limited-log.ts'
import type { LogSink } from '../log-sink.ts'
import type { Disk } from '../storage/store.ts'
import { type Access, NO_QUOTAS, OPEN_ACCESS, type PeerInfo, type Quotas } from './connection/access.ts'
import type { ClientStatus } from './connection/client-status.ts'
import { Connection } from './connection/connection.ts'
import { type ConnectedSessions, type ConnectionContext, Encoders } from './connection/context.ts'
import { CONNECTION_LIMITS, type ConnectionLimits } from './connection/limits.ts'
import { OutboxPool } from './connection/outbox.ts'
import { PendingCommits } from './connection/pending-commits.ts'
import { ReadShares } from './connection/read-shares.ts'
import { Takeovers } from './connection/takeovers.ts'
import { TimerWheel } from './connection/timer-wheel.ts'
import { TopicCache } from './connection/topic-cache.ts'
import { UnfinishedPackets } from './connection/unfinished-packets.ts'
import type { GateListeners } from './door/gate.ts'
import type { ListenerOptions, ListenerTls } from './door/listener.ts'
import { Listeners } from './door/listeners.ts'
import type { Hub } from './hub/hub.ts'
import type { Message } from './hub/message.ts'
import { type Ingress, Submission } from './ingress.ts'
import { type Delivery, type OwnMessage, OwnMessages } from './own-messages.ts'
import { AcknowledgementView } from './packets/acknowledgement-view.ts'
import { Reason } from './packets/protocol-error.ts'
import { PublishView } from './packets/publish-view.ts'
import type { Router } from './router.ts'
import type { SessionsStatus } from './session/sessions-status.ts'
import type { Traffic } from './traffic.ts'

export interface FrontStatus extends Traffic {
  readonly listeners: readonly string[]
  readonly tls: readonly ListenerTls[]
  readonly clients: number
  /** Connections on which no client has logged in yet: they hold a place, too. */
  readonly connecting: number
  readonly sessions: SessionsStatus
}

/** What the rest of the broker needs of the MQTT side. */
export interface MqttFront {
  /** Hands a message of the broker's own to the subscribers, with QoS 1; in the order of the calls. */
  publish(message: OwnMessage): Promise<Delivery>
  /** Whether somebody takes this topic now. */
  hasSubscriber(topic: string): Promise<boolean>
}

/** Sessions, as the front uses them. */
export interface FrontSessions extends ConnectedSessions {
  /** A message whose record is on disk: to whoever takes it, and retained where it says so. */
  onCommitted(message: Message): void
  /** A message of the broker's own, of QoS 0: to whoever is connected, and retained in memory alone. */
  publishHeld(message: Message): void
  /** The rules have changed. @param removed users that are none any more */
  review(access: Access, removed: readonly string[]): void
  status(): SessionsStatus
  close(): Promise<void>
}

export interface FrontParts {
  /** For certificate files. */
  readonly disk: Disk
  readonly ingress: Ingress
  readonly router: Router
  readonly hub: Hub
  readonly sessions: FrontSessions
  readonly log: LogSink
  /** ms since 1970 */
  readonly now: () => number
  readonly access?: Access
  readonly quotas?: Quotas
  /** Time limits; started by `listen`. */
  readonly wheel?: TimerWheel
}

export interface FrontOptions {
  readonly listeners: readonly ListenerOptions[]
  readonly connectionsMax: number
  readonly limits?: Partial<ConnectionLimits>
}

/** Clients have this long to take their last bytes when the broker ends. */
const CLOSE_MS_MAX = 1_000

export class Front implements MqttFront {
  readonly #context: ConnectionContext
  readonly #sessions: FrontSessions
  #connectionsMax: number
  readonly #listeners: Listeners
  readonly #own: OwnMessages
  readonly #connections = new Set<Connection>()
  readonly #streams = new Set<Duplex>()
  #onEmpty: () => void = () => {}

  constructor(parts: FrontParts, options: FrontOptions) {
    const { ingress, router, hub, sessions, log, now } = parts
    const limits = { ...CONNECTION_LIMITS, ...options.limits }
    const wheel = parts.wheel ?? new TimerWheel()
    const limited = new LimitedLog(log)
    this.#sessions = sessions
    this.#connectionsMax = options.connectionsMax
    this.#context = {
      limits,
      access: parts.access ?? OPEN_ACCESS,
      quotas: parts.quotas ?? NO_QUOTAS,
      ingress,
      hub,
      sessions,
      topics: new TopicCache(router, limits),
      commits: new PendingCommits((message) => this.#committed(message)),
      pool: new OutboxPool(limits.outboxesBytesMax),
      readers: {
        // two packets fit in any case: the limit is not there to keep large ones out
        unfinished: new UnfinishedPackets(Math.max(limits.unfinishedBytesMax, 2 * limits.packetBytesMax)),
        shares: new ReadShares(),
      },
      wheel,
      takeovers: new Takeovers(wheel, limited),
      encoders: new Encoders(),
      limited,
      counters: {
        connected: 0,
        refused: 0,
        dropped: 0,
        refusedMessages: 0,
        fullMessages: 0,
        refusedLogins: 0,
        receivedPackets: 0,
        receivedBytes: 0,
      },
      publishView: new PublishView(limits),
      acknowledgementView: new AcknowledgementView(limits),
      submission: new Submission(),
      now,
      newClientId: () => `hw-${randomBytes(12).toString('base64url')}`,
    }
    this.#own = new OwnMessages({ deliver: (message) => this.#deliver(message), now })
    this.#listeners = new Listeners(options.listeners, {
      disk: parts.disk,
      log,
      onConnection: (stream, peer) => this.accept(stream, peer),
      refuses: (address) => this.#arrives(address),
      onAuthorities: () => this.review(),
      frameBytesMax: limits.packetBytesMax,
    })
  }

  /** @throws ListenError */
  async listen(): Promise<void> {
    await this.#listeners.listen()
    this.#context.wheel.start()
  }

  /** Before its handshake, which is what costs most. */
  #arrives(address: string): string | null {
    const isFull = this.#connections.size >= this.#connectionsMax
    const reason = isFull ? this.#fullText : this.#context.quotas.arrives(address)
    if (reason !== null) this.#refuse({ from: address, reason })
    return reason
  }

  get #fullText(): string {
    return `limits.connectionsMax of ${this.#connectionsMax} is reached`
  }

  #refuse(fields: { from: string; user?: string; reason: string }): void {
    this.#context.counters.refused++
    this.#context.limited.warn(`refused ${fields.reason}`, 'refused a connection', fields)
  }

  /** A stream on which a client is expected to speak MQTT. */
  accept(stream: Duplex, peer: PeerInfo): void {
    const { quotas } = this.#context
    const isFull = this.#connections.size >= this.#connectionsMax
    const reason = isFull ? this.#fullText : quotas.refuses(peer)
    if (reason !== null) {
      const { address: from, identity } = peer
      this.#refuse({ from, ...(identity === null ? {} : { user: identity }), reason })
      stream.on('error', () => {})
      stream.destroy()
      return
    }
    this.#streams.add(stream)
    this.#connections.add(
      new Connection(stream, peer, this.#context, (connection) => {
        this.#connections.delete(connection)
        this.#streams.delete(stream)
        quotas.left(peer)
        if (this.#connections.size === 0) this.#onEmpty()
      }),
    )
  }

  /**
   * Who may do what has changed: also for those who are connected, and for sessions whose clients are away.
   * @param removed users that are none any more: their sessions end
   */
  review(removed: readonly string[] = []): void {
    for (const connection of [...this.#connections]) connection.review()
    this.#sessions.review(this.#context.access, removed)
  }

  /** For connections from now on. */
  set connectionsMax(count: number) {
    this.#connectionsMax = count
  }

  /**
   * Other listeners, bound and not open yet. `commit` opens them, and ends the connections of those that are gone.
   * @throws ListenError: all is as it was then
   */
  async prepareListeners(
    options: readonly ListenerOptions[],
  ): Promise<{ commit(): void; discard(): Promise<void> }> {
    const prepared = await this.#listeners.prepare(options)
    return {
      commit: () => {
        const there = [...this.#connections]
        const ended = new Set(prepared.commit())
        for (const connection of there) {
          if (!ended.has(connection.peer.listener ?? '')) continue
          connection.close(Reason.serverShuttingDown, 'its listener is closed')
        }
      },
      discard: () => prepared.discard(),
    }
  }

  /** Looks for new certificates. */
  renew(): Promise<void> {
    return this.#listeners.renew()
  }

  /** How its listeners are reached. */
  reach(): GateListeners {
    const { takesCertificates } = this.#listeners
    return { exposed: this.#listeners.exposed(), takesCertificates }
  }

  publish(message: OwnMessage): Promise<Delivery> {
    return this.#own.publish(message)
  }

  async hasSubscriber(topic: string): Promise<boolean> {
    return this.#context.hub.hasTakers(topic)
  }

  status(): FrontStatus {
    let clients = 0
    let connecting = 0
    // others take their leave
    for (const { isOpen, clientId } of this.#connections) {
      if (isOpen) clients++
      else if (clientId === null) connecting++
    }
    const listeners = this.#listeners.addresses()
    const { counters, pool, encoders, now } = this.#context
    const tls = this.#listeners.tls(now())
    const { sentPackets, sentBytes } = pool
    const sent = { sentPackets, sentBytes, sentMessages: encoders.sentMessages }
    return { listeners, tls, clients, connecting, ...counters, ...sent, sessions: this.#sessions.status() }
  }

  /** On a topic below $SYS: to whoever is connected, and retained in memory alone. */
  publishSys(topic: string, payload: Buffer): void {
    const timestamp = this.#context.now()
    const own = {
      qos: 0,
      isRetained: true,
      properties: null,
      timestamp,
      clientId: null,
      place: null,
    } as const
    this.#sessions.publishHeld({ topic, payload, ...own })
  }

  clients(): ClientStatus[] {
    return [...this.#connections].flatMap((connection) => connection.status() ?? [])
  }

  /** Ends a client's connection for an operator; its will is published. @returns what it was, null where nobody has this client id */
  disconnect(clientId: string): ClientStatus | null {
    for (const connection of this.#connections) {
      if (connection.clientId !== clientId) continue
      const status = connection.status()
      if (status === null) continue
      connection.close(Reason.administrativeAction, 'an operator ended the connection')
      return status
    }
    return null
  }

  /** Stops taking connections and ends those there are; their wills are published. */
  async close(): Promise<void> {
    const closed = this.#listeners.close()
    this.#own.close()
    for (const connection of [...this.#connections]) {
      connection.close(Reason.serverShuttingDown, 'the broker ends')
    }
    await this.#emptied()
    for (const stream of [...this.#streams]) stream.destroy()
    await closed
    this.#context.wheel.stop()
    await this.#sessions.close()
  }

  /** Called between the acknowledgements of a commit: what goes wrong with one message must not hold them back. */
  #committed(message: Message): void {
    try {
      this.#sessions.onCommitted(message)
    } catch (error) {
      this.#context.limited.warn('delivery', 'a message could not be handed to its subscribers', {
        topic: message.topic,
        reason: (error as Error).stack,
      })
    }
  }

  /** All connections have ended, or had time to. */
  async #emptied(): Promise<void> {
    if (this.#connections.size === 0) return
    const abort = new AbortController()
    const late = delay(CLOSE_MS_MAX, undefined, { signal: abort.signal }).catch(() => {})
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
    await Promise.race([empty, late])
    abort.abort()
  }

  #deliver(message: Message): void | Promise<void> {
    if (message.place !== null) this.#sessions.onCommitted(message)
    else if (message.isRetained || this.#context.hub.hasTakers(message.topic)) {
      return this.#sessions.storeInline(message)
    }
  }
}
