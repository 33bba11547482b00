/**
 * Clients that keep to the rules: each publishes numbered messages of QoS 1 at a fixed rate, one more subscribes to all of them. They know what was
 * acknowledged and what came, and how late. A latency counts from when its message was due.
 */
import { connect, type Socket } from 'node:net'
import { generate, type Packet, parser } from 'mqtt-packet'
import { LatencyBuckets } from '../bench/statistics.ts'
import { HONEST } from './target.ts'

const VERSION = 5
const TICK_MS = 2
const ANSWER_MS_MAX = 30_000
const IN_FLIGHT_MAX = 900
const PROBLEMS_MAX = 10
const STANDSTILL_MS = 20

export interface HonestOptions {
  readonly port: number
  readonly publishers: number
  /** Of all publishers together. */
  readonly messagesPerSecond: number
}

export interface Latencies {
  readonly messages: number
  /** From when it was due to its PUBACK, and to the subscriber. */
  readonly acknowledgedMs: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly deliveredMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** How often this process itself was not run for so long that it shows: the machine's doing. */
  readonly standstills: number
}

class Watch {
  readonly #buckets = new LatencyBuckets()
  #max = 0
  count = 0

  record(ms: number): void {
    this.#buckets.record(Math.max(0, ms) * 1000)
    this.#max = Math.max(this.#max, ms)
    this.count++
  }

  take() {
    const ms = (q: number) => this.#buckets.quantile(q) / 1000
    const found = { p50: ms(0.5), p99: ms(0.99), max: this.#max }
    this.#buckets.reset()
    this.#max = 0
    this.count = 0
    return found
  }
}

class Line {
  readonly clientId: string
  readonly #socket: Socket
  onPacket: (packet: Packet) => void = () => {}
  onLost: (reason: string) => void = () => {}

  constructor(port: number, clientId: string) {
    this.clientId = clientId
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const packets = parser({ protocolVersion: VERSION })
    packets.on('packet', (packet: Packet) => {
      if (packet.cmd === 'disconnect') this.onLost(`the broker sent DISCONNECT ${packet.reasonCode}`)
      else this.onPacket(packet)
    })
    packets.on('error', (error: Error) => this.onLost(error.message))
    this.#socket.on('data', (bytes) => packets.parse(bytes))
    this.#socket.on('error', (error) => this.onLost(error.message))
    this.#socket.on('close', () => this.onLost('closed'))
  }

  send(packet: Packet): void {
    this.#socket.write(generate(packet, { protocolVersion: VERSION }))
  }

