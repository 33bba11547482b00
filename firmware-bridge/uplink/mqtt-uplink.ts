/** `Uplink` over MQTT: the devices' sessions, the bridge's own, and the window that all of them share. */
import { LimitedLog } from '../../broker/limited-log.ts'
import type { LogSink } from '../../broker/log-sink.ts'
import { BrokerUnreachableError, SessionEndedError } from '../errors.ts'
import { BrokerSession } from './broker-session.ts'
import type { UplinkConfig } from './config.ts'
import type { UplinkCounters } from './flight.ts'
import { OwnSession } from './own-session.ts'
import { RECONNECTS, Reconnects } from './reconnects.ts'
import type { SessionOwner, SessionParts } from './session-parts.ts'
import { SharedSession } from './shared-session.ts'
import { transportOf } from './transport.ts'
import type { DeviceConnect, DeviceSession, PublishResult, Uplink, UplinkMessage, Will } from './uplink.ts'
import { PubrelTimes } from './waiting-pubrels.ts'
import type { WindowDb } from './window-db.ts'
import { WindowStore } from './window-store.ts'

/** What is in flight has this long when the bridge stops; devices repeat the rest. */
const DRAIN_MS_MAX = 2000
const DRAIN_EVERY_MS = 10

/** No device may have it. */
export const witnessClientIdOf = (bridgeClientId: string) => `${bridgeClientId}-witness`

export interface UplinkParts {
  readonly config: UplinkConfig
  readonly db: WindowDb
  readonly log: LogSink
  /** Published when the bridge is gone. */
  readonly will: Will | null
  /** At each connection of the bridge's own. */
  onUp?(): void
  readonly now?: () => number
  readonly random?: () => number
}

export interface UplinkStatus {
  readonly isUp: boolean
  /** Why it is not up; null: it is, or was not tried yet. */
  readonly trouble: string | null
  readonly broker: string
  /** `5`, or `3.1.1`. */
  readonly protocol: string
  readonly sessions: number
  readonly inFlight: number
  readonly counters: Readonly<UplinkCounters>
  readonly windowCommits: number
  readonly windowFailedCommits: number
  /** How long the write under way has taken, ms; 0 where none is. */
  readonly windowWaitingMs: number
  readonly brokerLosses: number
}

