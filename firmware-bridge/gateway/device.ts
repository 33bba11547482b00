/** One device: the packets that come from it, the states that it goes through, its timers. Its parts do what is theirs. */
import { unreachable } from '../../broker/assert.ts'
import { encodeAnswer } from '../packets/encoder.ts'
import { type Connect, type Packet, ReturnCode, Type } from '../packets/packet.ts'
import type { DeviceSession, DownMessage } from '../uplink/uplink.ts'
import { Connecting, type ConnectingPort } from './connecting.ts'
import type { GatewayContext } from './context.ts'
import { newDeviceCounters, RateMeter } from './counters.ts'
import type { Due } from './deadlines.ts'
import type { DownlinkPort } from './device-port.ts'
import type { DeviceState, DeviceStatus } from './device-state.ts'
import { Downlink } from './downlink.ts'
import { Publishing } from './publishing.ts'
import type { Route } from './route.ts'
import { Subscribing } from './subscribing.ts'
import { TopicRegistry } from './topic-registry.ts'
import { type UplinkOwner, UplinkSide } from './uplink-side.ts'
import { updateWill } from './will-update.ts'

/** A device is given up for lost when it is silent for so much longer than its keep alive. MQTT 3.1.1, section 3.1.2.10. */
const KEEP_ALIVE_FACTOR = 1.5
/** MQTT-SN 1.2, section 7.2: the tolerance of a sleep is half of it up to a minute, a tenth above. */
const SHORT_SLEEP_MS = 60_000
const NEVER = Number.POSITIVE_INFINITY

export class Device implements DownlinkPort, ConnectingPort, UplinkOwner, Due {
  readonly clientId: string
  readonly context: GatewayContext
  readonly counters = newDeviceCounters()
  readonly topics: TopicRegistry
  readonly rate = new RateMeter()
  readonly #uplink: UplinkSide
  readonly #downlink: Downlink
  readonly #publishing: Publishing
  readonly #subscribing: Subscribing
  readonly #connecting: Connecting
  /** Called when the device leaves its route. */
  readonly #onLeave: (route: Route) => void
  route: Route | null = null
  #lastRoute: Route
  state: DeviceState = { kind: 'disconnected' }
  /** Of the present connection; what came after it was heard: a CONNECT that comes again before is the same. */
  #connect: Connect | null = null
  #isConnectAlone = false
  #keepAliveMs = 0
  #sleepMs = 0
  #heardAt = 0
  #seenAt = 0
  /** The link said that the device cannot be reached: until it is heard. */
  #isUnreachable = false
  dueAt = 0
  place = -1

  constructor(clientId: string, route: Route, context: GatewayContext, onLeave: (route: Route) => void) {
    this.clientId = clientId
    this.context = context
    this.#lastRoute = route
    this.#onLeave = onLeave
    this.topics = new TopicRegistry(context.config.topicsPerDeviceMax)
    this.#uplink = new UplinkSide(this)
    this.#downlink = new Downlink(this)
    this.#publishing = new Publishing(this)
    this.#subscribing = new Subscribing(this, this.#downlink)
    this.#connecting = new Connecting(this, this.#uplink)
  }

  get session(): DeviceSession | null {
    return this.#uplink.session
  }

  get isGone(): boolean {
    return this.state.kind === 'disconnected' || this.state.kind === 'lost'
  }

  /** It has said CONNECT, then or before, and nothing since. */
  isMuteSince(monotonic: number): boolean {
    return this.state.kind === 'active' && this.#isConnectAlone && this.#heardAt <= monotonic
  }

  get isSleeping(): boolean {
    return this.state.kind === 'asleep' || this.state.kind === 'awake'
  }

  get isReceiving(): boolean {
    const { kind } = this.state
    return (kind === 'active' || kind === 'awake') && this.route !== null && !this.#isUnreachable
  }

  get isSated(): boolean {
    const { sleepingMessagesMax } = this.context.config
    return this.state.kind === 'awake' && this.#downlink.deliveredAwake >= sleepingMessagesMax
  }

  send(packet: Packet): boolean {
    if (this.route === null) return false
    this.counters.sent++
    return this.route.send(packet)
  }

  puback(topicId: number, messageId: number, returnCode: ReturnCode): void {
    if (this.route === null) return
    this.counters.sent++
    this.route.sendBytes(encodeAnswer(Type.puback, topicId, messageId, returnCode))
  }

  /** It is reached over another route from now on; the one before is free. */
  moveTo(route: Route): void {
    const before = this.route
    if (before === route) return
    if (before !== null) {
      before.device = null
      this.#onLeave(before)
      this.counters.moves++
    }
    this.route = route
    this.#lastRoute = route
    route.device = this
  }