  async open(): Promise<void> {
    this.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: VERSION,
      clientId: this.clientId,
      clean: true,
      keepalive: 0,
      username: HONEST.name,
      password: Buffer.from(HONEST.password),
    })
    const packet = await this.answer()
    if (packet.cmd !== 'connack' || packet.reasonCode !== 0) {
      throw new Error(`${this.clientId}: ${packet.cmd} ${(packet as { reasonCode?: number }).reasonCode}`)
    }
  }

  answer(): Promise<Packet> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.clientId}: no answer`)), ANSWER_MS_MAX)
      this.onLost = (reason) => reject(new Error(`${this.clientId}: ${reason}`))
      this.onPacket = (packet) => {
        clearTimeout(timer)
        this.onPacket = () => {}
        this.onLost = () => {}
        resolve(packet)
      }
    })
  }

  close(): void {
    this.onLost = () => {}
    this.#socket.destroy()
  }
}

/** One publisher: what it sent, and when each message that is in flight was due. */
interface Writer {
  readonly line: Line
  readonly topic: string
  next: number
  /** By packet id. */
  readonly inFlight: Map<number, { readonly n: number; readonly dueAt: number }>
  readonly acknowledged: Set<number>
  /** The next number that the subscriber is to get, and when those that it has not got yet were due. */
  expected: number
  readonly dueAt: Map<number, number>
}

export class HonestClients {
  readonly problems: string[] = []
  readonly #options: HonestOptions
  readonly #writers: Writer[] = []
  readonly #acknowledged = new Watch()
  readonly #delivered = new Watch()
  #subscriber!: Line
  #timer: NodeJS.Timeout | undefined
  #startedAt = 0
  #turnAt = Number.POSITIVE_INFINITY
  #standstills = 0
  #sent = 0

  static async connect(options: HonestOptions): Promise<HonestClients> {
    const clients = new HonestClients(options)
    await clients.#connect()
    return clients
  }

  private constructor(options: HonestOptions) {
    this.#options = options
  }

  async #connect(): Promise<void> {
    const { port, publishers } = this.#options
    const reader = new Line(port, 'reader')
    this.#subscriber = reader
    await reader.open()
    reader.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'honest/#', qos: 1 }] })
    await reader.answer()
    reader.onLost = (reason) => this.#problem(`the subscriber was cut off: ${reason}`)
    reader.onPacket = (packet) => this.#came(packet)
    for (let i = 0; i < publishers; i++) {
      const line = new Line(port, `writer-${i}`)
      await line.open()
      const fresh = { next: 0, inFlight: new Map(), acknowledged: new Set<number>() }
      const writer = { line, topic: `honest/writer-${i}/t`, ...fresh, expected: 0, dueAt: new Map() }
      line.onLost = (reason) => this.#problem(`${line.clientId} was cut off: ${reason}`)
      line.onPacket = (packet) => this.#answered(writer, packet)
      this.#writers.push(writer)
    }
  }

  get acknowledged(): number {
    return this.#writers.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0)
  }

  /** From now on, at the rate, whatever happens. */
  begin(): void {
    this.#startedAt = performance.now()
    this.#timer = setInterval(() => this.#turn(), TICK_MS)
  }

  /** What was measured since the last call. */
  latencies(): Latencies {
    const messages = this.#acknowledged.count
    const standstills = this.#standstills
    this.#standstills = 0
    return {
      messages,
      standstills,
      acknowledgedMs: this.#acknowledged.take(),
      deliveredMs: this.#delivered.take(),
    }
  }

  /** No further message; those in flight are waited for. */
  async finish(): Promise<void> {
    clearInterval(this.#timer)
    const deadline = performance.now() + ANSWER_MS_MAX
    const open = () => this.#writers.reduce((sum, { inFlight, dueAt }) => sum + inFlight.size + dueAt.size, 0)
    while (open() > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5))
    for (const { line, inFlight, dueAt } of this.#writers) {
      if (inFlight.size > 0) this.#problem(`${line.clientId}: ${inFlight.size} messages without PUBACK`)
      if (dueAt.size > 0)
        this.#problem(`${line.clientId}: ${dueAt.size} messages did not come to the subscriber`)
    }
  }

  close(): void {
    clearInterval(this.#timer)
    for (const { line } of this.#writers) line.close()
    this.#subscriber.close()
  }

  /** For each topic how many messages were sent, and which numbers were acknowledged. */
  books(): Map<string, { readonly sent: number; readonly acknowledged: ReadonlySet<number> }> {
    return new Map(
      this.#writers.map(({ topic, next, acknowledged }) => [topic, { sent: next, acknowledged }]),
    )
  }

  #problem(text: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(text)
  }

  #turn(): void {
    const { messagesPerSecond } = this.#options
    const now = performance.now()
    if (now - this.#turnAt > STANDSTILL_MS) this.#standstills++
    this.#turnAt = now
    // the first one is due at the start
    const due = 1 + Math.floor(((now - this.#startedAt) * messagesPerSecond) / 1000)
    for (; this.#sent < due; this.#sent++) {
      const writer = this.#writers[this.#sent % this.#writers.length]!
      // a broker that stands still is charged: what is late counts from when it was due
      if (writer.inFlight.size >= IN_FLIGHT_MAX) return
      this.#publish(writer, this.#startedAt + (this.#sent * 1000) / messagesPerSecond)
    }
  }

  #publish(writer: Writer, dueAt: number): void {
    const n = writer.next++
    const messageId = (n % 65_535) + 1
    writer.inFlight.set(messageId, { n, dueAt })
    writer.dueAt.set(n, dueAt)
    const { topic } = writer
    writer.line.send({
      cmd: 'publish',
      topic,
      payload: String(n),
      qos: 1,
      messageId,
      dup: false,
      retain: false,
    })
  }

  #answered({ line, inFlight, acknowledged }: Writer, packet: Packet): void {
    const sent = inFlight.get(packet.messageId ?? 0)
    if (packet.cmd !== 'puback' || sent === undefined || (packet.reasonCode ?? 0) >= 0x80) {
      this.#problem(
        `${line.clientId} got ${packet.cmd} ${packet.messageId} ${(packet as { reasonCode?: number }).reasonCode}`,
      )
      return
    }
    inFlight.delete(packet.messageId!)
    acknowledged.add(sent.n)
    this.#acknowledged.record(performance.now() - sent.dueAt)
  }

  #came(packet: Packet): void {
    if (packet.cmd !== 'publish') return
    const n = Number(packet.payload.toString())
    const writer = this.#writers.find(({ topic }) => topic === packet.topic)
    if (packet.qos === 1) this.#subscriber.send({ cmd: 'puback', messageId: packet.messageId! })
    const dueAt = writer?.dueAt.get(n)
    if (writer === undefined || dueAt === undefined) {
      this.#problem(`the subscriber got ${packet.topic} ${n}, which was not sent or came before`)
      return
    }
    if (n !== writer.expected) this.#problem(`${packet.topic}: ${n} came where ${writer.expected} was next`)
    writer.expected = n + 1
    writer.dueAt.delete(n)
    this.#delivered.record(performance.now() - dueAt)
  }
}
