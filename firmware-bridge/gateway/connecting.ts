/** From a CONNECT to its CONNACK: the will is asked for (MQTT-SN 1.2, section 6.2, figure 3), then the broker for a session. */
import { type Connect, type Packet, ReturnCode, Type } from '../packets/packet.ts'
import type { Will } from '../uplink/uplink.ts'
import { countReason } from './counters.ts'
import type { DevicePort } from './device-port.ts'
import type { DeviceState } from './device-state.ts'
import { TooManyJoinsError } from './joins.ts'
import { isTopicName } from './topic-names.ts'
import type { UplinkSide } from './uplink-side.ts'

/** For a session with the broker. The uplink has limits of its own below it; a device does not wait for ever if they fail. */
const JOIN_MS_MAX = 60_000

export interface ConnectingPort extends DevicePort {
  state: DeviceState
  /** With all that a new connection begins with. */
  begin(connect: Connect): void
  onJoined(connect: Connect): void
  /** @param how its session ends; null: it has none any more */
  leave(kind: 'disconnected' | 'lost', how: 'clean' | 'lost' | null): void
  plan(): void
}

export class Connecting {
  readonly #port: ConnectingPort
  readonly #uplink: UplinkSide

  constructor(port: ConnectingPort, uplink: UplinkSide) {
    this.#port = port
    this.#uplink = uplink
  }

  begin(connect: Connect): void {
    if (!connect.hasWill) {
      void this.#join(connect, undefined)
      return
    }
    this.#port.state = { kind: 'will-topic', connect, attempts: 0, retryAt: 0 }
    this.ask()
  }

  /** Sends the question that the device has not answered, again and again; in the end it is given up. */
  ask(): void {
    const port = this.#port
    const { state } = port
    if (state.kind !== 'will-topic' && state.kind !== 'will-message') return
    if (state.attempts > port.context.config.retries) {
      countReason(port.context.counters.refused, 'will')
      port.leave('lost', 'lost')
      return
    }
    if (state.attempts > 0) port.counters.retransmissionsMade++
    state.attempts++
    state.retryAt = port.context.clock.monotonic() + (port.route?.retryMs ?? 0)
    port.send({ type: state.kind === 'will-topic' ? Type.willTopicRequest : Type.willMessageRequest })
    port.plan()
  }

  /** WILLTOPIC and WILLMSG. @returns false: not what was asked for */
  receive(packet: Packet): boolean {
    const port = this.#port
    const { state } = port
    if (state.kind === 'will-topic' && packet.type === Type.willTopic) {
      const { connect } = state
      if (packet.will === null) void this.#join(connect, null)
      else if (!isTopicName(packet.will.topic)) {
        countReason(port.context.counters.refused, 'will')
        port.send({ type: Type.connack, returnCode: ReturnCode.notSupported })
        port.leave('disconnected', 'lost')
      } else {
        const topic = packet.will
        port.state = { kind: 'will-message', connect, topic, attempts: 0, retryAt: 0 }
        this.ask()
      }
      return true
    }
    if (state.kind === 'will-message' && packet.type === Type.willMessage) {
      const will = { ...state.topic, payload: Buffer.from(packet.message) }
      void this.#join(state.connect, will)
      return true
    }
    return false
  }

  /** @param will undefined: as it was */
  async #join(connect: Connect, will: Will | null | undefined): Promise<void> {
    const port = this.#port
    const { clock } = port.context
    const state: DeviceState = {
      kind: 'joining',
      connect,
      next: null,
      endsAt: clock.monotonic() + JOIN_MS_MAX,
    }
    port.state = state
    port.plan()
    try {
      const { isClean, duration } = connect
      const attach = { isClean, keepAliveSeconds: duration, will }
      await port.context.joins.run(() => this.#uplink.attach(attach))
      if (this.#uplink.session === null) throw new Error('the broker ended the session at once')
    } catch (error) {
      if (port.state === state) this.#refuse(error)
      return
    }
    // It has disconnected meanwhile, or was not to wait longer: its session is ended in its turn.
    if (port.state !== state) return
    if (state.next === null) port.onJoined(connect)
    else port.begin(state.next)
  }

  /** The broker has not answered for too long: the device is to come again. */
  giveUp(): void {
    this.#refuse(new Error(`the broker has not answered for ${JOIN_MS_MAX / 1000} s`), 'clean')
  }

  /** The broker does not take the device: for good, or not now. @param how what was asked for ends, if it is made after all */
  #refuse(error: unknown, how: 'clean' | null = null): void {
    const { context, clientId } = this.#port
    const isFinal = (error as { retryable?: unknown }).retryable === false
    const reason = (error as Error).message
    const isFlood = error instanceof TooManyJoinsError
    countReason(context.counters.refused, isFinal ? 'broker' : isFlood ? 'full' : 'broker-away')
    context.log.warn('no session', `device ${clientId} gets no session with the broker`, {
      reason,
    })
    const returnCode = isFinal ? ReturnCode.notSupported : ReturnCode.congestion
    this.#port.send({ type: Type.connack, returnCode })
    this.#port.leave('disconnected', how)
  }
}
