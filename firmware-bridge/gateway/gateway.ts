/**
 * The MQTT-SN gateway: links below, the uplink above, a device's state machine for each client id between. It decides who a packet is
 * from; the rest is the device's.
 */
import { LimitedLog } from '../../broker/limited-log.ts'
import type { LogSink } from '../../broker/log-sink.ts'
import type { Clock } from '../clock.ts'
import type { Malformed } from '../packets/decoder.ts'
import {
  type Connect,
  type Packet,
  type PingRequest,
  PROTOCOL_ID,
  ReturnCode,
  Type,
} from '../packets/packet.ts'
import type { Uplink } from '../uplink/uplink.ts'
import type { BodyMapper } from './bodies.ts'
import { AllowedClients, clientIdFault } from './client-id.ts'
import type { GatewayConfig, TopicsConfig } from './config.ts'
import type { GatewayContext } from './context.ts'
import { countReason, type GatewayCounters, newGatewayCounters } from './counters.ts'
import { Deadlines } from './deadlines.ts'
import { Device } from './device.ts'
import type { DeviceStatus } from './device-state.ts'
import { Discovery } from './discovery.ts'
import { refuseFlood } from './flood.ts'
import { Joins } from './joins.ts'
import { type GatewayLink, LinkPort, type PacketSink } from './link-port.ts'
import { PredefinedTopics } from './predefined-topics.ts'
import type { Route } from './route.ts'
import { Priorities } from './topic-names.ts'
import { UnconnectedPublishing } from './unconnected-publishing.ts'

export interface GatewayParts {
  readonly links: readonly GatewayLink[]
  readonly uplink: Uplink
  readonly config: GatewayConfig
  readonly topics: TopicsConfig
  /** Patterns of client ids. */
  readonly allow: readonly string[]
  /** Client ids of the bridge's own sessions: a device that had one would end them, and publish in their name. */
  readonly reserved: ReadonlySet<string>
  readonly bodies: BodyMapper
  readonly clock: Clock
  /** Whether the clock's Unix time can be believed. */
  readonly isClockTrusted: () => boolean
  readonly log: LogSink
  /** From [0, 1). */
  readonly random: () => number
}

/** A device that says nothing for so long after its CONNECT may have to make room. */
const MUTE_MS_MIN = 10_000

/** Of a client id that is refused, in the log. */
const SHOWN_CHARACTERS_MAX = 80

type Handed = Parameters<PacketSink['onPacket']>[1]

export class Gateway implements PacketSink {
  readonly counters: GatewayCounters = newGatewayCounters()
  readonly #context: GatewayContext
  readonly #allowed: AllowedClients
  readonly #reserved: ReadonlySet<string>
  readonly #unconnected: UnconnectedPublishing
  readonly #ports: ReadonlyMap<object, { readonly port: LinkPort; readonly discovery: Discovery }>
  readonly #devices = new Map<string, Device>()
  #isStopped = false

  constructor(parts: GatewayParts) {
    const { config, clock, uplink, bodies, isClockTrusted } = parts
    this.#context = {
      config,
      clock,
      uplink,
      bodies,
      isClockTrusted,
      deadlines: new Deadlines(clock),
      log: new LimitedLog(parts.log, () => clock.monotonic()),
      counters: this.counters,
      joins: new Joins(config.devicesMax),
      predefined: new PredefinedTopics(parts.topics.predefined),
      priorities: new Priorities(parts.topics.priority),
    }
    this.#allowed = new AllowedClients(parts.allow)
    this.#reserved = parts.reserved
    const takesUnconnected = config.unconnectedPublish ?? this.#allowed.allowsAll
    this.#unconnected = new UnconnectedPublishing(this.#context, takesUnconnected)
    this.#ports = new Map(
      parts.links.map((link) => {
        const port = new LinkPort(link, this.#context, this)
        return [link.link, { port, discovery: new Discovery(link.link, this.#context, parts.random) }]
      }),
    )
  }

  /** @throws BridgeError of a link that can never work */
  async start(): Promise<void> {
    for (const [, { port, discovery }] of this.#ports) {
      await port.link.open(port)
      discovery.start()
    }
  }

  /** Devices are told, and links closed. What is under way to the broker is the uplink's. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const device of this.#devices.values()) device.stop()
    this.#context.deadlines.close()
    await Promise.all([...this.#ports.values()].map(({ port }) => port.link.close()))
  }

  *devices(): Iterable<DeviceStatus> {
    for (const device of this.#devices.values()) yield device.status
  }

  /** Peers that are remembered, connected or not. */
  get routes(): number {
    let routes = 0
    for (const { port } of this.#ports.values()) routes += port.routes
    return routes
  }

  onMalformed(route: Route, { reason }: Malformed): void {
    countReason(this.counters.malformed, reason)
    this.#context.log.warn(`malformed ${route.link.name}`, `what comes from ${route.name} is not MQTT-SN`, {
      reason,
    })
  }

  onPacket(route: Route, packet: Handed): void {
    if (this.#isStopped) return
    if (!route.rate.take(this.#context.clock.monotonic())) {
      this.#onFlood(route, packet)
      return
    }
    const { device } = route
    switch (packet.type) {
      case Type.connect:
        this.#onConnect(route, packet)
        return
      case Type.pingRequest:
        if (packet.clientId !== '' && packet.clientId !== device?.clientId) this.#onWaking(route, packet)
        else this.#hand(route, packet)
        return
      case Type.searchGateway:
        this.#ports.get(route.link)!.discovery.onSearch(route, packet.radius)
        return
      case Type.publish:
        if (device === null && packet.qos === -1) this.#unconnected.receive(route, packet)
        else this.#hand(route, packet)
        return
      default:
        this.#hand(route, packet)
    }
  }

  #hand(route: Route, packet: Packet): void {
    if (route.device !== null) {
      if (!route.device.receive(packet)) this.counters.unexpected++
      return
    }
    if (!isFromDevice(packet)) {
      this.counters.unexpected++
      return
    }
    // It believes that it is connected (the gateway was started again, or took it for lost): it is to connect anew.
    this.#tellToConnect(route)
  }

  /** Once in `retryMs`: a peer that sends back what it hears would be answered for ever. */
  #tellToConnect(route: Route): void {
    this.counters.notConnected++
    const now = this.#context.clock.monotonic()
    if (now - route.toldAt < route.retryMs) return
    route.toldAt = now
    route.send({ type: Type.disconnect, duration: null })
  }

  #onConnect(route: Route, packet: Connect): void {
    const { clientId } = packet
    const refusal = this.#refusal(packet)
    if (refusal !== null) {
      this.#refuse(route, clientId, refusal[0], refusal[1], ReturnCode.notSupported)
      return
    }
    let device = this.#devices.get(clientId)
    if (device !== undefined && device.route !== null && device.route !== route && !device.isSleeping) {
      this.counters.collisions++
      const { onCollision } = this.#context.config
      const line = `two peers connect as ${clientId}: ${device.route.name}, now ${route.name}`
      this.#context.log.warn(`collision ${route.link.name}`, line, { onCollision })
      if (onCollision === 'refuse') {
        this.#refuse(route, clientId, 'collision', 'its client id is in use', ReturnCode.congestion)
        return
      }
      device.route.send({ type: Type.disconnect, duration: null })
    }
    device ??= this.#newDevice(clientId, route)
    if (device === undefined) {
      this.#refuse(route, clientId, 'full', 'there are devicesMax others', ReturnCode.congestion)
      return
    }
    if (route.device !== null && route.device !== device) route.device.giveUp()
    this.#move(device, route)
    device.onConnect(packet)
  }