  /** Any packet of its peer, also one that is not looked at. */
  heard(): void {
    this.#heardAt = this.context.clock.monotonic()
    this.#seenAt = this.context.clock.now()
    this.counters.received++
    this.rate.mark(this.#heardAt)
  }

  /** CONNECT. The device is on its route already. */
  onConnect(connect: Connect): void {
    this.#isUnreachable = false
    this.heard()
    const state = this.state
    if (state.kind === 'joining') {
      if (!isSameConnect(state.connect, connect)) state.next = connect
      return
    }
    const isRepeated = this.#isConnectAlone && this.#connect !== null && isSameConnect(this.#connect, connect)
    if (state.kind === 'active' && isRepeated) {
      this.#newConnection(false)
      this.send({ type: Type.connack, returnCode: ReturnCode.accepted })
      this.#downlink.resume()
      return
    }
    this.begin(connect)
  }

  /** Everything but CONNECT. @returns false: it is of no use in this state */
  receive(packet: Packet): boolean {
    const wasUnreachable = this.#isUnreachable
    this.#isUnreachable = false
    this.heard()
    this.#isConnectAlone = false
    const isUsed = this.#receive(packet)
    if (!this.isGone && wasUnreachable) this.#downlink.resume()
    else if (!this.isGone) this.#downlink.onHeard()
    return isUsed
  }

  #receive(packet: Packet): boolean {
    if (packet.type === Type.disconnect) {
      this.#onDisconnect(packet.duration)
      return true
    }
    const { kind } = this.state
    if (kind === 'will-topic' || kind === 'will-message') return this.#connecting.receive(packet)
    if (kind === 'joining' || this.isGone) return false
    switch (packet.type) {
      case Type.publish:
        this.#publishing.receive(packet)
        return true
      case Type.puback:
        return this.#downlink.onPuback(packet)
      case Type.regack:
        return this.#downlink.onRegack(packet)
      case Type.pubrec:
      case Type.pubcomp:
        return this.#downlink.onProgress(packet)
      case Type.pubrel:
        this.#publishing.release(packet.messageId)
        return true
      case Type.pingRequest:
        this.#onPing()
        return true
      case Type.register:
        this.#subscribing.register(packet)
        return true
      case Type.subscribe:
        this.#subscribing.subscribe(packet)
        return true
      case Type.unsubscribe:
        this.#subscribing.unsubscribe(packet)
        return true
      default:
        return updateWill(packet, this, this.#uplink)
    }
  }

  /** Another device uses its peer, or its client id from elsewhere: it has vanished. */
  giveUp(): void {
    if (!this.isGone) this.leave('lost', 'lost')
  }

  /** Its port was unplugged, its link is down. */
  onUnreachable(): void {
    this.#isUnreachable = true
    // No silence would tell.
    if (!this.isGone && this.#keepAliveMs === 0 && !this.isSleeping) this.leave('lost', 'lost')
  }

  /** The gateway stops: the device is told, so that it connects anew as soon as there is one. */
  stop(): void {
    if (this.state.kind === 'active') this.send({ type: Type.disconnect, duration: null })
    this.context.deadlines.remove(this)
    if (this.route !== null) this.route.device = null
    this.route = null
  }

  onMessage(message: DownMessage): Promise<void> {
    return this.#downlink.offer(message)
  }

  onSessionOver(reason: string): void {
    this.#downlink.fail(new Error(`device ${this.clientId}: ${reason}`))
  }

  onEndedByBroker(reason: string): void {
    const line = `the broker ended the session of device ${this.clientId}: it is disconnected`
    this.context.log.warn('ended', line, { reason })
    // While it joins, the failure of that is the answer.
    if (this.isGone || this.state.kind === 'joining') return
    this.send({ type: Type.disconnect, duration: null })
    this.leave('disconnected', null)
  }

  /** Nothing is left for the device: one that woke for it may sleep again. */
  onIdle(): void {
    const state = this.state
    if (state.kind !== 'awake') return
    if (this.#downlink.isPaused) {
      this.state = { kind: 'asleep' }
      return
    }
    const { awakeMs } = this.context.config
    const mayBeMore = this.#downlink.acknowledgedAwake > 0 && awakeMs > 0 && !this.isSated
    if (mayBeMore) {
      this.#downlink.acknowledgedAwake = 0
      state.restsAt = this.context.clock.monotonic() + awakeMs
      this.plan()
    } else if (state.restsAt === NEVER) this.#rest()
  }

  plan(): void {
    this.context.deadlines.noLaterThan(this, this.#nextDueAt())
  }

  onDue(now: number): void {
    const state = this.state
    if (now >= this.#silenceEndsAt()) {
      const line = `device ${this.clientId} is lost: it was silent for longer than its ${this.isSleeping ? 'sleep' : 'keep alive'}`
      this.context.log.warn(`lost ${this.#lastRoute.link.name}`, line, { on: this.#lastRoute.name })
      this.leave('lost', 'lost')
      return
    }
    if ((state.kind === 'will-topic' || state.kind === 'will-message') && now >= state.retryAt)
      this.#connecting.ask()
    else if (state.kind === 'joining' && now >= state.endsAt) this.#connecting.giveUp()
    else if (state.kind === 'awake' && now >= state.restsAt) this.#rest()
    else this.#downlink.onDue(now)
    this.plan()
  }

  get status(): DeviceStatus {
    const { counters } = this
    return {
      clientId: this.clientId,
      state: this.state.kind,
      link: this.#lastRoute.link.name,
      peer: this.#lastRoute.peerName,
      lastSeenAt: this.#seenAt,
      perSecond: this.rate.perSecond(this.context.clock.monotonic()),
      ...counters,
      dropped: Object.fromEntries(counters.dropped),
      undelivered: Object.fromEntries(counters.undelivered),
      roundTripMs: this.#downlink.roundTrip.ms,
      queue: this.#downlink.length,
      topics: this.topics.size,
      clockOffsetMs: this.#publishing.clockOffsetMs,
    }
  }

  #newConnection(isClean: boolean): void {
    this.#publishing.reset()
    this.#subscribing.reset()
    this.#downlink.restart()
    if (isClean) this.topics.clear()
    else this.topics.forgetKnown()
  }

  begin(connect: Connect): void {
    this.#newConnection(connect.isClean)
    this.#keepAliveMs = connect.duration * 1000
    this.#connecting.begin(connect)
  }

  onJoined(connect: Connect): void {
    this.state = { kind: 'active' }
    this.#connect = connect
    this.#isConnectAlone = true
    this.counters.connects++
    this.#heardAt = this.context.clock.monotonic()
    this.send({ type: Type.connack, returnCode: ReturnCode.accepted })
    this.#downlink.resume()
  }

  #onDisconnect(duration: number | null): void {
    this.send({ type: Type.disconnect, duration: null })
    const { kind } = this.state
    if (this.isGone) return
    const mayRest = kind === 'active' || kind === 'asleep' || kind === 'awake'
    if (duration === null || duration === 0 || !mayRest) {
      this.leave('disconnected', 'clean')
      return
    }
    this.#sleepMs = duration * 1000
    this.state = { kind: 'asleep' }
    this.plan()
  }

  /** Of a device that sleeps it asks for messages, also without its client id: Eclipse Paho's client sends it so. */
  #onPing(): void {
    if (this.state.kind === 'active') {
      this.send({ type: Type.pingResponse })
      return
    }
    // One that is awake did not get what was sent, or its PINGRESP.
    this.state = { kind: 'awake', restsAt: NEVER }
    this.#downlink.deliveredAwake = 0
    this.#downlink.acknowledgedAwake = 0
    this.#downlink.resume()
  }

  #rest(): void {
    this.state = { kind: 'asleep' }
    this.send({ type: Type.pingResponse })
  }

  /** @param how its session ends; null: it has none any more */
  leave(kind: 'disconnected' | 'lost', how: 'clean' | 'lost' | null): void {
    this.state = { kind }
    this.#connect = null
    this.#publishing.reset()
    this.#subscribing.reset()
    this.context.deadlines.remove(this)
    const { route } = this
    this.route = null
    if (route !== null) {
      route.device = null
      this.#onLeave(route)
    }
    if (how !== null) void this.#uplink.end(how)
  }

  #silenceEndsAt(): number {
    switch (this.state.kind) {
      case 'active':
        return this.#keepAliveMs === 0 ? NEVER : this.#heardAt + this.#keepAliveMs * KEEP_ALIVE_FACTOR
      case 'asleep':
      case 'awake':
        return this.#heardAt + this.#sleepMs + this.#sleepMs / (this.#sleepMs > SHORT_SLEEP_MS ? 10 : 2)
      default:
        return NEVER
    }
  }

  #nextDueAt(): number {
    const state = this.state
    const silence = this.#silenceEndsAt()
    switch (state.kind) {
      case 'will-topic':
      case 'will-message':
        return state.retryAt
      case 'awake':
        return Math.min(silence, state.restsAt, this.#downlink.dueAt)
      case 'active':
      case 'asleep':
        return Math.min(silence, this.#downlink.dueAt)
      case 'joining':
        return state.endsAt
      case 'disconnected':
      case 'lost':
        return NEVER
      default:
        return unreachable(state)
    }
  }
}

function isSameConnect(one: Connect, other: Connect): boolean {
  return one.hasWill === other.hasWill && one.isClean === other.isClean && one.duration === other.duration
}
