/** How devices find the gateway: ADVERTISE now and then, GWINFO for SEARCHGW. MQTT-SN 1.2, section 6.1. */
import type { Link } from '../links/link.ts'
import { encodePacket } from '../packets/encoder.ts'
import { Type } from '../packets/packet.ts'
import type { GatewayContext } from './context.ts'
import type { Due } from './deadlines.ts'
import type { Route } from './route.ts'

/** Peers that are answered one by one where a link has no broadcast. */
const ASKERS_MAX = 64
const NOTHING = new Uint8Array(0)

/** One link's. */
export class Discovery implements Due {
  readonly #link: Link
  readonly #context: GatewayContext
  /** From [0, 1). */
  readonly #random: () => number
  /** Who asked since the last answer. */
  readonly #askers = new Set<Route>()
  #radius = 0
  #advertiseAt: number
  #answerAt = Number.POSITIVE_INFINITY
  dueAt = 0
  place = -1

  constructor(link: Link, context: GatewayContext, random: () => number) {
    this.#link = link
    this.#context = context
    this.#random = random
    this.#advertiseAt = Number.POSITIVE_INFINITY
  }

  start(): void {
    if (this.#context.config.advertiseSeconds === 0) return
    this.#advertiseAt = this.#context.clock.monotonic()
    this.#plan()
  }

  stop(): void {
    this.#context.deadlines.remove(this)
  }

  /** SEARCHGW. On a serial port nobody else answers, and nobody else asks. */
  onSearch(route: Route, radius: number): void {
    // 0 is the largest: to all.
    const isFirst = this.#askers.size === 0
    if (isFirst) this.#radius = radius
    else this.#radius = radius === 0 || this.#radius === 0 ? 0 : Math.max(this.#radius, radius)
    if (this.#askers.size < ASKERS_MAX) this.#askers.add(route)
    if (!isFirst) return
    const { config, clock } = this.#context
    const wait = this.#link.kind === 'serial' ? 0 : Math.floor(this.#random() * config.gatewayInfoMs)
    this.#answerAt = clock.monotonic() + wait
    if (wait === 0) this.#answer()
    else this.#plan()
  }

  onDue(now: number): void {
    if (now >= this.#answerAt) this.#answer()
    if (now >= this.#advertiseAt) this.#advertise(now)
    this.#plan()
  }

  #plan(): void {
    this.#context.deadlines.noLaterThan(this, Math.min(this.#advertiseAt, this.#answerAt))
  }

  #advertise(now: number): void {
    const { id, advertiseSeconds } = this.#context.config
    this.#advertiseAt = now + advertiseSeconds * 1000
    const packet = encodePacket({ type: Type.advertise, gatewayId: id, duration: advertiseSeconds })
    if (this.#link.broadcast(packet, 0)) this.#context.counters.messagesSent++
  }

  /** To all that hear it (it is a broadcast by the specification), or where the link has no broadcast to those that asked. */
  #answer(): void {
    this.#answerAt = Number.POSITIVE_INFINITY
    const packet = { type: Type.gatewayInfo, gatewayId: this.#context.config.id, gatewayAddress: NOTHING }
    const isHeard = ![...this.#askers].some(({ nodeId }) => nodeId !== null)
    if (isHeard && this.#link.broadcast(encodePacket(packet), this.#radius))
      this.#context.counters.messagesSent++
    else for (const route of this.#askers) route.send(packet)
    this.#askers.clear()
  }
}
