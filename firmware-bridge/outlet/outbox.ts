/**
 * What readers of lines and registers have for the broker: a bounded queue in memory, sent with QoS 1 on a session of its own. What it
 * was given and the broker did not acknowledge is lost with the process: its devices know no acknowledgement that could say so.
 *
 * Order: messages go in the order in which they came, up to `inFlightMax` at once. When the broker can take nothing now, all that is
 * under way is waited for and what was not taken goes again first; only there a later message can be before an earlier one.
 */
import { LimitedLog } from '../../broker/limited-log.ts'
import type { LogSink } from '../../broker/log-sink.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import type { Clock } from '../clock.ts'
import type { DeviceSession, PublishResult, Uplink } from '../uplink/uplink.ts'

export interface OutboxLimits {
  readonly queueMessagesMax: number
  readonly queueBytesMax: number
}

export interface OutboxHost {
  readonly uplink: Pick<Uplink, 'connect'>
  readonly clock: Clock
  readonly log: LogSink
  /** From [0, 1). */
  readonly random: () => number
}

export interface OutboxCounters {
  /** The broker has them. */
  accepted: number
  /** The broker will never take them. */
  refused: number
  /** The oldest gave way to new ones. */
  dropped: number
  /** Not taken at once, and sent again. */
  congested: number
}

interface Entry {
  readonly order: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly properties: Readonly<Record<string, string>>
  readonly messageId: number
  isDup: boolean
}

type Session = Pick<DeviceSession, 'publish' | 'end'>

/** Within the ids that the uplink's window remembers of a client. */
const IN_FLIGHT_MAX = 8
const MESSAGE_IDS = 65_535
const BACKOFF: Backoff = { firstMs: 250, msMax: 15_000 }
/** How long the end waits for what is under way. */
const STOP_MS_MAX = 3000

export class Outbox {
  readonly counters: OutboxCounters = { accepted: 0, refused: 0, dropped: 0, congested: 0 }
  /** Called when a full queue has half of its room again. */
  onRoom: () => void = () => {}
  readonly #clientId: string
  readonly #limits: OutboxLimits
  readonly #host: OutboxHost
  readonly #log: LimitedLog
  readonly #waiting: Entry[] = []
  readonly #again: Entry[] = []
  readonly #settled = new Set<() => void>()
  #session: Session | null = null
  #bytes = 0
  #inFlight = 0
  #nextOrder = 0
  #tries = 0
  #isFull = false
  #isPausing = false
  #isStopped = false
  #cancelRetry = () => {}
  #trouble: string | null = 'not connected yet'

  constructor(clientId: string, limits: OutboxLimits, host: OutboxHost) {
    this.#clientId = clientId
    this.#limits = limits
    this.#host = host
    this.#log = new LimitedLog(host.log, () => host.clock.monotonic())
  }

  /** Messages that wait or are under way. */
  get length(): number {
    return this.#waiting.length + this.#again.length + this.#inFlight
  }

  /** One more drops the oldest. */
  get isFull(): boolean {
    return this.#isFull
  }

  get trouble(): string | null {
    return this.#trouble
  }

  start(): void {
    void this.#connect()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancelRetry()
    await this.#underway()
    await this.#session?.end('clean').catch(() => {})
    this.#session = null
  }

