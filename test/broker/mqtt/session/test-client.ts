/** A client and its connection, as a session sees them: what it was sent, and what it answers. */
import type { Message } from '../../../../broker/mqtt/hub/message.ts'
import type { Connect, ProtocolVersion, QoS, Will } from '../../../../broker/mqtt/packets/packet.ts'
import { NEVER_SECONDS } from '../../../../broker/mqtt/session/limits.ts'
import type { Delivery, Outgoing } from '../../../../broker/mqtt/session/outgoing.ts'
import type { Session } from '../../../../broker/mqtt/session/session.ts'
import type { Sessions } from '../../../../broker/mqtt/session/sessions.ts'

export interface Received extends Delivery {
  readonly topic: string
  readonly payload: string
  readonly messageExpiry: number | undefined
}

export interface ConnectOptions {
  readonly cleanStart?: boolean
  readonly expirySeconds?: number
  readonly receiveMaximum?: number
  readonly maximumPacketBytes?: number | null
  readonly will?: Partial<Will> & { topic: string }
  readonly version?: ProtocolVersion
  readonly user?: string | null
  /** CONNACK is not sent yet. */
  readonly isSilent?: boolean
}

export interface SubscribeOptions {
  readonly qos?: QoS
  readonly isNoLocal?: boolean
  readonly isRetainAsPublished?: boolean
  readonly retainHandling?: 0 | 1 | 2
  readonly identifier?: number | null
}

export class TestClient implements Outgoing {
  readonly from = '192.0.2.1'
  readonly clientId: string
  version: ProtocolVersion = 5
  receiveMaximum = 65_535
  maximumPacketBytes: number | null = null
  session!: Session
  isPresent = false
  /** In the order in which they came, over all connections. */
  readonly received: Received[] = []
  /** The same with PUBRELs: `publish PAYLOAD`, `dup PAYLOAD`, `pubrel ID`. */
  readonly wire: string[] = []
  closed: string | null = null
  /** The connection's buffer takes so many packets more. */
  room = Number.POSITIVE_INFINITY

  constructor(clientId: string) {
    this.clientId = clientId
  }

  async connect(sessions: Sessions, options: ConnectOptions = {}): Promise<this> {
    this.version = options.version ?? 5
    this.receiveMaximum = options.receiveMaximum ?? 65_535
    this.maximumPacketBytes = options.maximumPacketBytes ?? null
    this.closed = null
    const { session, isPresent } = await sessions.connect(
      connectOf(this.clientId, options),
      this,
      options.user ?? null,
    )
    this.session = session
    this.isPresent = isPresent
    if (options.isSilent !== true) session.pump()
    return this
  }

  async subscribe(filter: string, options: SubscribeOptions = {}): Promise<number[]> {
    const { qos = 1, isNoLocal = false, isRetainAsPublished = false, retainHandling = 0 } = options
    const request = { filter, qos, isNoLocal, isRetainAsPublished, retainHandling }
    const identifier = options.identifier ?? null
    return this.session.subscribe({ type: 'subscribe', packetId: 1, identifier, subscriptions: [request] }, [
      qos,
    ])
  }

  publish(message: Message, delivery: Delivery): boolean {
    if (this.room <= 0) return false
    this.room--
    const { topic, properties } = message
    const payload = message.payload.toString()
    this.received.push({ ...delivery, topic, payload, messageExpiry: properties?.messageExpiry })
    this.wire.push(`${delivery.isDup ? 'dup' : 'publish'} ${payload}`)
    return true
  }

  pubrel(packetId: number): boolean {
    if (this.room <= 0) return false
    this.room--
    this.wire.push(`pubrel ${packetId}`)
    return true
  }

  close(_reason: number, text: string): void {
    this.closed = text
  }

  get payloads(): string[] {
    return this.received.map(({ payload }) => payload)
  }

  last(): Received {
    return this.received.at(-1)!
  }

  lost(): void {
    this.session.disconnect('lost', null)
  }
}

export function connectOf(clientId: string, options: ConnectOptions): Connect {
  const { version = 5, cleanStart = false, will } = options
  return {
    type: 'connect',
    version,
    clientId,
    cleanStart,
    keepAliveSeconds: 0,
    username: null,
    password: null,
    will:
      will === undefined
        ? null
        : {
            payload: Buffer.from('gone'),
            qos: 1,
            isRetained: false,
            delaySeconds: 0,
            properties: null,
            ...will,
          },
    sessionExpirySeconds: options.expirySeconds ?? NEVER_SECONDS,
    receiveMaximum: options.receiveMaximum ?? 65_535,
    maximumPacketBytes: options.maximumPacketBytes ?? null,
    topicAliasMaximum: 0,
    requestsProblemInformation: true,
    requestsResponseInformation: false,
    authenticationMethod: null,
  }
}
