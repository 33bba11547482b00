/**
 * One link of the gateway: whose packets come over it. A route that a device has connected over is kept as long as the device has it;
 * of peers that are not connected the last so many are remembered, for their rates.
 */
import type { Link, LinkListener } from '../links/link.ts'
import { decodePacket, type Malformed } from '../packets/decoder.ts'
import { type Packet, Type } from '../packets/packet.ts'
import type { GatewayContext } from './context.ts'
import { RateLimit } from './rate-limit.ts'
import { Route } from './route.ts'

/** Peers of a link that are not connected. */
export const STRANGERS_MAX = 256

export interface GatewayLink {
  readonly link: Link
  /** T_RETRY of this link; null: the gateway's. A serial port answers within a quarter of a second. */
  readonly retryMs: number | null
}

export interface PacketSink {
  onPacket(route: Route, packet: Exclude<Packet, { type: typeof Type.encapsulated }>): void
  onMalformed(route: Route, malformed: Malformed): void
}

export class LinkPort implements LinkListener {
  readonly link: Link
  readonly #retryMs: number
  readonly #context: GatewayContext
  readonly #sink: PacketSink
  /** With a device, by peer and node. */
  readonly #routes = new Map<string, Route>()
  readonly #strangers = new Map<string, Route>()

  constructor({ link, retryMs }: GatewayLink, context: GatewayContext, sink: PacketSink) {
    this.link = link
    this.#retryMs = retryMs ?? context.config.retrySeconds * 1000
    this.#context = context
    this.#sink = sink
  }

  get routes(): number {
    return this.#routes.size + this.#strangers.size
  }

  onMessage(peer: string, bytes: Uint8Array): void {
    this.#context.counters.messagesReceived++
    const route = this.#routes.get(peer) ?? this.#stranger(peer, peer, null, null)
    const packet = decodePacket(bytes)
    if (packet.type === Type.encapsulated) this.#onEncapsulated(route, packet.nodeId, packet.message)
    else this.#hand(route, packet)
  }

  onGone(peer: string | null): void {
    for (const route of [...this.#routes.values()]) {
      if (peer === null || route.peer === peer) route.device?.onUnreachable()
    }
  }

  /** A device has connected over it. */
  onJoin(route: Route): void {
    const key = keyOf(route.peer, route.nodeId)
    this.#strangers.delete(key)
    this.#routes.set(key, route)
  }

  onLeave(route: Route): void {
    const key = keyOf(route.peer, route.nodeId)
    if (this.#routes.get(key) !== route) return
    this.#routes.delete(key)
    this.#remember(key, route)
  }

  #onEncapsulated(peerRoute: Route, nodeId: Uint8Array, message: Uint8Array): void {
    const { peer } = peerRoute
    const key = keyOf(peer, nodeId)
    const route = this.#routes.get(key) ?? this.#stranger(key, peer, nodeId, peerRoute.rate)
    const packet = decodePacket(message)
    // The decoder takes no capsule in a capsule.
    if (packet.type !== Type.encapsulated) this.#hand(route, packet)
  }

  #hand(route: Route, packet: Exclude<ReturnType<typeof decodePacket>, { type: typeof Type.encapsulated }>) {
    if (packet.type === 'malformed') this.#sink.onMalformed(route, packet)
    else this.#sink.onPacket(route, packet)
  }

  #stranger(key: string, peer: string, nodeId: Uint8Array | null, shared: RateLimit | null): Route {
    const known = this.#strangers.get(key)
    if (known !== undefined) {
      this.#strangers.delete(key)
      this.#strangers.set(key, known)
      return known
    }
    const { config, clock, counters } = this.#context
    const rate = shared ?? new RateLimit(config.messagesPerSecondMax, clock.monotonic())
    const node = nodeId === null ? null : Buffer.from(nodeId)
    const route = new Route(this.link, peer, node, this.#retryMs, rate, counters)
    this.#remember(key, route)
    return route
  }

  #remember(key: string, route: Route): void {
    this.#strangers.set(key, route)
    if (this.#strangers.size <= STRANGERS_MAX) return
    const oldest = this.#strangers.keys().next().value
    if (oldest !== undefined) this.#strangers.delete(oldest)
  }
}

/** No peer has a line break in its name. */
function keyOf(peer: string, nodeId: Uint8Array | null): string {
  return nodeId === null ? peer : `${peer}\n${Buffer.from(nodeId).toString('latin1')}`
}
