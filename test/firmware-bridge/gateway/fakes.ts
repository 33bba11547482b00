/** A clock, a link and a broker's side that a test has in its hand. */
import type { Clock } from '../../../firmware-bridge/clock.ts'
import type { Link, LinkCounters, LinkListener } from '../../../firmware-bridge/links/link.ts'
import type {
  DeviceConnect,
  DeviceSession,
  DownMessage,
  PublishResult,
  QoS,
  Uplink,
  UplinkMessage,
  Will,
} from '../../../firmware-bridge/uplink/uplink.ts'

/** Everything that promises have to do at this moment. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

interface Timer {
  readonly at: number
  readonly ring: () => void
}

export class FakeClock implements Clock {
  #ms = 1_000
  #order = 0
  readonly #timers = new Map<number, Timer>()
  /** 2026-01-01T00:00:00Z, at monotonic 0. */
  readonly unixFrom = 1_767_225_600_000

  now(): number {
    return this.unixFrom + this.#ms
  }

  monotonic(): number {
    return this.#ms
  }

  after(ms: number, ring: () => void): () => void {
    const id = this.#order++
    this.#timers.set(id, { at: this.#ms + ms, ring })
    return () => this.#timers.delete(id)
  }

  get timers(): number {
    return this.#timers.size
  }

  async advance(ms: number): Promise<void> {
    const to = this.#ms + ms
    for (;;) {
      // Of the same time the first that was asked for: they are in that order.
      let id = -1
      let next: Timer | null = null
      for (const [candidate, timer] of this.#timers) {
        if (timer.at <= to && (next === null || timer.at < next.at)) [id, next] = [candidate, timer]
      }
      if (next === null) break
      this.#timers.delete(id)
      this.#ms = Math.max(this.#ms, next.at)
      next.ring()
      await settled()
    }
    this.#ms = to
    await settled()
  }
}

export class MemoryLink implements Link {
  readonly name: string
  readonly kind: 'serial' | 'udp'
  messageBytesMax = 1_000
  readonly counters: LinkCounters = {
    framesReceived: 0,
    framesSent: 0,
    bytesReceived: 0,
    bytesSent: 0,
    dropped: new Map(),
  }
  trouble: string | null = null
  listener: LinkListener | null = null
  /** false: nothing can go. */
  isOpen = true
  canBroadcast = true
  onSend: (peer: string, bytes: Buffer) => void = () => {}
  readonly broadcasts: { bytes: Buffer; radius: number }[] = []

  constructor(kind: 'serial' | 'udp' = 'udp', name = `${kind} test`) {
    this.kind = kind
    this.name = name
  }

  async open(listener: LinkListener): Promise<void> {
    this.listener = listener
  }

  send(peer: string, message: Uint8Array): boolean {
    if (this.isOpen) this.onSend(peer, Buffer.from(message))
    return this.isOpen
  }

  broadcast(message: Uint8Array, radius: number): boolean {
    if (this.canBroadcast) this.broadcasts.push({ bytes: Buffer.from(message), radius })
    return this.canBroadcast
  }

  async close(): Promise<void> {
    this.listener = null
  }
}

/** What the broker keeps of a client when it is not connected. */
interface Stored {
  epoch: number
  readonly filters: Map<string, QoS>
  readonly queue: DownMessage[]
  /** The window: accepted messages by id. */
  readonly window: Map<number, string>
}

const WINDOW_MAX = 16

export class FakeUplink implements Uplink {
  isUp = true
  /** Clients that the broker does not take. */
  readonly refused = new Set<string>()
  readonly connects: DeviceConnect[] = []
  readonly published: { clientId: string; epoch: number; message: UplinkMessage }[] = []
  readonly unconnected: UplinkMessage[] = []
  readonly wills: Will[] = []
  readonly stored = new Map<string, Stored>()
  readonly sessions = new Map<string, FakeSession>()
  /** Asked before each acceptance; a result given is the answer. `losing` keeps the message and says congested. */
  decide: (message: UplinkMessage) => PublishResult | 'losing' | null = () => null
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve()
  /** How long the broker takes. */
  lag: () => Promise<void> = () => Promise.resolve()
  receiveMax = 4

  async connect(connect: DeviceConnect): Promise<DeviceSession> {
    await this.gate
    await this.lag()
    if (!this.isUp) throw Object.assign(new Error('the broker is away'), { retryable: true })
    if (this.refused.has(connect.clientId)) throw Object.assign(new Error('refused'), { retryable: false })
    this.connects.push(connect)
    const before = this.stored.get(connect.clientId)
    if (before === undefined || connect.isClean) {
      const epoch = (before?.epoch ?? 0) + 1
      this.stored.set(connect.clientId, { epoch, filters: new Map(), queue: [], window: new Map() })
    }
    const session = new FakeSession(this, connect, this.stored.get(connect.clientId)!, before !== undefined)
    this.sessions.set(connect.clientId, session)
    session.pump()
    return session
  }

