/** A device that speaks MQTT-SN over UDP, with a socket of its own; as light as it can be, because hundreds share a core with what is measured. */
import { createSocket, type Socket } from 'node:dgram'
import type { Tally } from '../ingest/publisher.ts'
import type { LoadDevice } from './load-device.ts'

const CONNECT = 0x04
const CONNACK = 0x05
const PUBLISH = 0x0c
const PUBACK = 0x0d
const CLEAN = 0x04
const PROTOCOL_ID = 1
const KEEP_ALIVE_SECONDS = 600
/** QoS 1, a predefined topic id. */
const PUBLISH_FLAGS = 0x21
const TOPIC_ID = 1
const MESSAGE_ID_AT = 5
const RETURN_CODE_AT = 6
const CONGESTION = 1
/** A message that met congestion comes again so much later; its latency counts from the first time. */
const AGAIN_MS = 50
const DUP = 0x80
const CONNECT_MS_MAX = 20_000

export class UdpDevice implements LoadDevice {
  readonly #socket: Socket
  readonly #tally: Tally
  readonly #packet: Buffer
  /** By message id. */
  readonly #sentAt = new Map<number, number>()
  #lastId = 0
  #onConnack: (code: number) => void = () => {}
  onFailure: (error: Error) => void = () => {}

  private constructor(socket: Socket, payloadBytes: number, tally: Tally) {
    this.#socket = socket
    this.#tally = tally
    this.#packet = Buffer.alloc(MESSAGE_ID_AT + 2 + payloadBytes, 'x')
    this.#packet.set([this.#packet.length, PUBLISH, PUBLISH_FLAGS, 0, TOPIC_ID])
    socket.on('message', (bytes) => this.#received(bytes))
    socket.on('error', (error) => this.onFailure(error))
  }

  static async connect(port: number, clientId: string, payloadBytes: number, tally: Tally) {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.connect(port, '127.0.0.1', resolve))
    const device = new UdpDevice(socket, payloadBytes, tally)
    const id = Buffer.from(clientId)
    const head = [
      6 + id.length,
      CONNECT,
      CLEAN,
      PROTOCOL_ID,
      KEEP_ALIVE_SECONDS >> 8,
      KEEP_ALIVE_SECONDS & 0xff,
    ]
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no CONNACK in time')), CONNECT_MS_MAX)
      device.#onConnack = (code) => {
        clearTimeout(timer)
        if (code === 0) resolve()
        else reject(new Error(`the gateway refused with return code ${code}`))
      }
      socket.send(Buffer.concat([Buffer.from(head), id]))
    })
    return device
  }

  get inFlight(): number {
    return this.#sentAt.size
  }

  publish(): void {
    this.#lastId = (this.#lastId % 0xffff) + 1
    this.#sentAt.set(this.#lastId, performance.now())
    this.#send(this.#lastId, PUBLISH_FLAGS)
  }

  #send(id: number, flags: number): void {
    this.#packet[2] = flags
    this.#packet.writeUInt16BE(id, MESSAGE_ID_AT)
    // sent when the turn ends: the bytes are another message's by then
    this.#socket.send(Buffer.from(this.#packet))
  }

  async close(): Promise<void> {
    this.onFailure = () => {}
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()))
  }

  #received(bytes: Buffer): void {
    if (bytes[1] === CONNACK) {
      this.#onConnack(bytes[2]!)
      return
    }
    const id = bytes.readUInt16BE(MESSAGE_ID_AT - 1)
    const sentAt = this.#sentAt.get(id)
    if (bytes[1] === PUBACK && bytes[RETURN_CODE_AT] === CONGESTION) {
      setTimeout(() => this.#send(id, PUBLISH_FLAGS | DUP), AGAIN_MS)
      return
    }
    if (bytes[1] !== PUBACK || sentAt === undefined || bytes[RETURN_CODE_AT] !== 0) {
      this.onFailure(new Error(`the gateway answered message ${id} with ${bytes.toString('hex')}`))
      return
    }
    this.#sentAt.delete(id)
    this.#tally.acknowledged++
    this.#tally.inAll++
    this.#tally.latency.record((performance.now() - sentAt) * 1000)
  }
}
