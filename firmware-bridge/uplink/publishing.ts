/**
 * Exactly once from the device's view, for one device: what it publishes with QoS 1 or 2 is in the window, on its way, or new. The broker
 * gets it as QoS 2. Before PUBREL leaves, and before the device is told, the message is in the window on disk. The table of crashes:
 * DESIGN.md.
 */
import { SessionEndedError } from '../errors.ts'
import type { BrokerSession } from './broker-session.ts'
import { type ClientWindow, digestOf, type WindowEntry } from './client-window.ts'
import { ACCEPTED, answer, CONGESTED, type Flight, REPEATED, refusal, waitFor } from './flight.ts'
import type { PublishResult, UplinkMessage } from './uplink.ts'
import { EntryState } from './window-format.ts'
import type { WindowStore } from './window-store.ts'

export class Publishing {
  readonly #session: BrokerSession
  readonly #window: ClientWindow
  readonly #store: WindowStore
  readonly #slots: number
  /** The session began with the device's epoch: what it has not sent itself, nobody has. */
  readonly #isWholeEpoch: boolean
  readonly #flights = new Map<number, Flight>()
  /** Of messages that the device has released before the broker did. */
  readonly #completions = new Map<number, () => void>()

  constructor(parts: {
    session: BrokerSession
    window: ClientWindow
    store: WindowStore
    slots: number
    isWholeEpoch: boolean
  }) {
    this.#session = parts.session
    this.#window = parts.window
    this.#store = parts.store
    this.#slots = parts.slots
    this.#isWholeEpoch = parts.isWholeEpoch
  }

  /** Before the first connection: an earlier process may have ended between the window and PUBREL. */
  owePubrels(): void {
    for (const { isCompleted, packetId } of this.#window.entries()) {
      if (!isCompleted) this.#session.packets.owePubrel(packetId)
    }
  }

  /** A message with QoS 1 or 2. */
  async publish(message: UplinkMessage): Promise<PublishResult> {
    const { messageId, isDup } = message
    const digest = digestOf(message.topic, message.payload)
    const flight = this.#flights.get(messageId)
    // an id is one message's until it is answered
    if (flight !== undefined) return waitFor(flight, digest)
    const known = this.#window.find(messageId)
    if (known !== undefined && isDup && known.digest === digest) {
      return known.written.then(
        () => REPEATED,
        () => CONGESTED,
      )
    }
    // PUBCOMP is on its way: until then the packet id is the message's before
    if (known !== undefined && !known.isCompleted) return CONGESTED
    if (this.#flights.size + this.#window.uncompleted >= this.#slots) return CONGESTED
    // what a device repeats may have been sent by an earlier process, except in an epoch that began in this session
    if (!this.#session.publish(messageId, message, isDup && !this.#isWholeEpoch)) return CONGESTED
    const sent: Flight = { messageId, digest, waiters: [] }
    this.#flights.set(messageId, sent)
    return waitFor(sent, digest)
  }

  /** PUBREC. Resolves when the window has it on disk. */
  async onReceived(packetId: number): Promise<void> {
    const flight = this.#flights.get(packetId)
    // PUBREC came twice, or answers what was sent again
    if (flight === undefined) return this.#window.find(packetId)?.written
    await this.#accept(flight)
  }

  async #accept(flight: Flight): Promise<WindowEntry> {
    const { messageId, digest } = flight
    const entry = this.#window.place({ messageId, packetId: messageId, digest, state: EntryState.received })
    if (entry === null) throw new Error('the window is full')
    entry.written = this.#store.write([this.#window.change(entry)])
    entry.written.catch(() => this.#window.remove(entry))
    await entry.written
    this.#flights.delete(messageId)
    answer(flight, ACCEPTED)
    return entry
  }

  /** @param wasReleased PUBREL had left: this is PUBCOMP, whatever it says. Else PUBACK, or the broker refuses the message */
  onFinished(packetId: number, wasReleased: boolean, reasonCode: number): void {
    const flight = this.#flights.get(packetId)
    if (wasReleased || flight === undefined) {
      const entry = this.#window.find(packetId)
      if (entry !== undefined) entry.isCompleted = true
      this.#completions.get(packetId)?.()
      return
    }
    if (reasonCode < 0x80) {
      // a broker without QoS 2: what it acknowledged is remembered all the same
      this.#accept(flight).then(
        (entry) => {
          entry.isCompleted = true
        },
        () => this.#giveUp(flight, CONGESTED),
      )
      return
    }
    this.#giveUp(flight, refusal(reasonCode))
  }

  #giveUp(flight: Flight, result: PublishResult): void {
    this.#flights.delete(flight.messageId)
    answer(flight, result)
  }

  /** The device repeats; what is on its way is sent again by itself and may be in the window by then. */
  onDown(): void {
    for (const flight of this.#flights.values()) answer(flight, CONGESTED)
    for (const goOn of this.#completions.values()) goOn()
  }

  /** PUBREL of the device: the next message of this id is another one. Resolves when that is on disk. */
  async release(messageId: number): Promise<void> {
    const entry = this.#window.find(messageId)
    if (entry === undefined) return
    // released here and not there, another message of this id and these bytes would be a repetition to the broker after a crash
    if (!entry.isCompleted) await new Promise<void>((resolve) => this.#completions.set(messageId, resolve))
    this.#completions.delete(messageId)
    if (!entry.isCompleted) throw new SessionEndedError(this.#window.clientId, 'the broker is away')
    await this.#store.write([this.#window.remove(entry)])
  }

  /** Messages on their way, and in the window without PUBCOMP. */
  get inFlight(): number {
    return this.#flights.size + this.#window.uncompleted
  }
}
