/** `sessions: device`: a device with an MQTT session of its own. */
import { BrokerSession } from './broker-session.ts'
import type { ClientWindow } from './client-window.ts'
import { ACCEPTED, CONGESTED } from './flight.ts'
import { Publishing } from './publishing.ts'
import type { SessionOwner, SessionParts } from './session-parts.ts'
import type {
  DeviceConnect,
  DeviceSession,
  DownMessage,
  PublishResult,
  QoS,
  UplinkMessage,
  Will,
} from './uplink.ts'
import type { WindowStore } from './window-store.ts'

export interface OwnSessionParts {
  readonly session: SessionParts
  readonly store: WindowStore
  readonly slots: number
  readonly clientId: string
  onEnd(session: OwnSession): void
  onGivenUp(): void
}

export class OwnSession implements DeviceSession, SessionOwner {
  readonly #connect: DeviceConnect
  readonly #parts: OwnSessionParts
  readonly #window: ClientWindow
  readonly #session: BrokerSession
  readonly #publishing: Publishing
  #closing: Promise<void> | null = null

  private constructor(connect: DeviceConnect, window: ClientWindow, parts: OwnSessionParts) {
    this.#connect = connect
    this.#parts = parts
    this.#window = window
    this.#session = new BrokerSession(parts.clientId, connect.will, this, parts.session)
    const { store, slots } = parts
    const isWholeEpoch = connect.isClean
    this.#publishing = new Publishing({ session: this.#session, window, store, slots, isWholeEpoch })
    this.#publishing.owePubrels()
  }

  static async open(connect: DeviceConnect, parts: OwnSessionParts): Promise<OwnSession> {
    const window = await parts.store.openWindow(connect.clientId, connect.isClean)
    const session = new OwnSession(connect, window, parts)
    try {
      await session.#session.open(connect.isClean)
    } catch (error) {
      await parts.store.closeWindow(window)
      throw error
    }
    return session
  }

  get isPresent(): boolean {
    return this.#session.isPresent
  }

  get inFlight(): number {
    return this.#publishing.inFlight
  }

  async publish(message: UplinkMessage): Promise<PublishResult> {
    if (message.qos !== 0) return this.#publishing.publish(message)
    return this.#session.publishAtMostOnce(message) ? ACCEPTED : CONGESTED
  }

  release(messageId: number): Promise<void> {
    return this.#publishing.release(messageId)
  }

  subscribe(filter: string, qos: QoS): Promise<QoS | null> {
    return this.#session.subscribe(filter, qos)
  }

  unsubscribe(filter: string): Promise<void> {
    return this.#session.unsubscribe(filter)
  }

  setWill(will: Will | null): Promise<void> {
    return this.#session.setWill(will)
  }

  end(how: 'clean' | 'lost'): Promise<void> {
    return this.#end(how, this.#connect.isClean && how === 'clean')
  }

  /** The bridge stops; the device does not. */
  leave(): Promise<void> {
    return this.#end('clean', false)
  }

  async #end(how: 'clean' | 'lost', isForgotten: boolean): Promise<void> {
    await this.#session.end(how, isForgotten)
    await this.#closed()
  }

  /** Another session of the client begins when this has ended: it reads what is written here. */
  #closed(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const isSettled = await this.#publishing.isSettled()
    await this.#parts.store.closeWindow(this.#window, isSettled).catch(() => {})
    this.#parts.onEnd(this)
  }

  // -- what the session tells --

  onReceived(packetId: number): Promise<void> {
    return this.#publishing.onReceived(packetId)
  }

  isHurried(packetId: number): boolean {
    return this.#publishing.isHurried(packetId)
  }

  onFinished(packetId: number, wasReleased: boolean, reasonCode: number): void {
    this.#publishing.onFinished(packetId, wasReleased, reasonCode)
  }

  onMessage(message: DownMessage): Promise<void> {
    return this.#connect.listener.onMessage(message)
  }

  onDown(): void {
    this.#publishing.onDown()
  }

  onGivenUp(): void {
    this.#parts.onGivenUp()
  }

  onEnded(reason: string): void {
    void this.#closed()
    this.#connect.listener.onEnded(reason)
  }
}