  publishUnconnected(message: UplinkMessage): boolean {
    if (this.isUp) this.unconnected.push(message)
    return this.isUp
  }

  /** A message for a client, connected or not. @returns whether it is kept */
  deliver(clientId: string, message: Partial<DownMessage> & { topic: string }): void {
    const whole = { payload: Buffer.from('x'), qos: 1 as QoS, isRetained: false, expiresAt: null, ...message }
    const session = this.sessions.get(clientId)
    if (whole.qos === 0) void session?.connect.listener.onMessage(whole)
    else {
      this.stored.get(clientId)?.queue.push(whole)
      session?.pump()
    }
  }

  /** The broker ends the client's session for good. */
  takeOver(clientId: string): void {
    const session = this.sessions.get(clientId)
    this.sessions.delete(clientId)
    session?.connect.listener.onEnded('taken over')
  }

  /** The broker can be reached again, or cannot. */
  setUp(isUp: boolean): void {
    this.isUp = isUp
    for (const session of this.sessions.values()) session.pump()
  }

  async close(): Promise<void> {}
}

export class FakeSession implements DeviceSession {
  readonly isPresent: boolean
  readonly connect: DeviceConnect
  readonly ends: string[] = []
  readonly released: number[] = []
  readonly #uplink: FakeUplink
  readonly #stored: Stored
  readonly #given = new Set<DownMessage>()
  will: Will | null

  constructor(uplink: FakeUplink, connect: DeviceConnect, stored: Stored, isPresent: boolean) {
    this.#uplink = uplink
    this.connect = connect
    this.#stored = stored
    this.isPresent = isPresent
    this.will = connect.will
  }

  get isOpen(): boolean {
    return this.#uplink.sessions.get(this.connect.clientId) === this
  }

  async publish(message: UplinkMessage): Promise<PublishResult> {
    const { window, epoch } = this.#stored
    const digest = `${message.topic} ${Buffer.from(message.payload).toString('latin1')}`
    const decided = this.#uplink.decide(message)
    await this.#uplink.gate
    await this.#uplink.lag()
    if (!this.#uplink.isUp || !this.isOpen) return { kind: 'congested' }
    if (message.qos > 0 && message.isDup && window.get(message.messageId) === digest) {
      return { kind: 'repeated' }
    }
    if (decided !== null && decided !== 'losing') return decided
    this.#uplink.published.push({ clientId: this.connect.clientId, epoch, message })
    window.delete(message.messageId)
    window.set(message.messageId, digest)
    if (window.size > WINDOW_MAX) window.delete(window.keys().next().value!)
    return { kind: decided === 'losing' ? 'congested' : 'accepted' }
  }

  async release(messageId: number): Promise<void> {
    await this.#uplink.gate
    this.released.push(messageId)
  }

  async subscribe(filter: string, qos: QoS): Promise<QoS | null> {
    await this.#uplink.gate
    if (!this.#uplink.isUp) throw new Error('the broker is away')
    if (filter.startsWith('secret')) return null
    this.#stored.filters.set(filter, qos)
    return qos
  }

  async unsubscribe(filter: string): Promise<void> {
    this.#stored.filters.delete(filter)
  }

  async setWill(will: Will | null): Promise<void> {
    if (!this.#uplink.isUp) throw new Error('the broker is away')
    this.will = will
  }

  async end(how: 'clean' | 'lost'): Promise<void> {
    await this.#uplink.gate
    this.ends.push(how)
    if (!this.isOpen) return
    this.#uplink.sessions.delete(this.connect.clientId)
    if (how === 'lost' && this.will !== null) this.#uplink.wills.push(this.will)
    if (this.connect.isClean) this.#stored.filters.clear()
  }

  /** As the broker does it: so many at a time, the next when one is acknowledged. */
  pump(): void {
    if (!this.isOpen || !this.#uplink.isUp) return
    for (const message of this.#stored.queue) {
      if (this.#given.size >= this.#uplink.receiveMax) return
      if (this.#given.has(message)) continue
      this.#given.add(message)
      this.connect.listener.onMessage(message).then(
        () => {
          // What is acknowledged after the session's end is not heard.
          if (!this.isOpen) return
          this.#given.delete(message)
          // The broker did not hear of it: it sends the message again.
          if (!this.#uplink.isUp) return
          this.#stored.queue.splice(this.#stored.queue.indexOf(message), 1)
          this.pump()
        },
        () => {},
      )
    }
  }
}
