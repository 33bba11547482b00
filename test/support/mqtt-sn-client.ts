/**
 * A device that speaks MQTT-SN 1.2 over UDP, as small as firmware is: one message at a time, repeated with DUP until it is answered. Written
 * apart from the bridge's own codec.
 */
import { createSocket, type Socket } from 'node:dgram'

export const SnType = {
  connect: 0x04,
  connack: 0x05,
  register: 0x0a,
  regack: 0x0b,
  publish: 0x0c,
  puback: 0x0d,
  subscribe: 0x12,
  suback: 0x13,
  pingreq: 0x16,
  pingresp: 0x17,
  disconnect: 0x18,
} as const

/** In the place of a return code. */
export const DROPPED = -1
const UNKNOWN_TOPIC = 2
const DUP = 0x80
const CLEAN = 0x04
const QOS = [0x00, 0x20, 0x40] as const

export interface Received {
  readonly type: number
  readonly body: Buffer
}

export interface DownPublish {
  readonly topicId: number
  readonly payload: Buffer
}

export class MqttSnClient {
  readonly #socket: Socket
  readonly #port: number
  readonly #clientId: string
  readonly #retryMs: number
  #waiting: { matches: (received: Received) => boolean; resolve: (received: Received) => void } | null = null
  #lastId = 0
  /** Topic id -> topic, as the gateway told it. */
  readonly topics = new Map<number, string>()
  readonly received: DownPublish[] = []
  /** Messages that were sent more than once. */
  repetitions = 0

  private constructor(socket: Socket, port: number, clientId: string, retryMs: number) {
    this.#socket = socket
    this.#port = port
    this.#clientId = clientId
    this.#retryMs = retryMs
    socket.on('message', (bytes) => this.#onMessage(bytes))
    // a gateway that is killed: the kernel says so of a connected port
    socket.on('error', () => {})
  }

  static async open(port: number, clientId: string, retryMs = 200): Promise<MqttSnClient> {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    return new MqttSnClient(socket, port, clientId, retryMs)
  }

  close(): void {
    this.#socket.close()
  }

  #send(type: number, body: Buffer): void {
    const length = body.length + 2
    const head =
      length < 256 ? Buffer.of(length, type) : Buffer.of(1, (length + 2) >> 8, (length + 2) & 0xff, type)
    this.#socket.send(Buffer.concat([head, body]), this.#port, '127.0.0.1')
  }

  #onMessage(bytes: Buffer): void {
    const at = bytes[0] === 1 ? 3 : 1
    const received = { type: bytes[at]!, body: bytes.subarray(at + 1) }
    if (this.#waiting?.matches(received)) this.#waiting.resolve(received)
    if (received.type === SnType.register) {
      const { body } = received
      this.topics.set(body.readUInt16BE(0), body.toString('utf8', 4))
      this.#send(SnType.regack, Buffer.concat([body.subarray(0, 4), Buffer.of(0)]))
    } else if (received.type === SnType.publish) this.#onPublish(received.body)
  }

  #onPublish(body: Buffer): void {
    const topicId = body.readUInt16BE(1)
    this.received.push({ topicId, payload: Buffer.from(body.subarray(5)) })
    if ((body[0]! & 0x60) === QOS[1])
      this.#send(SnType.puback, Buffer.concat([body.subarray(1, 5), Buffer.of(0)]))
  }

  /** Sends until the answer comes. @param again what is sent from the second time on */
  async #ask(
    type: number,
    body: Buffer,
    again: Buffer,
    matches: (received: Received) => boolean,
  ): Promise<Received> {
    let wasSent = false
    for (;;) {
      this.#send(type, wasSent ? again : body)
      if (wasSent) this.repetitions++
      wasSent = true
      const answer = await new Promise<Received | null>((resolve) => {
        const timer = setTimeout(() => resolve(null), this.#retryMs)
        this.#waiting = {
          matches,
          resolve: (received) => {
            clearTimeout(timer)
            resolve(received)
          },
        }
      })
      this.#waiting = null
      if (answer !== null) return answer
    }
  }

  /** @returns the return code, 0: accepted */
  async connect(isClean: boolean, keepAliveSeconds = 30): Promise<number> {
    const body = Buffer.concat([
      Buffer.of(isClean ? CLEAN : 0, 1, 0, keepAliveSeconds),
      Buffer.from(this.#clientId),
    ])
    const answer = await this.#ask(SnType.connect, body, body, ({ type }) => type === SnType.connack)
    return answer.body[0]!
  }

  /** Until the gateway takes it. */
  async connected(isClean: boolean): Promise<void> {
    while ((await this.connect(isClean)) !== 0)
      await new Promise((resolve) => setTimeout(resolve, this.#retryMs))
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 0xffff) + 1
    return this.#lastId
  }

  /** @returns the topic id; 0: the gateway gives none */
  async register(topic: string): Promise<number> {
    const id = this.#nextId()
    const body = Buffer.concat([Buffer.of(0, 0, id >> 8, id & 0xff), Buffer.from(topic)])
    const isMine = ({ type, body: answer }: Received) =>
      type === SnType.disconnect || (type === SnType.regack && answer.readUInt16BE(2) === id)
    const answer = await this.#ask(SnType.register, body, body, isMine)
    return answer.type === SnType.disconnect || answer.body[4] !== 0 ? 0 : answer.body.readUInt16BE(0)
  }

  async subscribe(filter: string, qos: 0 | 1): Promise<number> {
    const id = this.#nextId()
    const body = (flags: number) => Buffer.concat([Buffer.of(flags, id >> 8, id & 0xff), Buffer.from(filter)])
    const isMine = ({ type, body: answer }: Received) =>
      type === SnType.suback && answer.readUInt16BE(3) === id
    const answer = await this.#ask(SnType.subscribe, body(QOS[qos]), body(QOS[qos] | DUP), isMine)
    return answer.body[5]!
  }

  /** QoS 1. Resolves with PUBACK's return code: 0 accepted, 2 the topic id is not known any more; DROPPED: the gateway does not know the device. */
  async publish(topicId: number, payload: Buffer, id = this.#nextId(), isDup = false): Promise<number> {
    const body = (flags: number) =>
      Buffer.concat([Buffer.of(flags, topicId >> 8, topicId & 0xff, id >> 8, id & 0xff), payload])
    const isMine = ({ type, body: answer }: Received) =>
      type === SnType.disconnect || (type === SnType.puback && answer.readUInt16BE(2) === id)
    const first = isDup ? QOS[1] | DUP : QOS[1]
    const answer = await this.#ask(SnType.publish, body(first), body(QOS[1] | DUP), isMine)
    return answer.type === SnType.disconnect ? DROPPED : answer.body[4]!
  }

  /** As firmware does: until it is accepted. A gateway that does not know it any more is connected to anew, without a clean session. */
  async publishSurely(topic: string, payload: Buffer): Promise<void> {
    const id = this.#nextId()
    let isDup = false
    for (;;) {
      const topicId = [...this.topics].find(([, name]) => name === topic)?.[0]
      const outcome = topicId === undefined ? UNKNOWN_TOPIC : await this.publish(topicId, payload, id, isDup)
      if (outcome === 0) return
      if (topicId !== undefined) isDup = true
      if (outcome === DROPPED) {
        await this.connected(false)
        this.topics.clear()
      } else if (outcome === UNKNOWN_TOPIC) {
        this.topics.clear()
        const given = await this.register(topic)
        if (given === 0) await this.connected(false)
        else this.topics.set(given, topic)
      } else await new Promise((resolve) => setTimeout(resolve, this.#retryMs))
    }
  }
}
