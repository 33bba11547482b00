/**
 * Messages that the broker itself publishes, of QoS 1, and which subscribers have acknowledged them. aedes tells of a
 * PUBACK, but for a clean session not of which message; so the packet id of each delivery is chosen here, where aedes asks whether
 * to forward it.
 *
 * aedes drops a packet for a client that has had one with a higher number of the same broker: what is published here has numbers
 * of its own, and is published one after the other.
 */
import { topicMatches } from './router.ts'

export interface OwnMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly isRetained: boolean
}

export interface Delivery {
  /** How many subscribers have to acknowledge it: those with QoS 1 or 2 that were connected. */
  readonly subscribers: number
  /** Resolves once all have, or are gone; false when one has done neither in time. */
  readonly acknowledged: Promise<boolean>
}

/** A subscriber that neither acknowledges nor ends its connection is not waited for any longer. */
const ACKNOWLEDGE_MS_MAX = 30_000
const PACKET_ID_MAX = 65_535

/** aedes' client as far as it is needed here. */
export interface ForwardedClient {
  _nextId: number
  readonly subscriptions: Readonly<Record<string, { readonly qos: number } | undefined>>
}

interface OwnPacket {
  readonly topic: string
  readonly brokerId?: string
  readonly brokerCounter?: number
}

/** aedes as far as it is needed here; its types leave some of it open. */
export interface ForwardingBroker {
  readonly id: string
  readonly clients: Readonly<Record<string, ForwardedClient>>
  readonly persistence: {
    subscriptionsByTopic(topic: string): Promise<readonly unknown[]>
    outgoingClearMessageId(
      client: ForwardedClient,
      packet: { cmd?: string; messageId?: number },
    ): Promise<unknown>
  }
  authorizeForward: (client: ForwardedClient, packet: OwnPacket) => OwnPacket
  on(event: 'clientDisconnect', listener: (client: ForwardedClient) => void): unknown
  publish(packet: object, done: (error?: Error | null) => void): void
}

export class OwnMessages {
  readonly #broker: ForwardingBroker
  readonly #acknowledgeMsMax: number
  /** By number: how many acknowledgements are open. */
  readonly #open = new Map<number, Waiting>()
  readonly #expected = new Map<ForwardedClient, Map<number, Waiting>>()
  #number = 0
  #last: Promise<unknown> = Promise.resolve()
  #end: (error: Error) => void = () => {}
  readonly #ended: Promise<never>

  constructor(broker: ForwardingBroker, acknowledgeMsMax = ACKNOWLEDGE_MS_MAX) {
    this.#broker = broker
    this.#acknowledgeMsMax = acknowledgeMsMax
    this.#ended = new Promise((_, reject) => {
      this.#end = reject
    })
    this.#ended.catch(() => {})
    broker.authorizeForward = (client, packet) => this.#forward(client, packet)
    broker.on('clientDisconnect', (client) => this.#gone(client))
    const { persistence } = broker
    const clear = persistence.outgoingClearMessageId.bind(persistence)
    persistence.outgoingClearMessageId = (client, packet) => {
      if (packet.cmd === 'puback' && packet.messageId !== undefined) this.#came(client, packet.messageId)
      return clear(client, packet)
    }
  }

  /** Whether somebody takes this topic now: connected, or with a session that stays, of QoS 1 or 2. */
  async hasSubscriber(topic: string): Promise<boolean> {
    const levels = topic.split('/')
    const { clients, persistence } = this.#broker
    for (const client of Object.values(clients)) if (matching(client, levels).length > 0) return true
    return (await persistence.subscriptionsByTopic(topic)).length > 0
  }

  /** Resolves once it is handed to all connections; messages go out in the order of the calls. */
  publish(message: OwnMessage): Promise<Delivery> {
    const delivery = this.#last.then(() => Promise.race([this.#publish(message), this.#ended]))
    this.#last = delivery.catch(() => {})
    return delivery
  }

  /** The broker ends: nobody is waited for. */
  close(): void {
    this.#end(new Error('the broker ends'))
    for (const waiting of this.#open.values()) waiting.settle(false)
  }

  get #id(): string {
    return `${this.#broker.id}/own`
  }

  async #publish({ topic, payload, isRetained }: OwnMessage): Promise<Delivery> {
    const number = ++this.#number
    const waiting = new Waiting(this.#acknowledgeMsMax, () => this.#open.delete(number))
    this.#open.set(number, waiting)
    const own = { brokerId: this.#id, brokerCounter: number }
    const packet = { cmd: 'publish', topic, payload, qos: 1, retain: isRetained, dup: false, ...own } as const
    try {
      await new Promise<void>((resolve, reject) => {
        this.#broker.publish(packet, (error) => (error ? reject(error) : resolve()))
      })
    } catch (error) {
      waiting.settle(false)
      throw error
    }
    waiting.sent()
    return { subscribers: waiting.subscribers, acknowledged: waiting.acknowledged }
  }

  #forward(client: ForwardedClient, packet: OwnPacket): OwnPacket {
    const waiting = packet.brokerId === this.#id ? this.#open.get(packet.brokerCounter!) : undefined
    const qos = waiting === undefined ? [] : matching(client, packet.topic.split('/'))
    // Which of several subscriptions delivers is aedes' affair: with one of QoS 0 no acknowledgement is sure to come.
    if (waiting === undefined || qos.length === 0 || qos.includes(0)) return packet
    const messageId = client._nextId
    client._nextId = messageId >= PACKET_ID_MAX ? 1 : messageId + 1
    const expected = this.#expected.get(client) ?? new Map<number, Waiting>()
    this.#expected.set(client, expected)
    expected.set(messageId, waiting)
    waiting.expect()
    return { ...packet, messageId } as OwnPacket
  }

  #came(client: ForwardedClient, messageId: number): void {
    const expected = this.#expected.get(client)
    const waiting = expected?.get(messageId)
    if (waiting === undefined) return
    expected!.delete(messageId)
    if (expected!.size === 0) this.#expected.delete(client)
    waiting.came()
  }

  #gone(client: ForwardedClient): void {
    const expected = this.#expected.get(client)
    if (expected === undefined) return
    this.#expected.delete(client)
    for (const waiting of expected.values()) waiting.came()
  }
}

/** The acknowledgements of one message. */
class Waiting {
  subscribers = 0
  readonly acknowledged: Promise<boolean>
  #open = 0
  #isSent = false
  #resolve: (isAcknowledged: boolean) => void = () => {}
  readonly #timer: NodeJS.Timeout
  readonly #onSettled: () => void

  constructor(msMax: number, onSettled: () => void) {
    this.#onSettled = onSettled
    this.acknowledged = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#timer = setTimeout(() => this.settle(false), msMax)
    this.#timer.unref()
  }

  expect(): void {
    this.subscribers++
    this.#open++
  }

  came(): void {
    this.#open--
    this.#settleWhenDone()
  }

  sent(): void {
    this.#isSent = true
    this.#settleWhenDone()
  }

  settle(isAcknowledged: boolean): void {
    clearTimeout(this.#timer)
    this.#onSettled()
    this.#resolve(isAcknowledged)
  }

  #settleWhenDone(): void {
    if (this.#isSent && this.#open === 0) this.settle(true)
  }
}

/** The QoS of each subscription of this client that takes the topic. */
function matching(client: ForwardedClient, levels: readonly string[]): number[] {
  return Object.entries(client.subscriptions)
    .filter(([filter]) => topicMatches(filter.split('/'), levels))
    .map(([, subscription]) => subscription!.qos)
}
