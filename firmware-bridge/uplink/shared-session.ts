/** `sessions: aggregated`: all devices on the bridge's own MQTT session. What MQTT does per session (subscriptions, wills) is done here per device. */
import { type BridgeError, BrokerUnreachableError } from '../errors.ts'
import type { BrokerSession } from './broker-session.ts'
import { ACCEPTED, CONGESTED } from './flight.ts'
import { MappedPublishing } from './mapped-publishing.ts'
import type { SessionOwner } from './session-parts.ts'
import { filterMatches } from './topic-match.ts'
import type {
  DeviceConnect,
  DeviceSession,
  DownMessage,
  PublishResult,
  QoS,
  UplinkMessage,
  Will,
} from './uplink.ts'
import { EntryState } from './window-format.ts'
import type { WindowStore } from './window-store.ts'

/** A device that does not answer holds back the messages of all others no longer than this; it gets its message all the same. */
const HOLD_MS_MAX = 10_000
/** Packet ids kept for devices that may still repeat what an earlier process sent; those beyond are let go. */
const RESERVED_MAX = 16_384

interface Shared {
  readonly session: BrokerSession
  readonly store: WindowStore
  readonly slots: number
  readonly broker: string
}

export class SharedSession implements Omit<SessionOwner, 'onEnded'> {
  readonly #shared: Shared
  readonly #devices = new Map<string, SharedDevice>()
  /** Also of devices that have gone, while something of theirs is on its way. */
  readonly #publishings = new Set<MappedPublishing>()

  constructor(shared: Shared) {
    this.#shared = shared
  }

  /** Before the first connection. */
  async restore(): Promise<void> {
    const { session, store } = this.#shared
    let reserved = 0
    for (const { packetId, state } of await store.unfinished()) {
      if (state === EntryState.sent && reserved++ < RESERVED_MAX) session.ids.reserve(packetId)
      else session.packets.owePubrel(packetId)
    }
  }

