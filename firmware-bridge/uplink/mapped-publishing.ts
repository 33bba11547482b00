/**
 * Exactly once for a device that shares the bridge's one session (`sessions: aggregated`). Packet ids are the session's: which one stands
 * for which message of which device is on disk before PUBLISH leaves, so that a repetition after a crash goes under the same one.
 */
import type { BrokerSession } from './broker-session.ts'
import { type ClientWindow, digestOf, type WindowEntry } from './client-window.ts'
import { ACCEPTED, answer, CONGESTED, type Flight, GivenUp, REPEATED, refusal, waitFor } from './flight.ts'
import { GIVEN_UP } from './reason-codes.ts'
import type { PublishResult, UplinkMessage } from './uplink.ts'
import { EntryState } from './window-format.ts'
import type { WindowStore } from './window-store.ts'

interface MappedFlight extends Flight {
  readonly entry: WindowEntry
}

export class MappedPublishing {
  readonly #session: BrokerSession
  readonly #window: ClientWindow
  readonly #store: WindowStore
  readonly #slots: number
  readonly #byMessage = new Map<number, MappedFlight>()
  readonly #byPacket = new Map<number, MappedFlight>()
  readonly #givenUp = new GivenUp()
  /** The device began anew while these were on their way: the window on disk is not theirs any more. */
  #isObsolete = false

  constructor(parts: { session: BrokerSession; window: ClientWindow; store: WindowStore; slots: number }) {
    this.#session = parts.session
    this.#window = parts.window
    this.#store = parts.store
    this.#slots = parts.slots
    // what was received before this process is released for all devices when the shared session opens
    for (const entry of parts.window.entries()) {
      if (entry.state === EntryState.received) entry.isCompleted = true
    }
  }

  get window(): ClientWindow {
    return this.#window
  }

  get isObsolete(): boolean {
    return this.#isObsolete
  }

  get inFlight(): number {
    return this.#byPacket.size
  }

