/** The way to one device: a link, a peer of it, and where a forwarder is between, its node id (MQTT-SN 1.2, section 5.5). */
import type { Link } from '../links/link.ts'
import { encodeEncapsulated, encodePacket } from '../packets/encoder.ts'
import type { Packet } from '../packets/packet.ts'
import type { GatewayCounters } from './counters.ts'
import type { Device } from './device.ts'
import type { RateLimit } from './rate-limit.ts'

/** How far a forwarder is to send: to all that it hears. */
const RADIUS_ALL = 0
/** Length, type, ctrl. */
const ENCAPSULATION_HEAD_BYTES = 3

export class Route {
  readonly link: Link
  readonly peer: string
  readonly nodeId: Uint8Array | null
  readonly retryMs: number
  /** Of the peer: the nodes of a forwarder share it. */
  readonly rate: RateLimit
  readonly #counters: GatewayCounters
  /** Who has connected over it. */
  device: Device | null = null
  /** Monotonic ms at which it was last told to connect. */
  toldAt = Number.NEGATIVE_INFINITY

  constructor(
    link: Link,
    peer: string,
    nodeId: Uint8Array | null,
    retryMs: number,
    rate: RateLimit,
    counters: GatewayCounters,
  ) {
    this.link = link
    this.peer = peer
    this.nodeId = nodeId
    this.retryMs = retryMs
    this.rate = rate
    this.#counters = counters
  }

  /** Of one MQTT-SN packet. */
  get packetBytesMax(): number {
    const { messageBytesMax } = this.link
    return this.nodeId === null
      ? messageBytesMax
      : messageBytesMax - ENCAPSULATION_HEAD_BYTES - this.nodeId.length
  }

  /** Of the device on its link. */
  get peerName(): string {
    const { peer, nodeId } = this
    return nodeId === null ? peer : `${peer} node ${Buffer.from(nodeId).toString('hex')}`.trimStart()
  }

  /** For logs. */
  get name(): string {
    return `${this.link.name} ${this.peerName}`.trimEnd()
  }

  /** @returns false: it cannot go now */
  send(packet: Packet): boolean {
    return this.sendBytes(encodePacket(packet))
  }

  sendBytes(packet: Uint8Array): boolean {
    const message = this.nodeId === null ? packet : encodeEncapsulated(RADIUS_ALL, this.nodeId, packet)
    if (!this.link.send(this.peer, message)) return false
    this.#counters.messagesSent++
    return true
  }
}