  /** @param payload stays with the outbox */
  offer(topic: string, payload: Uint8Array, properties: Readonly<Record<string, string>>): void {
    if (this.#isStopped) return
    const order = this.#nextOrder++
    const messageId = (order % MESSAGE_IDS) + 1
    this.#waiting.push({ order, topic, payload, properties, messageId, isDup: false })
    this.#bytes += payload.length + topic.length
    this.#makeRoom()
    this.#pump()
  }

  async #connect(): Promise<void> {
    try {
      const session = await this.#host.uplink.connect({
        clientId: this.#clientId,
        // the queue is in memory: ids of an earlier life mean nothing
        isClean: true,
        keepAliveSeconds: 60,
        will: null,
        listener: { onMessage: async () => {}, onEnded: (reason) => this.#onEnded(reason) },
      })
      if (this.#isStopped) {
        await session.end('clean').catch(() => {})
        return
      }
      this.#session = session
      this.#trouble = null
      this.#tries = 0
      this.#pump()
    } catch (error) {
      this.#retry(() => void this.#connect(), (error as Error).message)
    }
  }

  #onEnded(reason: string): void {
    this.#session = null
    this.#isPausing = false
    this.#retry(() => void this.#connect(), `the session of ${this.#clientId} was ended: ${reason}`)
  }

  #retry(again: () => void, trouble: string): void {
    if (this.#isStopped) return
    this.#trouble = trouble
    this.#log.warn('session', `what ${this.#clientId} reads waits: ${trouble}`, {})
    this.#after(again)
  }

  #after(again: () => void): void {
    this.#tries++
    this.#cancelRetry()
    this.#cancelRetry = this.#host.clock.after(backoffMs(BACKOFF, this.#tries, this.#host.random()), again)
  }

  #pump(): void {
    while (this.#session !== null && !this.#isPausing && this.#again.length === 0) {
      if (this.#inFlight >= IN_FLIGHT_MAX) return
      const entry = this.#waiting.shift()
      if (entry === undefined) return
      void this.#send(this.#session, entry)
    }
  }

  async #send(session: Session, entry: Entry): Promise<void> {
    this.#inFlight++
    let result: PublishResult
    try {
      result = await session.publish({ ...entry, qos: 1, isRetained: false })
    } catch {
      result = { kind: 'congested' }
    }
    this.#inFlight--
    if (result.kind === 'congested') {
      entry.isDup = true
      this.counters.congested++
      this.#again.push(entry)
    } else this.#done(entry, result)
    if (this.#again.length > 0 && this.#inFlight === 0) this.#sendAgain()
    if (this.#inFlight === 0) for (const tell of this.#settled) tell()
    this.#pump()
  }

  #done(entry: Entry, result: PublishResult): void {
    this.#bytes -= entry.payload.length + entry.topic.length
    this.#tries = 0
    if (result.kind === 'refused') {
      this.counters.refused++
      this.#log.warn('refused', `the broker refuses a message of ${this.#clientId}: ${result.reason}`, {
        topic: entry.topic,
      })
    } else this.counters.accepted++
    this.#tellRoom()
  }

  #sendAgain(): void {
    this.#waiting.unshift(...this.#again.splice(0).toSorted((a, b) => a.order - b.order))
    this.#isPausing = true
    this.#makeRoom()
    if (this.#isStopped || this.#session === null) {
      this.#isPausing = false
      return
    }
    this.#after(() => {
      this.#isPausing = false
      this.#pump()
    })
  }

  /** What is under way stays: it may be on the broker's disk already. */
  #makeRoom(): void {
    const { queueMessagesMax, queueBytesMax } = this.#limits
    const isOver = () => this.length > queueMessagesMax || this.#bytes > queueBytesMax
    while (isOver() && this.#waiting.length > 1) {
      const [oldest] = this.#waiting.splice(0, 1)
      this.#bytes -= oldest!.payload.length + oldest!.topic.length
      this.counters.dropped++
      this.#log.warn('full', `${this.#clientId}: the queue is full, the oldest messages are dropped`, {
        dropped: this.counters.dropped,
      })
    }
    if (this.length >= queueMessagesMax || this.#bytes >= queueBytesMax) this.#isFull = true
  }

  #tellRoom(): void {
    const { queueMessagesMax, queueBytesMax } = this.#limits
    if (!this.#isFull || this.length > queueMessagesMax / 2 || this.#bytes > queueBytesMax / 2) return
    this.#isFull = false
    this.onRoom()
  }

  /** Resolves when nothing is under way, or after STOP_MS_MAX. */
  #underway(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = this.#host.clock.after(STOP_MS_MAX, resolve)
      this.#settled.add(() => {
        cancel()
        resolve()
      })
    })
  }
}
