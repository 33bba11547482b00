/** One MQTT connection that publishes from its ring and counts what comes back. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { IConnackPacket } from 'mqtt-packet'
import { LatencyBuckets } from '../statistics.ts'
import type { Manner } from './manner.ts'
import {
  connectPacket,
  DISCONNECT,
  PacketReader,
  type PublishRing,
  pubackBytes,
  pubackId,
  receiveMaximumOf,
} from './packets.ts'

const READ_BYTES = 64 * 1024
const CONNECT_MS_MAX = 20_000

/** What all connections of a load count together. */
export class Tally {
  /** Entries. */
  acknowledged = 0
  inAll = 0
  readonly latency = new LatencyBuckets()

  /** Those that are measured begin now. */
  reset(): void {
    this.acknowledged = 0
    this.latency.reset()
  }
}

export class Publisher {
  readonly #socket: Socket
  readonly #ring: PublishRing
  readonly #tally: Tally
  /** By place in the ring: when it was sent or was due, ms; 0 when not in flight. */
  readonly #sentAt: Float64Array
  #next = 0
  #unwritten = 0
  #rest = Buffer.alloc(0)
  /** Until CONNACK has come. */
  #reader: PacketReader | null
  #receiveMaximum = 0
  /** Entries that wait for their PUBACK; none where they get none. */
  inFlight = 0
  /** Called after each chunk with acknowledgements, with their number. */
  onAcknowledged: (count: number, now: number) => void = () => {}
  onFailure: (error: Error) => void = () => {}

  private constructor(port: number, manner: Manner, ring: PublishRing, tally: Tally) {
    this.#ring = ring
    this.#tally = tally
    this.#reader = new PacketReader(manner)
    this.#sentAt = new Float64Array(ring.count)
    // one buffer for all that is read: no garbage, no stream machinery
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    const callback = (count: number) => {
      this.#received(buffer.subarray(0, count))
      return true
    }
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, onread: { buffer, callback } })
    this.#socket.on('error', (error) => this.onFailure(error))
    this.#socket.on('close', () => this.onFailure(new Error('the server closed a connection')))
  }

  static async connect(port: number, manner: Manner, clientId: string, ring: PublishRing, tally: Tally) {
    const publisher = new Publisher(port, manner, ring, tally)
    await publisher.#connected(connectPacket(clientId, manner))
    return publisher
  }

  async #connected(hello: Buffer): Promise<void> {
    const accepted = new Promise<void>((resolve, reject) => {
      this.onAcknowledged = () => resolve()
      this.onFailure = reject
    })
    const timer = setTimeout(() => this.#socket.destroy(new Error('no CONNACK in time')), CONNECT_MS_MAX)
    this.#socket.write(hello)
    await accepted
    clearTimeout(timer)
    this.onAcknowledged = () => {}
  }

  get hasRoom(): boolean {
    return this.inFlight < Math.min(this.#ring.count, this.#receiveMaximum)
  }

  /** Takes the next entry of the ring into what `flush` will write. @param at when it was due, ms */
  queue(at: number): void {
    const place = (this.#next + this.#unwritten) % this.#ring.count
    this.#unwritten++
    if (this.#ring.entry.qos1 === 0) return
    this.#sentAt[place] = at
    this.inFlight++
  }

  flush(): void {
    if (this.#unwritten === 0) return
    for (const slice of this.#ring.slices(this.#next, this.#unwritten)) this.#socket.write(slice)
    this.#next = (this.#next + this.#unwritten) % this.#ring.count
    this.#unwritten = 0
  }

  async close(): Promise<void> {
    this.onFailure = () => {}
    if (this.#socket.destroyed) return
    const closed = once(this.#socket, 'close')
    this.#socket.end(DISCONNECT)
    this.#socket.destroySoon()
    await closed
  }

  #received(chunk: Buffer): void {
    try {
      if (this.#reader !== null) {
        this.#connack(this.#reader, chunk)
        return
      }
      const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
      const end = this.#pubacks(bytes)
      // a view of the read buffer would be written over
      this.#rest = end === bytes.length ? EMPTY : Buffer.from(bytes.subarray(end))
    } catch (error) {
      this.#socket.destroy(error as Error)
    }
  }

  /** Nothing was sent yet, so nothing comes behind it. */
  #connack(reader: PacketReader, chunk: Buffer): void {
    for (const packet of reader.read(chunk)) {
      this.#receiveMaximum = receiveMaximumOf(packet as IConnackPacket)
      this.#reader = null
      this.onAcknowledged(0, 0)
    }
  }

  #pubacks(bytes: Buffer): number {
    const now = performance.now()
    const { latency } = this.#tally
    let at = 0
    let count = 0
    for (let length = pubackBytes(bytes, at); length > 0; length = pubackBytes(bytes, at)) {
      const place = pubackId(bytes, at) - 1
      const sentAt = this.#sentAt[place]!
      if (!(sentAt > 0)) throw new Error(`the server acknowledged packet id ${place + 1}, not in flight`)
      this.#sentAt[place] = 0
      latency.record((now - sentAt) * 1000)
      at += length
      count++
    }
    this.inFlight -= count
    this.#tally.acknowledged += count
    this.#tally.inAll += count
    this.onAcknowledged(count, now)
    return at
  }
}

const EMPTY = Buffer.alloc(0)