  /** @throws BrokerUnreachableError */
  async connect(connect: DeviceConnect): Promise<SharedDevice> {
    const { session, store, slots, broker } = this.#shared
    if (!session.isReady) throw new BrokerUnreachableError(broker, 'there is no connection now')
    const { clientId, isClean } = connect
    const before = [...this.#publishings].find((one) => !one.isObsolete && one.window.clientId === clientId)
    let publishing = before
    if (before === undefined || isClean) {
      before?.becomeObsolete()
      const window = await store.openWindow(clientId, isClean)
      publishing = new MappedPublishing({ session, window, store, slots })
      this.#publishings.add(publishing)
    }
    const device = new SharedDevice(connect, publishing!, session, this)
    this.#devices.set(clientId, device)
    return device
  }

  forget(device: SharedDevice): void {
    if (this.#devices.get(device.clientId) === device) this.#devices.delete(device.clientId)
    this.#sweep()
  }

  /** What nobody uses any more is closed once nothing of it is on its way. */
  #sweep(): void {
    for (const publishing of this.#publishings) {
      const { clientId } = publishing.window
      if (publishing.inFlight > 0 || this.#devices.get(clientId)?.publishing === publishing) continue
      this.#publishings.delete(publishing)
      if (!publishing.isObsolete) void this.#shared.store.closeWindow(publishing.window).catch(() => {})
    }
  }

  /** The broker forgets a filter once no device has it. */
  isWanted(filter: string): boolean {
    return [...this.#devices.values()].some((device) => device.filters.has(filter))
  }

  get inFlight(): number {
    let count = 0
    for (const publishing of this.#publishings) count += publishing.inFlight
    return count
  }

  async onReceived(packetId: number): Promise<void> {
    for (const publishing of this.#publishings) {
      if (publishing.owns(packetId)) return publishing.onReceived(packetId)
    }
  }

  /** Devices of one session wait for each other's ids, and for room among what the broker takes at once. */
  isHurried(): boolean {
    return true
  }

  onFinished(packetId: number, wasReleased: boolean, reasonCode: number): void {
    const { ids } = this.#shared.session
    let isOwned = false
    for (const publishing of this.#publishings) {
      if (!publishing.owns(packetId)) continue
      isOwned = true
      publishing.onFinished(packetId, wasReleased, reasonCode)
    }
    // of a message that was given up
    if (!isOwned) ids.unreserve(packetId)
    this.#sweep()
  }

  async onMessage(message: DownMessage): Promise<void> {
    const deliveries: Promise<void>[] = []
    for (const device of this.#devices.values()) {
      const qos = device.wants(message.topic)
      if (qos === null) continue
      const own = { ...message, qos: Math.min(qos, message.qos) as QoS }
      deliveries.push(device.listener.onMessage(own).catch(() => {}))
    }
    let limit: NodeJS.Timeout | undefined
    const held = new Promise<void>((resolve) => {
      limit = setTimeout(resolve, HOLD_MS_MAX)
    })
    await Promise.race([Promise.all(deliveries), held])
    clearTimeout(limit)
  }

  onDown(): void {
    for (const publishing of this.#publishings) publishing.onDown()
  }

  /** The broker ended the session of all. */
  endAll(reason: string): void {
    for (const device of [...this.#devices.values()]) {
      this.forget(device)
      device.listener.onEnded(reason)
    }
  }

  get devices(): number {
    return this.#devices.size
  }

  /** The bridge stops. */
  async leave(): Promise<void> {
    this.#devices.clear()
    for (const { window } of this.#publishings) await this.#shared.store.closeWindow(window).catch(() => {})
  }
}

class SharedDevice implements DeviceSession {
  readonly clientId: string
  readonly listener: DeviceConnect['listener']
  readonly publishing: MappedPublishing
  readonly filters = new Map<string, QoS>()
  /** Subscriptions are made anew by the device: no session of its own remembers them. */
  readonly isPresent = false
  readonly #session: BrokerSession
  readonly #owner: SharedSession
  #will: Will | null

  constructor(
    connect: DeviceConnect,
    publishing: MappedPublishing,
    session: BrokerSession,
    owner: SharedSession,
  ) {
    this.clientId = connect.clientId
    this.listener = connect.listener
    this.publishing = publishing
    this.#session = session
    this.#owner = owner
    this.#will = connect.will
  }

  async publish(message: UplinkMessage): Promise<PublishResult> {
    if (message.qos !== 0) return this.publishing.publish(message)
    return this.#session.publishAtMostOnce(message) ? ACCEPTED : CONGESTED
  }

  release(messageId: number): Promise<void> {
    return this.publishing.release(messageId)
  }

  /** @returns the QoS with which a message of this topic is wanted; null: not */
  wants(topic: string): QoS | null {
    let best: QoS | null = null
    for (const [filter, qos] of this.filters) {
      if ((best === null || qos > best) && filterMatches(filter, topic)) best = qos
    }
    return best
  }

  async subscribe(filter: string, qos: QoS): Promise<QoS | null> {
    // the broker shares between its clients, and the bridge is one: whose of the devices a message is it does not say
    if (filter.startsWith('$share/')) return null
    const before = this.filters.get(filter)
    // wanted from now on: another device that unsubscribes meanwhile is not to take it away
    this.filters.set(filter, qos)
    let granted: QoS | null = null
    try {
      // QoS 2 for all: what another device asked of the same filter is not to be lowered
      granted = await this.#session.subscribe(filter, 2)
    } finally {
      if (granted !== null) this.filters.set(filter, Math.min(qos, granted) as QoS)
      else if (before === undefined) this.filters.delete(filter)
      else this.filters.set(filter, before)
    }
    return granted === null ? null : (Math.min(qos, granted) as QoS)
  }

  async unsubscribe(filter: string): Promise<void> {
    this.filters.delete(filter)
    if (!this.#owner.isWanted(filter)) await this.#session.unsubscribe(filter)
  }

  async setWill(will: Will | null): Promise<void> {
    this.#will = will
  }

  async end(how: 'clean' | 'lost'): Promise<void> {
    const will = this.#will
    this.#will = null
    this.#owner.forget(this)
    if (how === 'lost' && will !== null) this.#session.publishOwn({ ...will, properties: {} }, will.qos)
    for (const filter of this.filters.keys()) {
      // the next one to subscribe finds what the broker still has
      if (!this.#owner.isWanted(filter)) await this.#session.unsubscribe(filter).catch((_: BridgeError) => {})
    }
  }
}