export class MqttUplink implements Uplink {
  readonly #parts: UplinkParts
  readonly #store: WindowStore
  readonly #session: SessionParts
  readonly #own: BrokerSession
  readonly #shared: SharedSession | null
  readonly #sessions = new Map<string, OwnSession>()
  /** Connects of one client take turns. */
  readonly #turns = new Map<string, Promise<unknown>>()
  readonly #counters: UplinkCounters = {
    accepted: 0,
    repeated: 0,
    congested: 0,
    refused: 0,
    givenUp: 0,
    handedOver: 0,
    dropped: 0,
  }
  readonly #log: LimitedLog
  #trouble: string | null = null
  #losses = 0
  #isClosed = false

  private constructor(parts: UplinkParts, store: WindowStore) {
    this.#parts = parts
    this.#store = store
    this.#log = new LimitedLog(parts.log)
    const { config, log } = parts
    const transport = transportOf(config.broker)
    const reconnects = new Reconnects({
      ...RECONNECTS,
      random: parts.random ?? Math.random,
      onChange: (isAway, failures) => {
        if (isAway) this.#losses++
        if (!isAway)
          log.info('the MQTT broker answers again', { broker: transport.name, tries: failures + 1 })
      },
    })
    const now = parts.now ?? (() => performance.now())
    const { broker, bridgeClientId } = config
    const witnessClientId = witnessClientIdOf(bridgeClientId)
    const protocol = { version: 5 } as const
    const pubrelTimes = new PubrelTimes(now)
    this.#session = { transport, broker, protocol, reconnects, pubrelTimes, witnessClientId, log, now }
    this.#own = new BrokerSession(config.bridgeClientId, parts.will, this.#owner(), this.#session, true)
    const { messages: slots } = config.window
    const shared = { session: this.#own, store, slots, broker: transport.name }
    this.#shared = config.sessions === 'aggregated' ? new SharedSession(shared) : null
  }

  /** Resolves at once, the broker being there or not. @throws BridgeSecretError */
  static async start(parts: UplinkParts): Promise<MqttUplink> {
    const { messages: windowMessages, clientsMax: windowClientsMax } = parts.config.window
    const store = await WindowStore.open(parts.db, { windowMessages, windowClientsMax })
    const uplink = new MqttUplink(parts, store)
    await uplink.#shared?.restore()
    uplink.#own.openWhenPossible()
    return uplink
  }

  /** Of the bridge's own session. */
  #owner(): SessionOwner {
    return {
      onReceived: async (packetId) => this.#shared?.onReceived(packetId),
      isHurried: () => true,
      onFinished: (...finished) => this.#shared?.onFinished(...finished),
      onMessage: async (message) => this.#shared?.onMessage(message),
      onUp: () => {
        this.#trouble = null
        this.#parts.onUp?.()
      },
      onFailed: (error) => {
        this.#trouble = error.message
        this.#log.warn(error.code, error.line, {})
      },
      onDown: () => this.#shared?.onDown(),
      onGivenUp: () => this.#counters.givenUp++,
      onEnded: (reason) => {
        this.#log.warn(
          'ended',
          "the bridge's own session is taken or ended; two bridges with one gateway.id?",
          { reason },
        )
        this.#shared?.endAll(reason)
      },
    }
  }

  get isUp(): boolean {
    return this.#own.isReady
  }

  connect(connect: DeviceConnect): Promise<DeviceSession> {
    const { clientId } = connect
    const before = this.#turns.get(clientId) ?? Promise.resolve()
    const turn = before.catch(() => {}).then(() => this.#connect(connect))
    this.#turns.set(clientId, turn)
    const done = () => {
      if (this.#turns.get(clientId) === turn) this.#turns.delete(clientId)
    }
    turn.then(done, done)
    return turn
  }

  async #connect(connect: DeviceConnect): Promise<DeviceSession> {
    const { clientId } = connect
    if (this.#isClosed) throw new SessionEndedError(clientId, 'the bridge is stopping')
    if (this.#shared !== null) return counting(await this.#shared.connect(connect), this.#counters)
    await this.#sessions.get(clientId)?.leave()
    const { config } = this.#parts
    const { reconnects, transport } = this.#session
    // before the window: a clean session's epoch is an fsync, and devices knock as long as the broker is away
    if (reconnects.isAway) throw new BrokerUnreachableError(transport.name, 'it was away a moment ago')
    const session = await OwnSession.open(connect, {
      session: this.#session,
      store: this.#store,
      slots: config.window.messages,
      clientId: config.clientIdPrefix + clientId,
      onEnd: (ended) => {
        if (this.#sessions.get(clientId) === ended) this.#sessions.delete(clientId)
      },
      onGivenUp: () => this.#counters.givenUp++,
    })
    this.#sessions.set(clientId, session)
    return counting(session, this.#counters)
  }

  publishUnconnected(message: UplinkMessage): boolean {
    const isHandedOver = this.#own.publishAtMostOnce(message)
    this.#counters[isHandedOver ? 'handedOver' : 'dropped']++
    return isHandedOver
  }

  /** The bridge's own state, retained. @returns false: not now; it is published again at the next connection */
  publishState(topic: string, payload: string): boolean {
    return this.#own.publishOwn({ topic, payload: Buffer.from(payload), isRetained: true, properties: {} }, 1)
  }

  get #inFlight(): number {
    let count = this.#shared?.inFlight ?? 0
    for (const session of this.#sessions.values()) count += session.inFlight
    return count
  }

  status(): UplinkStatus {
    return {
      isUp: this.isUp,
      trouble: this.isUp ? null : this.#trouble,
      broker: this.#session.transport.name,
      protocol: this.#session.protocol.version === 5 ? '5' : '3.1.1',
      sessions: this.#shared?.devices ?? this.#sessions.size,
      inFlight: this.#inFlight,
      counters: { ...this.#counters },
      windowCommits: this.#store.counters.commits,
      windowFailedCommits: this.#store.counters.failedCommits,
      windowWaitingMs: this.#store.waitingMs,
      brokerLosses: this.#losses,
    }
  }

  /** What is in flight is waited for. Sessions stay at the broker. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#session.pubrelTimes.close()
    const end = Date.now() + DRAIN_MS_MAX
    while (this.isUp && this.#inFlight > 0 && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_EVERY_MS))
    }
    this.#session.reconnects.close()
    await Promise.all([...this.#sessions.values()].map((session) => session.leave()))
    await this.#shared?.leave()
    await this.#own.end('clean', false)
    await this.#store.close()
  }
}

/** The session, with what becomes of its messages counted. */
function counting(session: DeviceSession, counters: UplinkCounters): DeviceSession {
  const publish = async (message: UplinkMessage): Promise<PublishResult> => {
    if (message.topic === '' || /[+#\0]/.test(message.topic)) {
      counters.refused++
      return { kind: 'refused', reason: 'this is no topic to publish to' }
    }
    const result = await session.publish(message)
    if (message.qos === 0) counters[result.kind === 'accepted' ? 'handedOver' : 'dropped']++
    else counters[result.kind]++
    return result
  }
  return {
    isPresent: session.isPresent,
    publish,
    release: (messageId) => session.release(messageId),
    subscribe: (filter, qos) => session.subscribe(filter, qos),
    unsubscribe: (filter) => session.unsubscribe(filter),
    setWill: (will) => session.setWill(will),
    end: (how) => session.end(how),
  }
}