  /** A message with QoS 1 or 2. */
  async publish(message: UplinkMessage): Promise<PublishResult> {
    const { messageId, isDup } = message
    const digest = digestOf(message.topic, message.payload)
    const flight = this.#byMessage.get(messageId)
    if (flight !== undefined) return waitFor(flight, digest)
    if (isDup && this.#givenUp.has(messageId, digest)) return refusal(GIVEN_UP)
    const known = this.#window.find(messageId)
    if (known !== undefined && isDup && known.digest === digest) {
      if (known.state === EntryState.sent) return this.#send(known, message, true)
      return known.written.then(
        () => REPEATED,
        () => CONGESTED,
      )
    }
    if (known?.state === EntryState.sent) this.#abandon(known)
    else if (known !== undefined && !known.isCompleted) return CONGESTED
    return this.#sendNew(message, digest)
  }

  #sendNew(message: UplinkMessage, digest: string): Promise<PublishResult> | PublishResult {
    const { messageId } = message
    if (!this.#session.isReady || this.#byPacket.size >= this.#slots) return CONGESTED
    // a mapping is two writes: none for what the broker does not take now
    if (this.#session.packets.size >= this.#session.inFlightMax) return CONGESTED
    const packetId = this.#session.ids.free()
    if (packetId === null) return CONGESTED
    const place = () => this.#window.place({ messageId, packetId, digest, state: EntryState.sent })
    const entry = place() ?? (this.#makeRoom() ? place() : null)
    if (entry === null) return CONGESTED
    this.#session.ids.reserve(packetId)
    entry.written = this.#store.write([this.#window.change(entry)])
    return this.#send(entry, message, false)
  }

  /** The oldest message that the device gave up gives its slot. */
  #makeRoom(): boolean {
    const stale = this.#window
      .entries()
      .filter((entry) => entry.state === EntryState.sent && !this.#byPacket.has(entry.packetId))
      .toSorted((a, b) => a.sequence - b.sequence)[0]
    if (stale === undefined) return false
    this.#abandon(stale)
    return true
  }

  /** The broker may have it without its PUBREL: that leaves at the next connection, and then the packet id is free. */
  #abandon(entry: WindowEntry): void {
    this.#session.packets.owePubrel(entry.packetId)
    this.#store.write([this.#window.remove(entry)]).catch(() => {})
  }

  async #send(entry: WindowEntry, message: UplinkMessage, isDup: boolean): Promise<PublishResult> {
    const { messageId, digest, packetId } = entry
    const flight: MappedFlight = { messageId, digest, entry, waiters: [] }
    this.#byMessage.set(messageId, flight)
    this.#byPacket.set(packetId, flight)
    const result = waitFor(flight, digest)
    try {
      await entry.written
    } catch {
      this.#session.ids.unreserve(packetId)
      this.#window.remove(entry)
      this.#giveUp(flight, CONGESTED)
      return result
    }
    if (this.#session.publish(packetId, message, isDup)) return result
    // the broker may have what is repeated: the mapping stays, and the device goes on with it
    if (!isDup) this.#unmap(entry)
    this.#giveUp(flight, CONGESTED)
    return result
  }

  /** The broker has never seen it: its packet id is free as soon as the disk says nothing else. */
  #unmap(entry: WindowEntry): void {
    const { ids, packets } = this.#session
    // the window on disk is the next one's
    const removed = this.#isObsolete ? Promise.resolve() : this.#store.write([this.#window.remove(entry)])
    removed.then(
      () => ids.unreserve(entry.packetId),
      () => packets.owePubrel(entry.packetId),
    )
  }

  owns(packetId: number): boolean {
    return this.#byPacket.has(packetId)
  }

  async onReceived(packetId: number): Promise<void> {
    const flight = this.#byPacket.get(packetId)
    if (flight === undefined || this.#isObsolete) return
    const { entry } = flight
    entry.state = EntryState.received
    entry.written = this.#store.write([this.#window.change(entry)])
    entry.written.catch(() => {
      entry.state = EntryState.sent
    })
    await entry.written
    this.#byMessage.delete(flight.messageId)
    answer(flight, ACCEPTED)
  }

  onFinished(packetId: number, wasReleased: boolean, reasonCode: number): void {
    const flight = this.#byPacket.get(packetId)
    if (flight === undefined) return
    this.#session.ids.unreserve(packetId)
    if (wasReleased || this.#isObsolete) {
      flight.entry.isCompleted = true
      this.#giveUp(flight, CONGESTED)
    } else if (reasonCode < 0x80) {
      void this.onReceived(packetId)
        .then(() => {
          flight.entry.isCompleted = true
        })
        .catch(() => {})
        .finally(() => this.#giveUp(flight, CONGESTED))
    } else {
      this.#store.write([this.#window.remove(flight.entry)]).catch(() => {})
      this.#givenUp.add(flight, reasonCode)
      this.#giveUp(flight, refusal(reasonCode))
    }
  }

  #giveUp(flight: MappedFlight, result: PublishResult): void {
    if (this.#byMessage.get(flight.messageId) === flight) this.#byMessage.delete(flight.messageId)
    this.#byPacket.delete(flight.entry.packetId)
    answer(flight, result)
  }

  onDown(): void {
    for (const flight of this.#byMessage.values()) answer(flight, CONGESTED)
  }

  /** The device began anew: what is on its way gets there, and is nobody's repetition. */
  becomeObsolete(): void {
    this.#isObsolete = true
    for (const entry of this.#window.entries()) {
      if (entry.state === EntryState.sent && !this.#byPacket.has(entry.packetId)) {
        this.#session.packets.owePubrel(entry.packetId)
      }
    }
  }

  /** PUBREL of the device. Resolves when that is on disk. */
  async release(messageId: number): Promise<void> {
    const entry = this.#window.find(messageId)
    if (entry === undefined || entry.state === EntryState.sent) return
    await this.#store.write([this.#window.remove(entry)])
  }
}
