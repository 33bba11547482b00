/**
 * Messages from the broker that a device has not acknowledged yet. mqtt.js reads nothing more of a connection until its handler has
 * acknowledged, which would hold up the answers to what the device publishes while it sleeps; so the acknowledgement is kept from mqtt.js
 * and written here, when the device has the message.
 */
import type { IPublishPacket } from 'mqtt'
import type { DownMessage, QoS } from './uplink.ts'

/** MQTT without receive maximum (3.1.1) has no bound of its own. */
const HELD_MAX = 1000

const PUBACK = 0x40
const PUBREC = 0x50

interface Held {
  /** The device has it; the broker was away when it was to be told. */
  isDone: boolean
}

export class HeldDeliveries {
  readonly #held = new Map<number, Held>()
  readonly #deliver: (message: DownMessage) => Promise<void>
  readonly #write: (bytes: Buffer) => boolean
  readonly #now: () => number

  /**
   * @param write to the present connection. @returns false when there is none
   * @param now monotonic ms
   */
  constructor(
    deliver: (message: DownMessage) => Promise<void>,
    write: (bytes: Buffer) => boolean,
    now: () => number,
  ) {
    this.#deliver = deliver
    this.#write = write
    this.#now = now
  }

  get size(): number {
    return this.#held.size
  }

  /** A connection on which the broker goes on with the session, or begins another one. */
  onConnected(isResumed: boolean): void {
    // of a session that has ended no id means anything any more
    if (!isResumed) this.#held.clear()
  }

  /** @returns false: the broker sends more than is to be held; the connection is to end */
  onPublish(packet: IPublishPacket): boolean {
    const id = packet.messageId
    if (packet.qos === 0 || id === undefined) {
      void this.#deliver(this.#message(packet)).catch(() => {})
      return true
    }
    const before = this.#held.get(id)
    if (before !== undefined && packet.dup) {
      if (before.isDone) this.#acknowledge(id, packet.qos)
      return true
    }
    if (this.#held.size >= HELD_MAX) return false
    const held: Held = { isDone: false }
    this.#held.set(id, held)
    const { qos } = packet
    const done = () => {
      held.isDone = true
      if (this.#held.get(id) === held) this.#acknowledge(id, qos)
    }
    this.#deliver(this.#message(packet)).then(done, done)
    return true
  }

  /** QoS 2: PUBREC says that the device has it; mqtt.js answers PUBREL by itself. */
  #acknowledge(id: number, qos: QoS): void {
    const bytes = Buffer.of(qos === 2 ? PUBREC : PUBACK, 2, id >> 8, id & 0xff)
    if (this.#write(bytes)) this.#held.delete(id)
  }

  #message({ topic, payload, qos, retain, properties }: IPublishPacket): DownMessage {
    const expiry = properties?.messageExpiryInterval
    return {
      topic,
      payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
      qos,
      isRetained: retain,
      expiresAt: expiry === undefined ? null : this.#now() + expiry * 1000,
    }
  }
}