  /** PINGREQ of a client id that this peer has not connected as: a sleeping device whose address has changed. */
  #onWaking(route: Route, packet: PingRequest): void {
    const device = this.#devices.get(packet.clientId)
    if (device === undefined || !device.isSleeping) {
      this.#tellToConnect(route)
      return
    }
    if (route.device !== null) route.device.giveUp()
    this.#move(device, route)
    device.receive(packet)
  }

  #move(device: Device, route: Route): void {
    if (device.route === route) return
    device.moveTo(route)
    this.#ports.get(route.link)!.port.onJoin(route)
  }

  #newDevice(clientId: string, route: Route): Device | undefined {
    if (this.#devices.size >= this.#context.config.devicesMax && !this.#forgetOne()) return undefined
    const device = new Device(clientId, route, this.#context, (left) => {
      this.#ports.get(left.link)!.port.onLeave(left)
    })
    this.#devices.set(clientId, device)
    return device
  }

  /** The one that is gone and came first; else the first that has said CONNECT and nothing since, as who makes up client ids does. */
  #forgetOne(): boolean {
    const then = this.#context.clock.monotonic() - MUTE_MS_MIN
    const device = this.#first(({ isGone }) => isGone) ?? this.#first((each) => each.isMuteSince(then))
    device?.giveUp()
    return device !== undefined && this.#devices.delete(device.clientId)
  }

  #first(isSought: (device: Device) => boolean): Device | undefined {
    for (const device of this.#devices.values()) if (isSought(device)) return device
    return undefined
  }

  #refusal({ clientId, protocolId }: Connect): [reason: string, line: string] | null {
    if (protocolId !== PROTOCOL_ID) return ['protocol', `its protocol id is ${protocolId}`]
    const fault = clientIdFault(clientId, this.#context.config.clientIdCharactersMax)
    if (fault !== null) return ['client-id', fault]
    if (this.#reserved.has(clientId)) return ['not-allowed', 'it is one of the bridge’s own']
    return this.#allowed.has(clientId) ? null : ['not-allowed', 'it is not among devices.allow']
  }

  #refuse(route: Route, clientId: string, reason: string, line: string, returnCode: ReturnCode): void {
    countReason(this.counters.refused, reason)
    const name = JSON.stringify(clientId.slice(0, SHOWN_CHARACTERS_MAX))
    this.#context.log.warn(
      `refused ${reason} ${route.link.name}`,
      `client id ${name} may not connect: ${line}`,
      {
        from: route.name,
      },
    )
    route.send({ type: Type.connack, returnCode })
  }

  #onFlood(route: Route, packet: Packet): void {
    this.counters.flooded++
    route.device?.heard()
    const line = `${route.name} sends more than messagesPerSecondMax: what is above is refused`
    this.#context.log.warn(`flood ${route.link.name}`, line, {})
    refuseFlood(route, packet)
  }
}

/** What a device sends, and a gateway does not, except DISCONNECT. */
function isFromDevice(packet: Packet): boolean {
  switch (packet.type) {
    case Type.publish:
    case Type.register:
    case Type.subscribe:
    case Type.unsubscribe:
    case Type.pingRequest:
    case Type.disconnect:
    case Type.willTopicUpdate:
    case Type.willMessageUpdate:
    case Type.pubrel:
      return true
    default:
      return false
  }
}
