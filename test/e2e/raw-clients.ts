/**
 * Clients that speak MQTT by the packet, and know exactly what was acknowledged to them and what came. They connect again on their own and
 * keep their side of the session, as the specification asks for.
 */
import { connect, type Socket } from 'node:net'
import { generate, type IConnectPacket, type IPublishPacket, type Packet, parser } from 'mqtt-packet'

const RECONNECT_MS = 20

export interface RawClientOptions {
  readonly port: number
  readonly clientId: string
  readonly version: 4 | 5
}

export abstract class RawClient {
  readonly options: RawClientOptions
  #socket: Socket | null = null
  #timer: NodeJS.Timeout | undefined
  #isEnded = true
  /** CONNACK came. */
  isOpen = false
  hasSession = false

  constructor(options: RawClientOptions) {
    this.options = options
  }

  /** Connects, again and again until `end`. */
  begin(): void {
    this.#isEnded = false
    this.#connect()
  }

  /** Without a word to the broker. */
  end(): void {
    this.#isEnded = true
    clearTimeout(this.#timer)
    this.#socket?.destroy()
    this.#closed()
  }

  #connect(): void {
    const { port, version } = this.options
    const socket = connect(port, '127.0.0.1')
    this.#socket = socket
    const packets = parser({ protocolVersion: version })
    packets.on('packet', (packet: Packet) => {
      if (this.#socket === socket) this.#take(packet)
    })
    packets.on('error', () => socket.destroy())
    socket.on('error', () => {})
    socket.on('connect', () => socket.write(generate(this.#hello(), { protocolVersion: version })))
    socket.on('data', (chunk) => void packets.parse(chunk))
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#closed()
      if (!this.#isEnded) this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS)
    })
  }

  #hello(): IConnectPacket {
    const { clientId, version } = this.options
    const properties = version === 5 ? { properties: { sessionExpiryInterval: 0xffffffff } } : {}
    return {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean: false,
      ...properties,
    }
  }

  #closed(): void {
    this.#socket = null
    this.isOpen = false
  }

  #take(packet: Packet): void {
    if (packet.cmd !== 'connack') this.took(packet)
    else {
      this.isOpen = true
      this.hasSession = packet.sessionPresent
      this.opened()
    }
  }

  send(packet: Packet): void {
    if (this.isOpen) this.#socket?.write(generate(packet, { protocolVersion: this.options.version }))
  }

  protected abstract opened(): void
  protected abstract took(packet: Packet): void
}

interface Sent {
  readonly n: number
  isReceived: boolean
}

export interface PublisherOptions extends RawClientOptions {
  readonly topic: string
  readonly qos: 1 | 2
  readonly messages: number
  readonly windowMax: number
  /** Another message may be sent now. */
  readonly mayGoOn: () => boolean
  readonly onAcknowledged: () => void
}

/** Publishes its numbers in order. */
export class RawPublisher extends RawClient {
  readonly plan: PublisherOptions
  readonly acknowledged = new Set<number>()
  readonly #underWay = new Map<number, Sent>()
  #next = 0
  #lastId = 0

  constructor(plan: PublisherOptions) {
    super(plan)
    this.plan = plan
  }

  get isDone(): boolean {
    return this.acknowledged.size === this.plan.messages
  }

  protected opened(): void {
    for (const [messageId, { n, isReceived }] of this.#underWay) {
      if (isReceived) this.send({ cmd: 'pubrel', messageId })
      else this.#publish(messageId, n, true)
    }
    this.goOn()
  }

  goOn(): void {
    const { windowMax, messages, mayGoOn } = this.plan
    while (this.isOpen && this.#underWay.size < windowMax && this.#next < messages && mayGoOn()) {
      do this.#lastId = (this.#lastId % 65_535) + 1
      while (this.#underWay.has(this.#lastId))
      const n = this.#next++
      this.#underWay.set(this.#lastId, { n, isReceived: false })
      this.#publish(this.#lastId, n, false)
    }
  }

  #publish(messageId: number, n: number, dup: boolean): void {
    const { topic, qos } = this.plan
    this.send({ cmd: 'publish', topic, payload: String(n), qos, messageId, dup, retain: false })
  }

  protected took(packet: Packet): void {
    const messageId = packet.messageId ?? 0
    const sent = this.#underWay.get(messageId)
    if (packet.cmd === 'pubrec') {
      if (sent !== undefined) sent.isReceived = true
      this.send({ cmd: 'pubrel', messageId })
    } else if ((packet.cmd === 'puback' || packet.cmd === 'pubcomp') && sent !== undefined) {
      this.#underWay.delete(messageId)
      this.acknowledged.add(sent.n)
      this.plan.onAcknowledged()
      this.goOn()
    }
  }
}

export interface SubscriberOptions extends RawClientOptions {
  readonly filter: string
  readonly qos: 1 | 2
  /** Answers come so late, ms; one whose connection has ended meanwhile goes out on the next one, as with some clients. */
  readonly answerDelay: () => number
}

/** Remembers what came, by topic, in order. */
export class RawSubscriber extends RawClient {
  readonly plan: SubscriberOptions
  readonly received = new Map<string, number[]>()
  /** Messages, each counted once. */
  distinct = 0
  isSubscribed = false
  readonly #held = new Set<number>()
  #late: Packet[] = []
  #isGoing = false
  lostSessions = 0

  constructor(plan: SubscriberOptions) {
    super(plan)
    this.plan = plan
  }

  protected opened(): void {
    if (this.isSubscribed && !this.hasSession) this.lostSessions++
    const { filter: topic, qos } = this.plan
    if (!this.isSubscribed) this.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] })
    this.#answer()
  }

  protected took(packet: Packet): void {
    const messageId = packet.messageId ?? 0
    if (packet.cmd === 'suback') this.isSubscribed = true
    else if (packet.cmd === 'publish') {
      if (packet.qos === 1) {
        this.#note(packet)
        this.#later({ cmd: 'puback', messageId })
      } else {
        if (!this.#held.has(messageId)) this.#note(packet)
        this.#held.add(messageId)
        this.#later({ cmd: 'pubrec', messageId })
      }
    } else if (packet.cmd === 'pubrel') {
      this.#held.delete(messageId)
      this.#later({ cmd: 'pubcomp', messageId })
    }
  }

  #note({ topic, payload }: IPublishPacket): void {
    const n = Number(payload.toString())
    const numbers = this.received.get(topic) ?? []
    this.received.set(topic, numbers)
    if (!numbers.includes(n)) this.distinct++
    numbers.push(n)
  }

  #later(answer: Packet): void {
    this.#late.push(answer)
    if (this.#isGoing) return
    this.#isGoing = true
    setTimeout(() => {
      this.#isGoing = false
      this.#answer()
    }, this.plan.answerDelay())
  }

  #answer(): void {
    if (!this.isOpen) return
    for (const answer of this.#late.splice(0)) this.send(answer)
  }
}
