/**
 * A client that answers when it is told to, keeps what a client has to keep over connections, and remembers what it took: of QoS 2 by
 * packet id, as the specification has it (MQTT 5, section 4.3.3).
 */
import type { Message } from '../../../../broker/mqtt/hub/message.ts'
import type { Delivery, Outgoing } from '../../../../broker/mqtt/session/outgoing.ts'
import type { Session } from '../../../../broker/mqtt/session/session.ts'
import type { Sessions } from '../../../../broker/mqtt/session/sessions.ts'
import { connectOf } from './test-client.ts'

export interface Taken {
  readonly topic: string
  readonly payload: string
  readonly qos: number
}

export class ModelClient implements Outgoing {
  readonly from = '192.0.2.1'
  readonly version = 5
  readonly maximumPacketBytes = null
  receiveMaximum = 10
  readonly clientId: string
  readonly filter: string
  readonly qos: 1 | 2
  session: Session | null = null
  hasSubscribed = false
  /** A CONNECT is under way. */
  isConnecting = false
  readonly taken: Taken[] = []
  /** Of QoS 2: taken and not released. */
  readonly #open = new Set<number>()
  #answers: (() => void)[] = []
  room = Number.POSITIVE_INFINITY
  #inFlight = 0
  mostInFlight = 0

  constructor(clientId: string, filter: string, qos: 1 | 2) {
    this.clientId = clientId
    this.filter = filter
    this.qos = qos
  }

  get isConnected(): boolean {
    return this.session?.isAttached === true
  }
  get hasAnswers(): boolean {
    return this.#answers.length > 0
  }

  /** Resolves to false where the broker could not take it. */
  async connect(sessions: Sessions, receiveMaximum: number): Promise<boolean> {
    this.receiveMaximum = receiveMaximum
    this.isConnecting = true
    this.#answers = []
    this.#inFlight = 0
    try {
      const { session, isPresent } = await sessions.connect(
        connectOf(this.clientId, { receiveMaximum }),
        this,
      )
      if (!isPresent) this.#open.clear()
      if (!isPresent && this.hasSubscribed) throw new Error(`the session of ${this.clientId} is lost`)
      this.session = session
      session.pump()
      return true
    } catch (error) {
      if (/is lost/.test((error as Error).message)) throw error
      return false
    } finally {
      this.isConnecting = false
    }
  }

  async subscribe(): Promise<boolean> {
    const { filter, qos } = this
    const request = { filter, qos, isNoLocal: false, isRetainAsPublished: false, retainHandling: 2 as const }
    const subscribe = { type: 'subscribe' as const, packetId: 1, identifier: null, subscriptions: [request] }
    try {
      const codes = await this.session!.subscribe(subscribe, [qos])
      this.hasSubscribed ||= codes.length > 0
      return codes.length > 0
    } catch {
      return false
    }
  }

  /** The connection is lost: answers that were not sent are lost with it. */
  lost(): void {
    this.session?.disconnect('lost', null)
    this.session = null
    this.#answers = []
  }

  /** The broker is gone. */
  orphaned(): void {
    this.session = null
    this.#answers = []
  }

  answer(): void {
    this.#answers.shift()?.()
  }

  publish(message: Message, { packetId, qos, isDup }: Delivery): boolean {
    if (this.room <= 0) return false
    this.room--
    this.mostInFlight = Math.max(this.mostInFlight, ++this.#inFlight - this.receiveMaximum)
    const { topic } = message
    const payload = message.payload.toString()
    if (qos === 2) {
      if (this.#open.has(packetId) && !isDup) throw new Error(`packet id ${packetId} is in use`)
      if (!this.#open.has(packetId)) this.taken.push({ topic, payload, qos })
      this.#open.add(packetId)
      this.#answers.push(() => this.session?.pubrec(packetId, 0))
    } else {
      this.taken.push({ topic, payload, qos })
      this.#answers.push(() => {
        this.#inFlight--
        this.session?.puback(packetId, 0)
      })
    }
    return true
  }

  pubrel(packetId: number): boolean {
    if (this.room <= 0) return false
    this.room--
    this.#open.delete(packetId)
    this.#answers.push(() => {
      this.#inFlight--
      this.session?.pubcomp(packetId, 0)
    })
    return true
  }

  close(): void {
    this.orphaned()
  }
}
